import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { dial } from '@ws/node-client';
import { admit, type Conn, serve } from '@ws/node-server';
import {
  nothingLeft,
  rawClient,
  rawServer,
  request,
  switchingProtocols,
  whenOver,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { createProxy, type ProxyAccess, type ProxyOptions } from '../../src/index.ts';
import { front, openPair, pair, rawTarget, withClient } from '../support.ts';

async function answered(options: ProxyOptions, add: string[] = []) {
  const { backend, between, client } = await withClient(undefined, options);
  const { status } = await client.upgrade({ add });
  client.destroy();
  return { status, asked: backend.heads.length, reported: between.reported };
}

describe('a request to a proxy', () => {
  nothingLeft();

  it.each([
    ['authenticate refuses', { authenticate: () => ({ refuse: 403 }) as const }, 403],
    ['its host is not allowed', { allowedHosts: ['example.org'] }, 421],
    ['checkOrigin: true sees another origin', { checkOrigin: true }, 403],
    ['checkOrigin refuses', { checkOrigin: () => false }, 403],
  ] satisfies [string, ProxyOptions, number][])(
    'reaches no target when %s',
    async (_, options, status) => {
      const add = ['Origin: http://elsewhere.example'];
      expect(await answered(options, add)).toEqual({ status, asked: 0, reported: [] });
    },
  );

  it('is refused above maxConnections until a connection ends', async () => {
    const backend = await rawTarget();
    const between = await front(backend.url, { maxConnections: 1 });
    const { client, target, proxied } = await openPair(between, backend);
    const second = await rawClient(between.port);
    expect((await second.upgrade()).status).toBe(503);
    second.destroy();
    client.reset();
    await target.finish();
    await proxied.closed;
    await openPair(between, backend);
  });

  /** A proxy with an entry of `limits` by user, before a server that echoes. */
  async function users(options: ProxyOptions, limit: { over?: 'oldest' } = {}) {
    const target = await serve({ host: '127.0.0.1' }, (conn) =>
      conn.receive((message) => conn.send(message)).catch(() => {}),
    );
    whenOver(() => target.close({ timeout: 1 }));
    const { url, next } = await front(target.url, {
      authenticate: ({ headers }) => admit(String(headers['x-user'])),
      limits: [{ by: ({ auth }) => String(auth), connections: 1, ...limit }],
      ...options,
    });
    const as = (user: string) => dial(url, { headers: { 'X-User': user } });
    const echoes = async (conn: Conn): Promise<void> => {
      await conn.send('hello');
      expect((await conn.readMessage()).text()).toBe('hello');
    };
    return { as, echoes, next };
  }

  it('102 is refused above the limit of a user, until his connection ends', async () => {
    const { as, echoes, next } = await users({});
    const [ada, bob] = [await as('ada'), await as('bob')];
    const refusal = { status: 429, headers: { 'retry-after': expect.any(String) } };
    for (let i = 0; i < 3; i++) await expect(as('ada')).rejects.toMatchObject(refusal);
    await echoes(bob);
    await ada.close();
    await (await next()).closed;
    await echoes(await as('ada'));
  });

  it.each(['frames', 'bytes', 'messages'] as const)(
    '102 closes the oldest connection of a user, in the mode %s',
    async (mode) => {
      const { as, echoes } = await users({ mode }, { over: 'oldest' });
      const [bob, old, young] = [await as('bob'), await as('ada'), await as('ada')];
      void old.discardReads().catch(() => {});
      expect((await old.closed).code).toBe(mode === 'bytes' ? 1006 : 4409);
      await echoes(bob);
      await echoes(young);
    },
  );

  it('102 has no rate, whose messages it does not read', () => {
    const limits = [{ by: 'address', rate: { messages: 5 } }] as const;
    expect(() => createProxy('ws://127.0.0.1:9', { limits })).toThrow(/limits.rate: .*target/);
  });

  /** Starts a target that accepts TCP and never answers the TLS handshake. */
  async function withoutTls(): Promise<{ url: string; accepted: Promise<unknown> }> {
    const silent = createServer((socket) => socket.on('error', () => {}).resume());
    const accepted = once(silent, 'connection');
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    whenOver(() => silent.close());
    const { port } = silent.address() as { port: number };
    return { url: `wss://127.0.0.1:${port}`, accepted };
  }

  it.each([
    ['connectTimeout', { connectTimeout: 60 }],
    ['handshakeTimeout', { connectTimeout: 60_000, handshakeTimeout: 60 }],
  ])('is 504 when no connection to its target opens within %s', async (option, options) => {
    const between = await front((await withoutTls()).url, options);
    const client = await rawClient(between.port);
    expect((await client.upgrade()).status).toBe(504);
    expect(String(between.reported[0])).toContain(`(option ${option})`);
    client.destroy();
  });

  it('ends the TLS handshake with its target when its client leaves', async () => {
    const { url, accepted } = await withoutTls();
    const between = await front(url, { connectTimeout: 60_000, handshakeTimeout: false });
    const client = await rawClient(between.port);
    await client.write(request());
    await accepted;
    client.reset();
    expect(await (await between.next()).closed).toMatchObject({ status: 0, endedBy: 'client' });
    expect(between.proxy.targets).toMatchObject([{ open: 0, failed: 0 }]);
  });

  it('is 400, also in its info, when its client ends its half before the answer', async () => {
    const { backend, between, client } = await withClient(() => undefined);
    await client.write(request());
    const target = await backend.next();
    client.end();
    expect(String(await client.untilEnd())).toMatch(/^HTTP\/1\.1 400 /);
    expect(await (await between.next()).closed).toMatchObject({ status: 400, endedBy: 'client' });
    await target.untilEnd();
    target.end();
  });

  it.each(['frames', 'bytes', 'messages'] as const)(
    'is 400 when its client sends more than 64 KiB before the answer, mode %s',
    async (mode) => {
      const { backend, between, client } = await withClient(() => undefined, {
        mode,
        handshakeTimeout: false,
      });
      await client.write(request());
      const target = await backend.next();
      void client.write(Buffer.alloc(70_000));
      client.end();
      expect(String(await client.untilEnd())).toMatch(/^HTTP\/1\.1 400 /);
      expect(await (await between.next()).closed).toMatchObject({ status: 400, endedBy: 'proxy' });
      await target.untilEnd();
      target.end();
      expect(between.proxy.targets).toMatchObject([{ open: 0, failed: 0 }]);
    },
  );

  it('aborts the signal of a target function when its client leaves', async () => {
    let asked!: (signal: AbortSignal) => void;
    const signal = new Promise<AbortSignal>((resolve) => {
      asked = resolve;
    });
    const between = await front((_, context) => {
      asked(context.signal);
      return new Promise((_resolve, reject) => {
        context.signal.addEventListener('abort', () => reject(new Error('gone')));
      });
    });
    const client = await rawClient(between.port);
    await client.write(request());
    const given = await signal;
    client.reset();
    if (!given.aborted) await once(given, 'abort');
    expect(await (await between.next()).closed).toMatchObject({ status: 0, endedBy: 'client' });
  });

  it('gets the subprotocol and the extensions that its target has chosen', async () => {
    const { url } = await rawServer(false, async (target) => {
      const lines = 'Sec-WebSocket-Protocol: v2\r\nSec-WebSocket-Extensions: foo; x=1\r\n';
      await target.write(switchingProtocols(await target.head(), lines));
    });
    const between = await front(url);
    const client = await rawClient(between.port);
    const { headers } = await client.upgrade({
      add: ['Sec-WebSocket-Protocol: v1, v2', 'Sec-WebSocket-Extensions: foo, bar'],
    });
    expect(headers.get('sec-websocket-protocol')).toBe('v2');
    expect(headers.get('sec-websocket-extensions')).toBe('foo; x=1');
    client.destroy();
  });

  it('is one message on the channel @ws:proxy', async () => {
    const seen: ProxyAccess[] = [];
    const listener = (message: unknown): void => void seen.push(message as ProxyAccess);
    subscribe('@ws:proxy', listener);
    whenOver(() => void unsubscribe('@ws:proxy', listener));
    const { client, target, proxied, front: between } = await pair();
    await client.send(1, 'hello');
    await target.sees(1);
    client.reset();
    await target.finish();
    await proxied.closed;
    expect(seen).toMatchObject([
      { status: 101, endedBy: 'client', code: 1001, bytesIn: 11, bytesOut: expect.any(Number) },
    ]);
    expect(seen[0]!.target).toBe(proxied.target.href);
    expect(between.proxy.proxied.size).toBe(0);
  });
});
