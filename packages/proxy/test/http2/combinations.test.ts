// Each version of HTTP to the proxy and from it to the target, in clear and over TLS.
import { type ClientConn, dial } from '@ws/node-client';
import { type Conn, type ServeOptions, serve } from '@ws/node-server';
import { nothingLeft, selfSigned, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { Proxied, ProxyOptions } from '../../src/index.ts';
import { front } from '../support.ts';
import { http2Front } from './support.ts';

type Version = 'HTTP/1.1' | 'HTTP/2';

const COMBINATIONS = (['HTTP/1.1', 'HTTP/2'] as const).flatMap((to) =>
  (['HTTP/1.1', 'HTTP/2'] as const).flatMap((from) =>
    ([false, true] as const).map((secure) => ({ to, from, secure })),
  ),
);

interface Opened {
  readonly client: ClientConn;
  readonly target: Conn;
  readonly proxied: Proxied;
  readonly version: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly close: () => Promise<void>;
}

describe.each(COMBINATIONS)('createProxy, $to in, $from out, TLS $secure', (combination) => {
  nothingLeft();

  async function open(
    options: ProxyOptions = {},
    dialOptions: Parameters<typeof dial>[1] = {},
    serveOptions: ServeOptions = {},
  ): Promise<Opened> {
    const { to, from, secure } = combination;
    const tls = await selfSigned();
    const overHttp2 = (version: Version): boolean => version === 'HTTP/2';
    let opened!: (one: readonly [Conn, { httpVersion: string; headers: object }]) => void;
    const asked = new Promise<Parameters<typeof opened>[0]>((resolve) => (opened = resolve));
    const server = await serve(
      {
        host: '127.0.0.1',
        readLimit: false,
        ...serveOptions,
        ...(secure && { tls }),
        ...(overHttp2(from) && { http2: secure ? true : 'clear' }),
      },
      (conn, req) => opened([conn, req]),
    );
    whenOver(() => server.close({ timeout: 1 }));
    const target = [{ url: server.url, tls: { ca: tls.cert } }];
    const http2 = overHttp2(from) && (secure ? 'auto' : 'only');
    const start = overHttp2(to) ? http2Front : front;
    const between = await start(target, { http2, ...options }, secure);
    const client = await dial(`${between.url}/path?q=1`, {
      http2: overHttp2(to) && 'only',
      tls: { ca: tls.cert },
      ...dialOptions,
    });
    const [conn, { httpVersion, headers }] = await asked;
    return {
      client,
      target: conn,
      proxied: await between.next(),
      version: httpVersion,
      headers: headers as Readonly<Record<string, unknown>>,
      close: () => between.proxy.close(),
    };
  }

  it.each(['frames', 'bytes', 'messages'] as const)(
    'passes messages, the headers and a clean close, mode %s',
    async (mode) => {
      const { client, target, proxied, version, headers } = await open(
        { mode },
        { headers: { Cookie: 'a=1; b=2', 'X-Test': 'ü' } },
      );
      expect(version).toBe(combination.from === 'HTTP/2' ? '2.0' : '1.1');
      expect(headers).toMatchObject({
        cookie: 'a=1; b=2',
        'x-test': 'ü',
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-proto': combination.secure ? 'https' : 'http',
      });
      void target.receive((message) => target.send(message));
      for (const data of ['', 'grüße', new Uint8Array(300_000).fill(7)]) {
        const sent = client.send(data);
        const message = await client.readMessage();
        await sent;
        expect(Buffer.compare(message.data, Buffer.from(data))).toBe(0);
      }
      expect(await client.close(4001, 'done')).toMatchObject({ code: 4001, wasClean: true });
      expect(await target.closed).toMatchObject({ code: 4001, reason: 'done', wasClean: true });
      const info = await proxied.closed;
      expect(info.status).toBe(101);
      if (mode !== 'bytes') expect(info).toMatchObject({ endedBy: 'client', code: 4001 });
      expect(info.error).toBeUndefined();
    },
  );

  it('passes the subprotocol and the compression on which both ends agree', async () => {
    const { client, target } = await open(
      {},
      { subprotocols: ['a', 'b'], compression: true },
      { subprotocols: ['b'], compression: true },
    );
    expect([client.subprotocol, target.subprotocol]).toEqual(['b', 'b']);
    expect(client.extensions).toMatch(/^permessage-deflate/);
    expect(target.extensions).toBe(client.extensions);
    await target.send('x'.repeat(10_000));
    expect((await client.readMessage()).text()).toBe('x'.repeat(10_000));
    await client.close();
  });

  it('passes the close frame of the target', async () => {
    const { client, target, proxied } = await open();
    const closing = target.close(4002, 'over');
    await expect(client.readMessage()).rejects.toMatchObject({ closeCode: 4002, reason: 'over' });
    expect(await closing).toMatchObject({ code: 4002, wasClean: true });
    expect(await client.closed).toMatchObject({ code: 4002, wasClean: true });
    expect(await proxied.closed).toMatchObject({ endedBy: 'target', code: 4002 });
  });

  it('sends 1014 to the client when the target dies', async () => {
    const { client, target, proxied } = await open();
    target.terminate();
    expect(await client.closed).toMatchObject({ code: 1014, wasClean: true });
    expect(await proxied.closed).toMatchObject({ endedBy: 'target', code: 1014 });
  });

  it('sends 1001 to the target when the client dies', async () => {
    const { client, target, proxied } = await open();
    client.terminate();
    expect(await target.closed).toMatchObject({ code: 1001, wasClean: true });
    expect(await proxied.closed).toMatchObject({ endedBy: 'client', code: 1001 });
  });

  it.each(['client', 'target'] as const)('passes the death of the %s, mode bytes', async (who) => {
    const opened = await open({ mode: 'bytes' });
    const other = who === 'client' ? opened.target : opened.client;
    opened[who].terminate();
    expect(await other.closed).toMatchObject({ code: 1006, wasClean: false });
    expect(await opened.proxied.closed).toMatchObject({ endedBy: who, code: 1006 });
  });

  it('sends 1001 to both at proxy.close', async () => {
    const { client, target, close } = await open();
    void target.discardReads();
    void client.discardReads();
    await close();
    for (const { closed } of [client, target]) {
      expect(await closed).toMatchObject({ code: 1001, wasClean: true });
    }
  });

  it('ends a message that is too big with 1009', async () => {
    const { client, target, proxied } = await open({ maxMessageSize: 1_000 });
    void client.send(new Uint8Array(2_000)).catch(() => {});
    expect(await client.closed).toMatchObject({ code: 1009 });
    expect(await target.closed).toMatchObject({ code: 1001 });
    expect(await proxied.closed).toMatchObject({ endedBy: 'proxy', code: 1009 });
  });
});
