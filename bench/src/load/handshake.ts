import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

const HEAD_END = '\r\n\r\n';
const TIMEOUT_MS = 20_000;
/** The key of RFC 6455, section 1.3. A random key would protect nothing here. */
const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** A server. */
export interface Target {
  readonly port: number;
  /** Default: 127.0.0.1. */
  readonly host?: string;
  /** Path and query. Default: `/`. */
  readonly path?: string;
  /** Whether the server expects TLS. Any certificate is accepted. */
  readonly tls?: boolean;
  /** More lines of the request, such as `Cookie: a=b`. */
  readonly headers?: readonly string[];
  /** `Sec-WebSocket-Extensions`. Default: none. */
  readonly offer?: string;
}

/** A bare socket after the handshake. */
export interface Upgraded {
  readonly socket: Socket;
  /** The extensions in the server's answer. */
  readonly agreed: string;
}

/** Connects to a server and upgrades the connection. */
export async function openSocket(target: Target): Promise<Upgraded> {
  const { port, host = '127.0.0.1', path = '/', headers = [], offer = '' } = target;
  const socket =
    target.tls === true
      ? connectTls({ port, host, rejectUnauthorized: false })
      : connect({ port, host });
  socket.setNoDelay(true);
  socket.write(
    [
      `GET ${path} HTTP/1.1`,
      `Host: ${host}:${port}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${KEY}`,
      ...headers,
      ...(offer === '' ? [] : [`Sec-WebSocket-Extensions: ${offer}`]),
      HEAD_END.slice(2),
    ].join('\r\n'),
  );
  const head = await readHead(socket);
  return { socket, agreed: extensionsOf(head) };
}

function readHead(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let head = '';
    const settle = (error?: Error): void => {
      socket.removeListener('data', onData);
      socket.removeListener('error', settle);
      socket.removeListener('close', onClose);
      clearTimeout(timer);
      if (error === undefined) {
        resolve(head);
        return;
      }
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(
      () => settle(new Error(`no handshake response for ${TIMEOUT_MS} ms`)),
      TIMEOUT_MS,
    );
    const onClose = (): void =>
      settle(new Error('the server closed the connection during the handshake'));
    // The servers wait for messages, so no frame follows the answer.
    const onData = (chunk: Buffer): void => {
      head += chunk.toString('latin1');
      if (!head.endsWith(HEAD_END)) return;
      settle(head.startsWith('HTTP/1.1 101 ') ? undefined : new Error(head.split('\r\n', 1)[0]));
    };
    socket.on('data', onData);
    socket.on('error', settle);
    socket.on('close', onClose);
  });
}

/** The extensions of an answer in a canonical form, with sorted parameters. */
export function extensionsOf(head: string): string {
  const line = /^sec-websocket-extensions:(.*)$/im.exec(head)?.[1] ?? '';
  const [name = '', ...parameters] = line.split(';').map((part) => part.trim());
  return [name, ...parameters.toSorted()].join('; ');
}
