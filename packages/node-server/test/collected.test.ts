// State that the process keeps for all connections must not hold a closed server, or a pool of a
// user.
import { once } from 'node:events';
import { type BufferPool, broadcast } from '@ws/conn';
import { collectGarbage } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type ServeOptions, serve } from '../src/index.ts';
import { trapLeftovers } from './raw.ts';

trapLeftovers();

async function collected(ref: WeakRef<object>): Promise<boolean> {
  for (let i = 0; i < 10 && ref.deref() !== undefined; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
  }
  return ref.deref() === undefined;
}

/** Serves one connection with an echo and a broadcast, and closes. */
async function served(options: ServeOptions): Promise<WeakRef<object>> {
  const server = await serve({ host: '127.0.0.1', ...options }, (conn) =>
    conn.receive((message) => conn.send(message)),
  );
  const ws = new WebSocket(server.url);
  await once(ws, 'open');
  ws.send('x'.repeat(2000));
  await once(ws, 'message');
  broadcast(server.connections, 'hello');
  await once(ws, 'message');
  ws.close();
  await once(ws, 'close');
  await server.close();
  return new WeakRef(server);
}

function pooled(): { ref: WeakRef<object>; pool: BufferPool } {
  const pool = { get: () => undefined, put: () => {} };
  return { ref: new WeakRef(pool), pool };
}

describe('a server that is closed', () => {
  it.each([{ compression: false }, { compression: true }, { compression: 'takeover' as const }])(
    'is collected, with %o',
    async (options) => {
      // State of the process could hold its first server.
      const refs = [await served(options), await served(options)];
      expect(await Promise.all(refs.map(collected))).toEqual([true, true]);
    },
  );

  it('keeps no pool of write buffers', async () => {
    const serveWith = async (): Promise<WeakRef<object>> => {
      const { ref, pool } = pooled();
      await served({ writeBufferPool: pool });
      return ref;
    };
    expect(await collected(await serveWith())).toBe(true);
  });
});
