import { type UpgradeOptions, upgrade } from '@ws/fetch';
import { serveFetch } from '@ws/fetch/node';
import { Hub } from '@ws/hub';
import { dial } from '@ws/node-client';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkUpgradeOptions } from '../src/options.ts';
import { SocketConn } from '../src/server-conn.ts';
import { turns } from '../src/turns.ts';
import { FakeSocket } from './fake-socket.ts';

it('lets a session leave its rooms when the application closes the connection', async () => {
  const options = checkUpgradeOptions({}, 2 ** 25);
  const runtime = { maxMessage: 2 ** 25, turns: turns(0, (ms, look) => setTimeout(look, ms)) };
  const hub = new Hub();
  const session = hub.add(new SocketConn(new FakeSocket(), options, runtime, ''));
  await session.join('blue');
  void session.conn.close();
  await expect.poll(() => [...session.rooms]).toEqual([]);
  expect(session.send('late')).toBe(false);
});

it('tells a Hub of a message above maxBufferedAmount', async () => {
  const socket = new FakeSocket();
  const options = checkUpgradeOptions({ maxBufferedAmount: 1000 }, 2 ** 25);
  const runtime = { maxMessage: 2 ** 25, turns: turns(0, (ms, look) => setTimeout(look, ms)) };
  const hub = new Hub();
  const losses: unknown[] = [];
  hub.on('overflow', (_, info) => void losses.push(info));
  const session = hub.add(new SocketConn(socket, options, runtime, ''));
  socket.bufferedAmount = 500;
  session.send('x'.repeat(600));
  session.send('kept');
  await expect.poll(() => losses).toEqual([{ dropped: 1, policy: 'drop-new' }]);
  expect([socket.sent, hub.stats.dropped]).toEqual([['kept'], 1]);
});

it('counts the sessions that a closing Hub had to terminate', async () => {
  const options = checkUpgradeOptions({}, 2 ** 25);
  const runtime = { maxMessage: 2 ** 25, turns: turns(0, (ms, look) => setTimeout(look, ms)) };
  const hub = new Hub();
  const ends = [undefined, { code: 1001, wasClean: true }, { code: 1006, wasClean: false }];
  for (const end of ends) {
    const socket = new FakeSocket();
    if (end !== undefined) socket.close = () => queueMicrotask(() => socket.emit('close', end));
    hub.add(new SocketConn(socket, options, runtime, ''));
  }
  expect(await hub.close({ timeout: 5 })).toEqual({ closed: 2, terminated: 1, handlersPending: 0 });
});

describe('a Hub with connections of upgrade', () => {
  it.each<[string, UpgradeOptions<unknown>]>([
    ['authenticate', { authenticate: () => ({ user: 'ada' }) }],
    ['authenticate and report', { authenticate: () => ({ user: 'ada' }), report() {} }],
    ['nothing', {}],
  ])('gets auth and request as ctx of connect, with %s', async (_, options) => {
    const hub = new Hub();
    const seen: unknown[] = [];
    hub.on('connect', (session, ctx) => {
      const { request } = ctx as unknown as { request: Request };
      seen.push(ctx?.auth, new URL(request.url).searchParams.get('room'), session.request === ctx);
    });
    const server = await serveFetch((request) => upgrade(request, options, hub.handler), {
      port: 0,
      host: '127.0.0.1',
    });
    onTestFinished(() => server.close().then(() => {}));
    const conn = await dial(`${server.url}?room=blue`);
    await expect.poll(() => seen).toHaveLength(3);
    const auth = options.authenticate === undefined ? true : { user: 'ada' };
    expect(seen).toEqual([auth, 'blue', true]);
    await conn.close();
  });
});
