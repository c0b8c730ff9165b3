import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type TlsOptions } from 'node:tls';
import { acceptOf, selfSigned, switchingProtocols } from '@ws/tests';
import { expect, onTestFinished } from 'vitest';
import type { Dialer } from '../src/index.ts';

/** A request as a raw server sees it. */
export interface SeenRequest {
  /** The bytes, as Latin-1. */
  readonly text: string;
  readonly key: string;
  readonly accept: string;
  /** The head of a right answer, with `extra` header lines, each ended by CRLF. */
  ok(extra?: string): string;
}

/** What a raw server does once the head of the request is there. */
export type Reply = (socket: Socket, request: SeenRequest) => void;

export interface RawServer {
  readonly port: number;
  readonly url: string;
  /** Sockets accepted so far. */
  readonly sockets: readonly Socket[];
  /** Resolves when every socket accepted so far is closed. */
  readonly gone: () => Promise<void>;
}

/** A TCP server that answers whatever it likes. It ends with the test. */
export function rawServer(reply: Reply): Promise<RawServer> {
  return listen((onSocket) => createServer(onSocket), 'ws', reply);
}

/** The same over TLS (h2 and HTTP/1.1 by ALPN), by default with the certificate of `selfSigned`. */
export async function rawTlsServer(reply: Reply, options: TlsOptions = {}): Promise<RawServer> {
  const { key, cert } = await selfSigned();
  const all = { key, cert, ALPNProtocols: ['h2', 'http/1.1'], ...options };
  return listen((onSocket) => createTlsServer(all, onSocket), 'wss', reply);
}

/** Answers with fixed bytes; a function makes them from the request. */
export function says(bytes: string | ((request: SeenRequest) => string), end = false): Reply {
  return (socket, request) => {
    const text = typeof bytes === 'string' ? bytes : bytes(request);
    socket.write(text, 'latin1');
    if (end) socket.end();
  };
}

async function listen(
  create: (onSocket: (socket: Socket) => void) => Server,
  scheme: string,
  reply: Reply,
): Promise<RawServer> {
  const sockets: Socket[] = [];
  const closings: Promise<void>[] = [];
  const server = create((socket) => {
    socket.on('error', () => {});
    let text = '';
    socket.on('data', function read(chunk: Buffer) {
      text += chunk.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      socket.off('data', read);
      socket.resume();
      reply(socket, seen(text));
    });
  });
  server.on('connection', (socket: Socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
    closings.push(closing(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const { port } = server.address() as AddressInfo;
  const gone = async (): Promise<void> => {
    await Promise.all(closings);
  };
  return { port, url: `${scheme}://127.0.0.1:${port}`, sockets, gone };
}

/** Reads a request. */
export function seen(text: string): SeenRequest {
  const key = /sec-websocket-key: (.*)\r\n/i.exec(text)?.[1] ?? '';
  const ok = (extra = ''): string => switchingProtocols(text, extra);
  return { text, key, accept: acceptOf(text), ok };
}

/** Resolves with the 'close' of a stream, which must not have been yet. */
export function closing(stream: Duplex): Promise<void> {
  return new Promise<void>((resolve) => void stream.once('close', () => resolve()));
}

export { selfSigned as certificate } from '@ws/tests';

/** Accepts, and sends the message `hi`. */
export const greets: Reply = says((request) => `${request.ok()}\x81\x02hi`);

/** Dials, reads the greeting, and drops the connection. */
export async function greeted(dialer: Dialer, url: string, headers = {}): Promise<void> {
  const conn = await dialer.dial(url, { headers });
  expect((await conn.readMessage()).text()).toBe('hi');
  conn.terminate();
}
