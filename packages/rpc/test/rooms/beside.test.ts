// Rooms beside handlers of the application that do not settle, and beside questions that hang.
import { connPair } from '@ws/conn';
import { serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn } from '@ws/reconnect';
import { contract, method } from '@ws/rpc';
import { roomsOf } from '@ws/rpc/rooms';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { never, quietly, until } from '../pairs.ts';

const jobs = contract({ server: { job: method(z.any(), z.any()) } });

function start(concurrency: number | undefined) {
  let running = 0;
  let asked = 0;
  const server = serveRooms(
    {
      'slow/*': {
        mayJoin: () => {
          asked++;
          return never();
        },
      },
      open: { mayJoin: true, mayPublish: true },
    },
    {
      contract: jobs,
      handlers: {
        job: () => {
          running++;
          return never();
        },
      },
      concurrency,
    },
  );
  server.hub.on('error', () => {});
  const live = new ReconnectingConn(async () => {
    const [client, conn] = connPair({ report: () => {} });
    server.hub.add(conn);
    return client;
  });
  onTestFinished(async () => {
    await live.close();
    await server.hub.close({ timeout: 1 });
  });
  const rooms = roomsOf(live, { contract: jobs });
  return { rooms, running: () => running, asked: () => asked };
}

describe.each([1, undefined])('H7 a room, with concurrency %s', (concurrency) => {
  it.each([0, 99])(
    'is live beside 70 calls that never settle, and %i rooms whose mayJoin hangs',
    async (count) => {
      const { rooms, running, asked } = start(concurrency);
      const pad = 'x'.repeat(10_000);
      for (let i = 0; i < 70; i++) quietly(rooms.peer.job(pad, { timeout: false }));
      await until(() => expect(running()).toBe(concurrency ?? 64));
      for (let i = 0; i < count; i++) quietly(rooms.join(`slow/${i}`).next());
      await until(() => expect(asked()).toBe(Math.min(count, 16)));
      const loop = rooms.join('open');
      expect((await loop.next()).value).toEqual({ kind: 'live' });
      await rooms.publish('open', 'hello');
      expect((await loop.next()).value).toMatchObject({ kind: 'message', data: 'hello' });
      await loop.return?.();
    },
  );
});
