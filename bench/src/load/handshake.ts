import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { openSession, SESSIONS, type SessionName } from './session.ts';

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
  /** The protocol over the messages, whose path is used. Default: none. */
  readonly session?: SessionName | undefined;
}

/** A bare socket after the handshake. */
export interface Upgraded {
  readonly socket: Socket;
  /** The extensions in the server's answer. */
  readonly agreed: string;
}

/** Connects to a server and upgrades the connection. */
export async function openSocket(target: Target): Promise<Upgraded> {
  const { port, host = '127.0.0.1', headers = [], offer = '', session } = target;
  const { path = session === undefined ? '/' : SESSIONS[session].path } = target;
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
  const { head, rest } = await readHead(socket);
  if (session !== undefined) await openSession(socket, session, rest);
  else if (rest.length > 0) throw new Error('the server sent a frame before any message');
  return { socket, agreed: extensionsOf(head) };
}

/** Reads the HTTP response. `rest`: the bytes after it. */
function readHead(socket: Socket): Promise<{ head: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const settle = (error?: Error): void => {
      socket.removeListener('data', onData);
      socket.removeListener('error', onError);
      socket.removeListener('close', onClose);
      clearTimeout(timer);
      if (error === undefined) {
        const end = bytes.indexOf(HEAD_END) + HEAD_END.length;
        resolve({ head: bytes.toString('latin1', 0, end), rest: bytes.subarray(end) });
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
    const onError = (error: NodeJS.ErrnoException): void => settle(inWords(error));
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      if (!bytes.includes(HEAD_END)) return;
      const [status = ''] = bytes.toString('latin1').split('\r\n', 1);
      settle(status.startsWith('HTTP/1.1 101 ') ? undefined : new Error(refusalOf(status)));
    };
    socket.on('data', onData);
    socket.on('error', onError);
    socket.on('close', onClose);
  });
}

/** What is wrong with an answer that is not 101. */
function refusalOf(status: string): string {
  if (!status.startsWith('HTTP/')) return 'the answer is not HTTP: does the server expect wss://?';
  const answer = status.replace(/^HTTP\/[\d.]+ /, '');
  const asks = 'is it a WebSocket server, and is the path right?';
  return `the server answered ${answer}, not 101: ${asks}`;
}

/** TLS to a server without it, in words. */
function inWords(error: NodeJS.ErrnoException): Error {
  if (!/^(?:EPROTO|ERR_SSL_)/.test(error.code ?? '')) return error;
  return new Error('the server does not speak TLS: try ws://', { cause: error });
}

/** The extensions of an answer in a canonical form, with sorted parameters. */
function extensionsOf(head: string): string {
  const line = /^sec-websocket-extensions:(.*)$/im.exec(head)?.[1] ?? '';
  const [name = '', ...parameters] = line.split(';').map((part) => part.trim());
  return [name, ...parameters.toSorted()].join('; ');
}
