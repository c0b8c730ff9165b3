import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { openSession, SESSIONS, type SessionName } from './session.ts';

const HEAD_END = '\r\n\r\n';
const PROTOCOL = 'HTTP/';
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
  const offers = offer === '' ? [] : [`Sec-WebSocket-Extensions: ${offer}`];
  socket.write(requestOf(`${host}:${port}`, path, [...headers, ...offers]));
  const { head, rest } = await readResponse(socket, target.tls === true);
  if (session !== undefined) await openSession(socket, session, rest);
  else if (rest.length > 0) throw new Error('the server sent a frame before any message');
  return { socket, agreed: extensionsOf(head) };
}

/** The request of an upgrade (RFC 6455, section 4.1). `host` has the port. */
export function requestOf(host: string, path: string, headers: readonly string[] = []): string {
  return [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${KEY}`,
    ...headers,
    HEAD_END.slice(2),
  ].join('\r\n');
}

/** The response to an upgrade. */
export interface UpgradeResponse {
  readonly head: string;
  /** The bytes after it. */
  readonly rest: Buffer;
}

/** Reads the response to an upgrade from chunks, which it copies. */
export class ResponseReader {
  #bytes = Buffer.alloc(0);

  /**
   * @returns The response; undefined while it is incomplete.
   * @throws Error for every other status than 101, and for bytes that are not HTTP.
   */
  push(chunk: Uint8Array): UpgradeResponse | undefined {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const bytes = this.#bytes;
    if (!bytes.toString('latin1', 0, PROTOCOL.length).startsWith(PROTOCOL.slice(0, bytes.length))) {
      throw new Error('the answer is not HTTP: does the server expect wss://?');
    }
    const at = bytes.indexOf(HEAD_END);
    if (at < 0) return undefined;
    const end = at + HEAD_END.length;
    const head = bytes.toString('latin1', 0, end);
    if (!head.startsWith('HTTP/1.1 101 ')) throw new Error(refusalOf(head));
    return { head, rest: bytes.subarray(end) };
  }
}

function readResponse(socket: Socket, isTls: boolean): Promise<UpgradeResponse> {
  return new Promise((resolve, reject) => {
    const reader = new ResponseReader();
    const settle = (settled: UpgradeResponse | Error): void => {
      socket.removeListener('data', onData);
      socket.removeListener('error', onError);
      socket.removeListener('close', onClose);
      clearTimeout(timer);
      if (!(settled instanceof Error)) {
        resolve(settled);
        return;
      }
      socket.destroy();
      reject(settled);
    };
    const timer = setTimeout(
      () => settle(new Error(`no handshake response for ${TIMEOUT_MS} ms`)),
      TIMEOUT_MS,
    );
    const onClose = (): void => settle(closed(isTls));
    const onError = (error: NodeJS.ErrnoException): void => settle(inWords(error, isTls));
    const onData = (chunk: Buffer): void => {
      try {
        const response = reader.push(chunk);
        if (response !== undefined) settle(response);
      } catch (error) {
        settle(error as Error);
      }
    };
    socket.on('data', onData);
    socket.on('error', onError);
    socket.on('close', onClose);
  });
}

/** What is wrong with an answer that is not 101. */
function refusalOf(head: string): string {
  const [status = ''] = head.split('\r\n', 1);
  const answer = status.replace(/^HTTP\/[\d.]+ /, '');
  const asks = 'is it a WebSocket server, and is the path right?';
  return `the server answered ${answer}, not 101: ${asks}`;
}

/** An error of the socket during the handshake, in words. */
function inWords(error: NodeJS.ErrnoException, isTls: boolean): Error {
  if (error.code === 'ECONNRESET') return closed(isTls, error);
  if (!/^(?:EPROTO|ERR_SSL_)/.test(error.code ?? '')) return error;
  return new Error('the server does not speak TLS: try ws://', { cause: error });
}

function closed(isTls: boolean, cause?: Error): Error {
  const asks = isTls ? '' : ': does it expect wss://?';
  return new Error(`the server closed the connection during the handshake${asks}`, { cause });
}

/** The extensions of an answer in a canonical form, with sorted parameters. */
function extensionsOf(head: string): string {
  const line = /^sec-websocket-extensions:(.*)$/im.exec(head)?.[1] ?? '';
  const [name = '', ...parameters] = line.split(';').map((part) => part.trim());
  return [name, ...parameters.toSorted()].join('; ');
}
