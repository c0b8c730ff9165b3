// A store that a function of the application enters stays with its request.
import { AsyncLocalStorage } from 'node:async_hooks';
import { dial } from '@ws/node-client';
import { type Conn, serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';

describe.each([false, 'clear'] as const)('authenticate, with http2: %s', (http2) => {
  it('enters a store for its own connection only', async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: Record<string, unknown[]> = { '/bob': [], '/alice': [] };
    const server = await serve(
      {
        host: '127.0.0.1',
        port: 0,
        http2: http2 === false ? undefined : http2,
        authenticate: (req) => {
          seen[req.url!]!.push(storage.getStore());
          if (req.url === '/bob') storage.enterWith('bob');
          return true;
        },
      },
      (conn: Conn, req) => {
        seen[req.url!]!.push(storage.getStore());
        conn.setCloseHandler(() => void seen[req.url!]!.push(storage.getStore()));
        return conn.receive(() => void seen[req.url!]!.push(storage.getStore()));
      },
    );
    for (const path of ['/bob', '/alice', '/bob', '/alice']) {
      const conn = await dial(server.url + path, { http2: http2 === false ? undefined : 'only' });
      await conn.send('x');
      await conn.close();
    }
    await server.close();
    expect(seen['/alice']).toEqual(Array(8).fill(undefined));
    expect(seen['/bob']).toEqual([undefined, 'bob', 'bob', 'bob', undefined, 'bob', 'bob', 'bob']);
  });
});
