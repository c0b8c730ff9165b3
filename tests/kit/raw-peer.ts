import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import type { Role } from '@ws/codec';
import { whenOver } from './cleanups.ts';
import { FramePeer, joinParts } from './frame-peer.ts';
import { listening } from './listening.ts';
import { reset } from './reset.ts';
import { selfSigned } from './self-signed.ts';
import { type Answer, KEY, parseAnswer, type RequestChange, request } from './upgrade-request.ts';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** A {@link FramePeer} on a TCP or TLS socket, as a client or a server. */
export class RawPeer extends FramePeer {
  /** The socket that bytes are written to: TLS, or the same as `tcp`. */
  readonly stream: Socket;
  readonly tcp: Socket;
  /** Resolves when the connection is closed, by either end and for any reason. */
  readonly closed: Promise<void>;
  /** Error of the socket, for example a reset. */
  error: Error | undefined;

  constructor(stream: Socket, tcp: Socket = stream, role: Role = 'client') {
    super(role);
    this.stream = stream;
    this.tcp = tcp;
    stream.setNoDelay(true);
    for (const socket of new Set([stream, tcp])) {
      socket.on('error', (error) => {
        this.error ??= error;
      });
    }
    stream.on('data', (chunk) => this.take(chunk));
    stream.on('end', () => {
      this.ended = true;
      this.wake();
    });
    this.closed = new Promise((resolve) => {
      const close = (): void => {
        // Node leaves a socket open whose TLS socket has closed, and the other way round.
        stream.destroy();
        tcp.destroy();
        if (!stream.closed || !tcp.closed) return;
        this.over = true;
        resolve();
        this.wake();
      };
      stream.once('close', close);
      if (tcp !== stream) tcp.once('close', close);
    });
  }

  /** Resolves when the bytes are written or the connection is closed. */
  override async write(...parts: readonly (Uint8Array | string)[]): Promise<void> {
    if (this.stream.destroyed) return;
    await new Promise<void>((resolve) => {
      this.stream.write(joinParts(parts), () => resolve());
    });
  }

  override end(): void {
    this.stream.end();
  }

  /** Sends an upgrade request and returns the answer. Bytes after the head stay in `received`. */
  async upgrade(change: RequestChange = {}): Promise<Answer> {
    void this.write(request(change));
    return parseAnswer(await this.head());
  }

  /** Sends a RST. Over TLS it leaves in the next turn: Node crashes if TCP is destroyed within a call from TLS. */
  reset(): void {
    if (this.stream === this.tcp) reset(this.tcp);
    else setImmediate(() => reset(this.tcp, this.stream));
  }

  override destroy(): void {
    this.stream.destroy();
    this.tcp.destroy();
  }
}

/** Connects to a port of 127.0.0.1 and sends nothing. The connection ends with the test. */
export async function rawClient(port: number, secure = false): Promise<RawPeer> {
  const tcp = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  tcp.on('error', () => {});
  await once(tcp, 'connect');
  let stream = tcp;
  if (secure) {
    stream = connectTls({ socket: tcp, ca: (await selfSigned()).cert });
    stream.on('error', () => {});
    stream.allowHalfOpen = true;
  }
  const peer = new RawPeer(stream, tcp);
  void peer.closed.then(whenOver(() => peer.destroy()));
  if (secure) await once(stream, 'secureConnect');
  return peer;
}

/** A valid upgrade request. */
export function upgradeRequest(path = '/'): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`
  );
}

/** The valid answer to a request, with `extra` header lines, each ended by CRLF. */
export function switchingProtocols(request: string, extra = ''): string {
  return (
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${acceptOf(request)}\r\n${extra}\r\n`
  );
}

/** The Sec-WebSocket-Accept for the key of a request (RFC 6455, section 4.2.2). */
export function acceptOf(request: string): string {
  const key = /sec-websocket-key: (.*)\r\n/i.exec(request)?.[1] ?? '';
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64');
}

/** Starts a server that calls `serve` for each connection, over TLS after its handshake. It ends with the test. */
export async function rawServer(
  secure: boolean,
  serve: (peer: RawPeer) => void | Promise<void>,
): Promise<{ url: string; ca: string }> {
  const { key, cert } = await selfSigned();
  const secureContext = createSecureContext({ key, cert });
  const server = createServer({ allowHalfOpen: true }, (tcp) => {
    const stream = secure ? new TLSSocket(tcp, { isServer: true, secureContext }) : tcp;
    stream.allowHalfOpen = true;
    const peer = new RawPeer(stream, tcp, 'server');
    void peer.closed.then(whenOver(() => peer.destroy()));
    // `until` rejects when the connection ends early; the test then looks at the other end.
    Promise.resolve(serve(peer)).catch(() => {});
  });
  const port = await listening(server);
  whenOver(() => new Promise((resolve) => server.close(resolve)));
  return { url: `${secure ? 'wss' : 'ws'}://127.0.0.1:${port}/`, ca: cert };
}
