import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { onTestFinished } from 'vitest';
import { closing, type RawServer, type Reply, rawServer, rawTlsServer } from './servers.ts';

/** A proxy that connects every client to one port of 127.0.0.1, for any name. */
export interface TunnelProxy extends RawServer {
  readonly proxy: URL;
  /** The requests that it got. */
  readonly requests: readonly string[];
  /** The bytes that clients sent through it, as Latin-1. */
  readonly passed: () => string;
}

/**
 * Starts a {@link TunnelProxy}: `https` speaks TLS with the certificate of `certificate`.
 * `answer` is that to each CONNECT.
 */
export async function tunnelProxy(
  port: number,
  scheme: 'http' | 'https' = 'http',
  answer = 'HTTP/1.1 200 Connection established\r\n\r\n',
): Promise<TunnelProxy> {
  const requests: string[] = [];
  let passed = '';
  const reply: Reply = (socket, request) => {
    requests.push(request.text);
    socket.on('data', (chunk: Buffer) => {
      passed += chunk.toString('latin1');
    });
    splice(socket, port);
    socket.write(answer);
  };
  const server = await (scheme === 'http' ? rawServer(reply) : rawTlsServer(reply));
  const proxy = new URL(`${scheme}://127.0.0.1:${server.port}`);
  return { ...server, proxy, requests, passed: () => passed };
}

/** Joins a socket with a new connection to a port of 127.0.0.1; both end together. */
export function splice(socket: Socket, port: number): void {
  const upstream = connect(port, '127.0.0.1');
  upstream.on('error', () => {});
  socket.pipe(upstream).pipe(socket);
  socket.on('close', () => upstream.destroy());
  upstream.on('close', () => socket.destroy());
}

export interface SocksServer {
  readonly port: number;
  readonly proxy: URL;
  /** The received messages in hexadecimal. */
  readonly heard: readonly string[];
  /** Resolves when every socket accepted so far is closed. */
  readonly gone: () => Promise<void>;
}

/**
 * A SOCKS proxy with one fixed answer for each message.
 *
 * @param answers - Hexadecimal, or what to do with the socket.
 */
export async function socksServer(
  answers: readonly (string | ((socket: Socket) => void))[],
  userInfo = '',
): Promise<SocksServer> {
  const heard: string[] = [];
  const sockets: Socket[] = [];
  const closings: Promise<void>[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    closings.push(closing(socket));
    socket.on('error', () => {});
    let step = 0;
    socket.on('data', function hear(chunk: Buffer) {
      heard.push(chunk.toString('hex'));
      const answer = answers[step++];
      if (step >= answers.length) socket.off('data', hear);
      if (typeof answer === 'string') socket.write(Buffer.from(answer.replaceAll(' ', ''), 'hex'));
      else answer?.(socket);
      if (step >= answers.length) socket.resume();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  const { port } = server.address() as { port: number };
  const proxy = new URL(`socks5://${userInfo}127.0.0.1:${port}`);
  return { port, proxy, heard, gone: async () => void (await Promise.all(closings)) };
}

/** Grants the request, then lets the client through to a port of 127.0.0.1. */
export function grants(
  port: number,
  answer = '05 00 00 01 7f000001 0050',
): (socket: Socket) => void {
  return (socket) => {
    splice(socket, port);
    socket.write(Buffer.from(answer.replaceAll(' ', ''), 'hex'));
  };
}

/** Opens streams to a port of 127.0.0.1 for any address, and records the addresses. */
export function dialsTo(port: number): { asked: string[]; netDial: (address: unknown) => Duplex } {
  const asked: string[] = [];
  const netDial = (address: unknown): Duplex => {
    asked.push(String(address));
    return connect(port, '127.0.0.1');
  };
  return { asked, netDial };
}
