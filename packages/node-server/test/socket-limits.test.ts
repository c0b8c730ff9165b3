import { once } from 'node:events';
import net from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type ServeOptions } from '../src/index.ts';
import { exchange, request, serving, trapLeftovers } from './raw.ts';

trapLeftovers();

/** Opens silent connections, waits until at most `most` are left, and returns how many stay. */
async function keptOf(count: number, most: number, options: ServeOptions): Promise<number> {
  const server = await serving({ ...options }, (conn) => conn.terminate());
  const { port } = server;
  const sockets = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = net.connect(port, '127.0.0.1').on('error', () => {});
      onTestFinished(() => void socket.destroy());
      await once(socket, 'connect');
      return socket.resume();
    }),
  );
  const kept = (): number =>
    sockets.filter(({ readableEnded, destroyed }) => !readableEnded && !destroyed).length;
  const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
  // The server accepts some in each turn.
  while (kept() > most) await pause(20);
  await pause(300);
  const now = kept();
  for (const socket of sockets) socket.destroy();
  for (const socket of sockets) if (!socket.closed) await once(socket, 'close');
  await pause(50);
  expect((await exchange(port, request())).status).toBe(101);
  return now;
}

describe('silent connections', () => {
  it('are bounded by maxConnections and maxHandshakes', async () => {
    const most = 5 + 10 + 256;
    expect(await keptOf(400, most, { maxConnections: 5, maxHandshakes: 10 })).toBe(most);
  });

  it('of one address are bounded by limits', async () => {
    expect(await keptOf(200, 2 + 64, { limits: [{ by: 'address', connections: 2 }] })).toBe(2 + 64);
  });

  it('are not bounded per address behind a proxy', async () => {
    const clientAddress = (): string => 'ada';
    expect(
      await keptOf(200, 200, { limits: [{ by: 'address', connections: 2 }], clientAddress }),
    ).toBe(200);
  });
});
