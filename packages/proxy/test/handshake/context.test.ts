import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { admit } from '@ws/node-server';
import { nothingLeft, rawClient, whenOver } from '@ws/tests';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { createProxy, type ProxyOptions } from '../../src/index.ts';
import { front, rawTarget } from '../support.ts';

describe('the context of the functions of a proxy', () => {
  nothingLeft();

  it.each([
    ['a value', () => admit({ user: 'ada' })],
    ['a promise', async () => admit({ user: 'ada' })],
    ['admit', () => admit({ user: 'ada' }, { expires: Date.now() + 60_000 })],
  ] satisfies [string, ProxyOptions['authenticate']][])(
    'has the user of authenticate, which is %s',
    async (_, authenticate) => {
      const [a, b] = [await rawTarget(), await rawTarget()];
      const seen: [string, unknown, boolean][] = [];
      const see = (name: string, context: { auth: unknown; signal: AbortSignal }): void =>
        void seen.push([name, context.auth, context.signal.aborted]);
      const between = await front([a.url, b.url], {
        authenticate,
        sticky: (_req, context) => {
          see('sticky', context);
          return undefined;
        },
        balance: (_req, all, context) => {
          see('balance', context);
          return all[1]!;
        },
        director: (_req, headers, context) => {
          see('director', context);
          headers.set('X-User', (context.auth as { user: string }).user);
        },
      });
      const client = await rawClient(between.port);
      await client.upgrade({ add: ['X-User: eve'] });
      const names = ['sticky', 'balance', 'director'];
      expect(seen).toEqual(names.map((name) => [name, { user: 'ada' }, false]));
      expect(b.heads[0]).toMatch(/\r\nx-user: ada\r\n/i);
      expect(b.heads[0]).not.toContain('eve');
    },
  );

  it('reaches the function that chooses the target, and has no auth without authenticate', async () => {
    const backend = await rawTarget();
    const seen: unknown[] = [];
    for (const options of [{ authenticate: () => admit('ada') }, {}]) {
      const between = await front((_req, { auth }) => {
        seen.push(auth);
        return backend.url;
      }, options);
      const client = await rawClient(between.port);
      await client.upgrade();
    }
    expect(seen).toEqual(['ada', undefined]);
  });

  it('has the type of the result of authenticate', async () => {
    const backend = await rawTarget();
    const proxy = createProxy(backend.url, {
      authenticate: ({ headers }) => headers['x-key'] === '1' && admit({ user: 'ada' }),
      director: (_req, headers, { auth }) => {
        expectTypeOf(auth).toEqualTypeOf<{ user: string }>();
        headers.set('X-User', auth.user);
      },
      sticky: (_req, { auth }) => auth.user,
    });
    const server = createServer().on('upgrade', proxy.handler).listen(0, '127.0.0.1');
    await once(server, 'listening');
    whenOver(async () => {
      await proxy.close({ timeout: 1 });
      server.close();
    });
    const client = await rawClient((server.address() as AddressInfo).port);
    expect((await client.upgrade({ add: ['X-Key: 1'] })).status).toBe(101);
    expect(backend.heads[0]).toMatch(/\r\nx-user: ada\r\n/i);
  });
});
