import { type UpgradeOptions, upgrade } from '@ws/fetch';
import { serveFetch } from '@ws/fetch/node';
import { Hub } from '@ws/hub';
import { dial } from '@ws/node-client';
import { describe, expect, it, onTestFinished } from 'vitest';

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
