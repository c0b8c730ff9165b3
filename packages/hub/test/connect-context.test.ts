import { Hub } from '@ws/hub';
import { dial } from '@ws/node-client';
import { admit, route, serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';

describe('the event connect behind a server', () => {
  it('has the context of the handler, and the route has its own headers', async () => {
    const hub = new Hub<{ user: string }>();
    const seen: unknown[] = [];
    hub.on('connect', (session, ctx) => {
      const { auth, params, path, query, route: pattern, address } = ctx!;
      seen.push({ auth, data: session.data, params: { ...params }, path, pattern, address });
      seen.push([query?.get('q'), [...query!]]);
      void session.join(`room/${params?.['id']}`);
    });
    const server = await serve(
      { host: '127.0.0.1', authenticate: (_req: unknown) => admit({ user: 'ada' }) },
      {
        '/rooms/:id': route(
          { headers: (_req, { params }) => ({ 'X-Room': `${params['id']}` }) },
          hub.handler,
        ),
      },
    );
    const conn = await dial(`${server.url}/rooms/a%20b?q=1&q=2`);
    expect(conn.response.headers['x-room']).toBe('a b');
    await expect.poll(() => hub.room('room/a b').members.size).toBe(1);
    expect(seen).toEqual([
      {
        auth: { user: 'ada' },
        data: { user: 'ada' },
        params: { id: 'a b' },
        path: '/rooms/a b',
        pattern: '/rooms/:id',
        address: '127.0.0.1',
      },
      [
        '1',
        [
          ['q', '1'],
          ['q', '2'],
        ],
      ],
    ]);
    await hub.close({ timeout: 50 });
    await conn.closed;
    await server.close();
  });
});
