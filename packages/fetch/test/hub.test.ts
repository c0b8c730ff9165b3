import { type AdmitOrRefuse, admit, type UpgradeOptions, upgrade } from '@ws/fetch';
import { Hub } from '@ws/hub';
import { dial } from '@ws/node-client';
import { describe, expect, it } from 'vitest';
import { connected } from './fake-conn.ts';
import { serve } from './serving.ts';

it('lets a session leave its rooms when the application closes the connection', async () => {
  const session = new Hub().add(connected().conn);
  await session.join('blue');
  void session.conn.close();
  await expect.poll(() => [...session.rooms]).toEqual([]);
  expect(session.send('late')).toBe(false);
});

it('tells a Hub of a message above maxBufferedAmount', async () => {
  const { conn, socket } = connected({ maxBufferedAmount: 1000 });
  const hub = new Hub();
  const losses: unknown[] = [];
  hub.on('overflow', (_, info) => void losses.push(info));
  const session = hub.add(conn);
  socket.bufferedAmount = 500;
  session.send('x'.repeat(600));
  session.send('kept');
  await expect.poll(() => losses).toEqual([{ dropped: 1, policy: 'refused' }]);
  expect([socket.sent, hub.stats.dropped]).toEqual([['kept'], 1]);
});

it('counts the sessions that a closing Hub had to terminate', async () => {
  const hub = new Hub();
  const ends = [undefined, { code: 1001, wasClean: true }, { code: 1006, wasClean: false }];
  for (const end of ends) {
    const { conn, socket } = connected();
    if (end !== undefined) socket.close = () => queueMicrotask(() => socket.emit('close', end));
    hub.add(conn);
  }
  expect(await hub.close({ timeout: 5 })).toEqual({ closed: 2, terminated: 1, handlersPending: 0 });
});

describe('a Hub with connections of upgrade', () => {
  it.each<[string, UpgradeOptions<AdmitOrRefuse>]>([
    ['authenticate', { authenticate: () => admit({ user: 'ada' }) }],
    ['authenticate and report', { authenticate: () => admit({ user: 'ada' }), report() {} }],
    ['nothing', {}],
  ])('gets auth and request as ctx of connect, with %s', async (_, options) => {
    const hub = new Hub();
    const seen: unknown[] = [];
    hub.on('connect', (session, ctx) => {
      const { request } = ctx as unknown as { request: Request };
      seen.push(ctx?.auth, new URL(request.url).searchParams.get('room'), session.request === ctx);
    });
    const url = await serve((request) => upgrade(request, options, hub.handler));
    const conn = await dial(`${url}/?room=blue`);
    await expect.poll(() => seen).toHaveLength(3);
    const auth = options.authenticate === undefined ? true : { user: 'ada' };
    expect(seen).toEqual([auth, 'blue', true]);
    await conn.close();
  });
});
