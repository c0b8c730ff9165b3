import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import type { Role } from '@ws/codec';
import { selfSigned } from '../self-signed.ts';
import { whenOver } from './leftovers.ts';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** A frame that a {@link RawPeer} received. */
export interface RawFrame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly payload: Buffer;
}

/** A peer that does what it is told, over TCP or TLS, and nothing by itself: no pong, no close frame, no FIN. */
export class RawPeer {
  /** What bytes travel through. */
  readonly stream: Socket;
  /** What lies under it: the same over TCP. */
  readonly tcp: Socket;
  /** Every whole frame received, once {@link startFrames} was called. */
  readonly frames: RawFrame[] = [];
  /** The other end has sent its FIN. */
  ended = false;
  /** Resolves when the connection is over, whoever ended it and however. */
  readonly closed: Promise<void>;
  readonly #role: Role;
  #chunks: Buffer[] = [];
  #held = 0;
  #needed = 2;
  #inFrames = false;
  #over = false;
  readonly #waiting = new Set<() => void>();

  constructor(stream: Socket, tcp: Socket, role: Role) {
    this.stream = stream;
    this.tcp = tcp;
    this.#role = role;
    stream.setNoDelay(true);
    tcp.on('error', () => {});
    stream.on('error', () => {});
    stream.on('data', (chunk) => this.#take(chunk));
    stream.on('end', () => {
      this.ended = true;
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      stream.once('close', () => {
        this.#over = true;
        // A TLS socket over a socket of ours leaves that open.
        tcp.destroy();
        this.#wake();
        if (tcp.closed) resolve();
        else tcp.once('close', () => resolve());
      });
    });
  }

  /** Resolves when `holds`, tried whenever something has happened; throws when the connection is over before. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      if (this.#over) throw new Error('the connection is over');
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Waits for the n-th frame. */
  async frame(n = 0): Promise<RawFrame> {
    await this.until(() => this.frames.length > n);
    return this.frames[n]!;
  }

  /** Waits for a head of HTTP and gives it. */
  async head(): Promise<string> {
    let end = -1;
    await this.until(() => {
      this.#join();
      end = this.#chunks[0]?.indexOf('\r\n\r\n') ?? -1;
      return end >= 0;
    });
    const all = this.#chunks[0]!;
    this.#chunks = [all.subarray(end + 4)];
    this.#held = all.length - end - 4;
    return all.toString('latin1', 0, end + 4);
  }

  /** What follows the head is frames. */
  startFrames(): void {
    this.#inFrames = true;
    this.#parse();
  }

  /** Sends bytes as they are; resolves when they have left. */
  async bytes(bytes: Uint8Array | string): Promise<void> {
    await new Promise<void>((resolve) => {
      this.stream.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes, () => {
        resolve();
      });
    });
  }

  /** Sends a frame. */
  send(opcode: number, payload: Uint8Array | string = '', fin = true): Promise<void> {
    return this.bytes(this.encode(opcode, payload, fin));
  }

  /** A frame as this end sends it. */
  encode(opcode: number, payload: Uint8Array | string = '', fin = true): Buffer {
    const bytes = Buffer.from(payload as string);
    const { length } = bytes;
    const masked = this.#role === 'client';
    const head = Buffer.alloc((length < 126 ? 2 : length < 65_536 ? 4 : 10) + (masked ? 4 : 0));
    head[0] = (fin ? 0x80 : 0) | opcode;
    head[1] = (length < 126 ? length : length < 65_536 ? 126 : 127) | (masked ? 0x80 : 0);
    if (length >= 65_536) head.writeBigUInt64BE(BigInt(length), 2);
    else if (length >= 126) head.writeUInt16BE(length, 2);
    if (masked) {
      const at = head.length - 4;
      head.writeUInt32BE(0x37fa213d, at);
      for (let i = 0; i < length; i++) bytes[i]! ^= head[at + (i & 3)]!;
    }
    return Buffer.concat([head, bytes]);
  }

  /** Sends a FIN; the other half stays open. */
  end(): void {
    this.stream.end();
  }

  /** Sends a RST; under TLS in the next turn, since Node crashes when TCP goes within a call from TLS. */
  reset(): void {
    const { stream, tcp } = this;
    if (stream === tcp) tcp.resetAndDestroy();
    else {
      tcp.once('close', () => stream.destroy());
      setImmediate(() => tcp.resetAndDestroy());
    }
  }

  destroy(): void {
    this.stream.destroy();
    this.tcp.destroy();
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    if (this.#inFrames) this.#parse();
    this.#wake();
  }

  #join(): void {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
  }

  #parse(): void {
    while (this.#held >= this.#needed) {
      this.#join();
      const all = this.#chunks[0] ?? Buffer.alloc(0);
      const read = readFrame(all);
      if (typeof read === 'number') {
        this.#needed = read;
        continue;
      }
      this.frames.push(read);
      this.#chunks = [all.subarray(read.end)];
      this.#held = all.length - read.end;
      this.#needed = 2;
    }
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}

/** The first frame in `all`, or how many bytes it takes to know more. */
function readFrame(all: Buffer): (RawFrame & { readonly end: number }) | number {
  const short = all[1]! & 0x7f;
  const masked = (all[1]! & 0x80) !== 0;
  const start = 2 + (short < 126 ? 0 : short === 126 ? 2 : 8) + (masked ? 4 : 0);
  if (all.length < start) return start;
  const length =
    short < 126 ? short : short === 126 ? all.readUInt16BE(2) : Number(all.readBigUInt64BE(2));
  const end = start + length;
  if (all.length < end) return end;
  const payload = Buffer.from(all.subarray(start, end));
  if (masked) for (let i = 0; i < length; i++) payload[i]! ^= all[start - 4 + (i & 3)]!;
  return { opcode: all[0]! & 0x0f, fin: (all[0]! & 0x80) !== 0, payload, end };
}

/** A raw client, connected to a port of 127.0.0.1; it has asked for nothing yet. */
export async function rawClient(port: number, secure: boolean): Promise<RawPeer> {
  const tcp = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  tcp.on('error', () => {});
  await once(tcp, 'connect');
  let stream = tcp;
  if (secure) {
    stream = connectTls({ socket: tcp, ca: (await selfSigned()).cert });
    stream.on('error', () => {});
    stream.allowHalfOpen = true;
    await once(stream, 'secureConnect');
  }
  const peer = new RawPeer(stream, tcp, 'client');
  whenOver(() => peer.destroy());
  return peer;
}

/** The request of an upgrade, good in every way. */
export function upgradeRequest(path = '/'): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Key: ${KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n`
  );
}

/** The answer to a request: a 101. */
export function switchingProtocols(request: string): string {
  const key = /sec-websocket-key: (.*)\r\n/i.exec(request)?.[1] ?? '';
  const accept = createHash('sha1')
    .update(key + GUID)
    .digest('base64');
  return (
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${accept}\r\n\r\n`
  );
}

/** A server that does `serve` with every connection, over TLS once that is agreed; it ends with the test. */
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
    whenOver(() => peer.destroy());
    // A peer that is reset while it waits for something has nothing more to say.
    Promise.resolve(serve(peer)).catch(() => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenOver(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as AddressInfo;
  return { url: `${secure ? 'wss' : 'ws'}://127.0.0.1:${port}/`, ca: cert };
}
