import { expect, onTestFinished } from 'vitest';
import {
  type Conn,
  type FreshURL,
  type ReconnectingOptions,
  reconnecting,
} from '../../src/index.ts';
import { type RawServer, type Reply, rawServer } from '../servers.ts';

export const fast = { minDelay: 1, maxDelay: 4 };

export const silent = (): void => {};

export const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** A server that answers its first dial with the first reply, and so on; the last reply repeats. */
export function answers(...replies: Reply[]): Promise<RawServer> {
  let n = 0;
  return rawServer((socket, request) => {
    replies[Math.min(n++, replies.length - 1)]!(socket, request);
  });
}

export const accepts: Reply = (socket, request) => void socket.write(request.ok());

export const drops: Reply = (socket) => void socket.destroy();

export const refuses =
  (status: number, headers = ''): Reply =>
  (socket) =>
    void socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n${headers}\r\n`);

/** Accepts, and closes with this code at once. */
export const closes =
  (code: number): Reply =>
  (socket, request) => {
    const frame = [0x88, 2, code >> 8, code & 0xff];
    socket.write(Buffer.concat([Buffer.from(request.ok()), Buffer.from(frame)]));
    socket.once('data', () => socket.end());
  };

export const acceptsAndDrops: Reply = (socket, request) => void socket.end(request.ok());

export function iterate(
  url: string | FreshURL,
  options: ReconnectingOptions = {},
): AsyncIterator<Conn> {
  const iterator = reconnecting(url, { ...fast, ...options })[Symbol.asyncIterator]();
  onTestFinished(() => void iterator.return?.());
  return iterator;
}

/** Returns the next connection, and fails without one. */
export async function connected(iterator: AsyncIterator<Conn>): Promise<Conn> {
  const { done, value } = await iterator.next();
  expect(done).toBe(false);
  const conn = value as Conn;
  onTestFinished(() => conn.terminate());
  return conn;
}

/** Drops the connection that a server accepted last. */
export const drop = (server: RawServer): void => void server.sockets.at(-1)!.destroy();

/** The close codes of the connections, until the iteration ends or `most` were seen. */
export async function codes(
  url: string,
  options: ReconnectingOptions,
  most: number,
): Promise<number[]> {
  const seen: number[] = [];
  for await (const conn of reconnecting(url, { ...fast, ...options })) {
    seen.push((await conn.closed).code);
    if (seen.length === most) break;
  }
  return seen;
}
