import { upgrade } from '@ws/fetch';
import { type CrosswsOptions, crosswsAdapter } from '@ws/fetch/node';
import { type ClientConn, dial } from '@ws/node-client';
import { describe, expect, it } from 'vitest';
import { refusal } from '../serving.ts';
import { serveByAdapter } from './adapter-server.ts';

/** As h3 and Nitro resolve: they show `crossws` of the Response, and nothing else. */
const resolveBy =
  (fetch: (request: Request) => Response | Promise<Response>): CrosswsOptions['resolve'] =>
  async (request) =>
    ((await fetch(request)) as { crossws?: object }).crossws ?? {};

const echo = (request: Request): Promise<Response> =>
  upgrade(request, {}, (conn) => conn.receive((message) => conn.send(message)));

async function echoes(conn: ClientConn, data: string | Uint8Array): Promise<unknown> {
  await conn.send(data);
  const message = await conn.readMessage();
  return message.isText ? message.text() : message.data;
}

describe('crosswsAdapter', () => {
  it('upgrades by the Response that a route returns', async () => {
    const { url, adapter } = await serveByAdapter({ resolve: resolveBy(echo) });
    const conn = await dial(url);
    expect(await echoes(conn, 'hello')).toBe('hello');
    expect(await echoes(conn, Uint8Array.of(1, 2))).toEqual(Uint8Array.of(1, 2));
    expect(adapter.connections.size).toBe(1);
    expect(await conn.close(4001, 'enough')).toMatchObject({ code: 4001, wasClean: true });
  });

  it.each([
    { who: 'a page', response: () => new Response('a page') },
    { who: 'the 401 of a middleware', response: () => new Response('who?', { status: 401 }) },
    { who: 'a missing page', response: () => new Response('none', { status: 404 }) },
    {
      who: 'a refusal after upgrade',
      response: async (request: Request) => {
        await echo(request);
        return new Response('no', { status: 403 });
      },
    },
    {
      who: 'a copy of the Response of upgrade',
      response: async (request: Request) => new Response(null, await echo(request)),
    },
  ])('answers $who with 404', async ({ response }) => {
    const { url, adapter } = await serveByAdapter({ resolve: resolveBy(response) });
    expect(await refusal(url)).toMatchObject({ status: 404 });
    expect(adapter.connections.size).toBe(0);
  });

  it('answers with 404 when resolve finds nothing, and without resolve and hooks', async () => {
    const { url } = await serveByAdapter({ resolve: () => undefined });
    expect(await refusal(url)).toMatchObject({ status: 404 });
    expect(await refusal((await serveByAdapter({})).url)).toMatchObject({ status: 404 });
  });

  it('sends the refusals of upgrade itself', async () => {
    const resolve = resolveBy((request) =>
      upgrade(
        request,
        { authenticate: () => ({ refuse: 401, headers: { 'WWW-Authenticate': 'Bearer' } }) },
        () => {},
      ),
    );
    const { url } = await serveByAdapter({ resolve });
    const error = await refusal(url);
    expect(error.status).toBe(401);
    expect(error.headers['www-authenticate']).toBe('Bearer');
    expect(await refusal(url, { headers: { Origin: 'https://example.org' } })).toMatchObject({
      status: 403,
    });
  });

  it.each([
    { what: 'without upgrade', hooks: { message: () => {} } },
    { what: 'whose upgrade returns headers', hooks: { upgrade: () => ({ headers: {} }) } },
    { what: 'whose upgrade returns nothing', hooks: { upgrade: () => {} } },
  ])('answers hooks $what with 500 and reports them', async ({ hooks }) => {
    const reports: unknown[] = [];
    const report = (error: unknown): void => void reports.push(error);
    const { url } = await serveByAdapter({ resolve: () => hooks, report });
    expect(await refusal(url)).toMatchObject({ status: 500 });
    expect(reports).toEqual([
      expect.objectContaining({ message: expect.stringContaining('Response of upgrade()') }),
    ]);
  });

  it('takes options of all connections, and names an unknown one', async () => {
    const { url } = await serveByAdapter({ hooks: { upgrade: echo }, maxConnections: 1 });
    const conn = await dial(url);
    expect(await refusal(url)).toMatchObject({ status: 503 });
    await conn.close();
    expect(() => crosswsAdapter({ wss: {} } as never)).toThrow(/wss/);
    expect(() => crosswsAdapter({ resolve: 1 } as never)).toThrow('resolve: expected a function');
  });
});

describe('behaviour of crossws that crosswsAdapter keeps', () => {
  it('gives the hook upgrade a Request with the URL and the headers of the client', async () => {
    const seen: unknown[] = [];
    const upgradeHook = (request: Request): Promise<Response> => {
      seen.push(new URL(request.url).search, request.headers.get('cookie'));
      return echo(request);
    };
    const { url } = await serveByAdapter({ hooks: { upgrade: upgradeHook } });
    const conn = await dial(`${url}/a?b=c`, { headers: { Cookie: 'id=1' } });
    expect(seen).toEqual(['?b=c', 'id=1']);
    await conn.close();
  });

  it('sends headers with the 101', async () => {
    const upgradeHook = (request: Request): Promise<Response> =>
      upgrade(request, { headers: { 'X-Powered-By': 'tests', 'Set-Cookie': 'a=1' } }, () => {});
    const { url } = await serveByAdapter({ hooks: { upgrade: upgradeHook } });
    const conn = await dial(url);
    expect(conn.response.headers).toMatchObject({
      'x-powered-by': 'tests',
      'set-cookie': ['a=1'],
    });
    await conn.close();
  });

  it('chooses no subprotocol by itself, and the one of an option', async () => {
    const options = { heartbeat: false, subprotocols: ['a', 'b'] } as const;
    const { url } = await serveByAdapter({ hooks: { upgrade: echo } });
    const plain = await dial(url, options);
    expect(plain.subprotocol).toBe('');
    await plain.close();
    const choosing = (request: Request): Promise<Response> =>
      upgrade(request, { subprotocols: ['b'] }, () => {});
    const chosen = await dial(
      (await serveByAdapter({ hooks: { upgrade: choosing } })).url,
      options,
    );
    expect(chosen.subprotocol).toBe('b');
    await chosen.close();
  });

  it('closes all connections by closeAll, and upgrades later ones', async () => {
    const { url, adapter } = await serveByAdapter({ hooks: { upgrade: echo } });
    const [first, second] = [await dial(url), await dial(url)];
    void first.discardReads().catch(() => {});
    void second.discardReads().catch(() => {});
    adapter.closeAll(4100, 'moved');
    expect(await first.closed).toMatchObject({ code: 4100, reason: 'moved' });
    expect(await second.closed).toMatchObject({ code: 4100, reason: 'moved' });
    const third = await dial(url);
    void third.discardReads().catch(() => {});
    adapter.closeAll(undefined, undefined, true);
    expect(await third.closed).toMatchObject({ code: 1006 });
  });

  it('closes with 1001 and refuses new requests after close', async () => {
    const { url, adapter } = await serveByAdapter({ hooks: { upgrade: echo } });
    const conn = await dial(url);
    void conn.discardReads().catch(() => {});
    const end = adapter.close();
    expect(await conn.closed).toMatchObject({ code: 1001 });
    await end;
    expect(await refusal(url)).toMatchObject({ status: 503 });
  });
});
