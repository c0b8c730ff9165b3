import { AsyncLocalStorage } from 'node:async_hooks';
import type { Conn } from '@ws/conn';
import { Hub } from '@ws/hub';
import { dial, ReconnectingConn } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';

describe('listeners and AsyncLocalStorage', () => {
  it('run in the context in which they were added, and can be removed', async () => {
    const storage = new AsyncLocalStorage<string>();
    const hub = new Hub();
    const seen: unknown[] = [];
    const see = (): void => void seen.push(storage.getStore());
    const remove = storage.run('removed', () => hub.on('message', see));
    for (const event of ['connect', 'message', 'disconnect', 'entered'] as const) {
      storage.run(event, () => hub.on(event, see));
    }
    storage.run('message 2', () => hub.on('message', see));
    remove();
    hub.on('connect', (session) => session.join('room'));
    const server = await storage.run('serve', () => serve({ host: '127.0.0.1' }, hub.handler));
    const conn = await storage.run('dial', () => dial(server.url));
    await conn.send('x');
    await conn.close();
    await hub.close({ timeout: 50 });
    await server.close();
    expect(seen).toEqual(['connect', 'entered', 'message', 'message 2', 'disconnect']);
  });

  it('of a ReconnectingConn too, for each connection, and its handler', async () => {
    const storage = new AsyncLocalStorage<string>();
    const server = await serve({ host: '127.0.0.1' }, async (conn) => {
      await conn.send('hello');
      await conn.discardReads();
    });
    const seen: unknown[] = [];
    const live = new ReconnectingConn(server.url, { minDelay: 1, report: () => {} });
    let first: Conn | undefined;
    const opened = new Promise<void>((resolve) => {
      let count = 0;
      storage.run('open', () =>
        live.on('open', (conn) => {
          seen.push(storage.getStore());
          if (++count === 2) resolve();
          else first = conn;
        }),
      );
    });
    const got = new Promise<void>((resolve) => {
      let count = 0;
      storage.run('receive', () => {
        void live.receive(() => {
          seen.push(storage.getStore());
          if (++count === 2) resolve();
          else first!.terminate();
        });
      });
    });
    await Promise.all([opened, got]);
    await live.close();
    await server.close();
    expect(seen.filter((each) => each === 'open')).toHaveLength(2);
    expect(seen.filter((each) => each === 'receive')).toHaveLength(2);
  });
});
