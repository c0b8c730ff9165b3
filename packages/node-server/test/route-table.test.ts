import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { admit, type ConnHandler, HandshakeError, route, serve, Upgrader } from '../src/index.ts';
import { RouteTable } from '../src/route-table.ts';
import { connectRaw, exchange, request, serving, trapLeftovers } from './raw.ts';

trapLeftovers();

/** A table whose handlers are its patterns. */
function table(...patterns: string[]): {
  /** The pattern for a target and its parameters, or the status. */
  find(target: string): readonly unknown[] | number;
} {
  const names = new Map<() => void, string>();
  const handlers = patterns.map((pattern) => {
    const handler = (): void => {};
    names.set(handler, pattern);
    return [pattern, handler] as const;
  });
  const routes = new RouteTable<() => void>(Object.fromEntries(handlers));
  return {
    find(target) {
      try {
        const { handler, params } = routes.match(target);
        return [names.get(handler), ...Object.values(params)];
      } catch (error) {
        if (error instanceof HandshakeError) return error.status;
        throw error;
      }
    },
  };
}

describe('RouteTable.find', () => {
  const long = `/${Array.from({ length: 100 }, (_, i) => `:p${i}`).join('/')}`;
  it.each([
    { pattern: '/', target: '/', found: [] },
    { pattern: '/', target: 'ws://host', found: [] },
    { pattern: '/', target: 'ws://host?a=/b', found: [] },
    { pattern: '/', target: '/?a', found: [] },
    { pattern: '/', target: '//', found: 404 },
    { pattern: '/chat', target: '/chat', found: [] },
    { pattern: '/chat', target: '/chat?room=1&x=/y', found: [] },
    { pattern: '/chat', target: '/chat?', found: [] },
    { pattern: '/chat', target: '/chat??', found: [] },
    { pattern: '/chat', target: 'ws://host/chat?x', found: [] },
    { pattern: '/chat', target: 'HTTPS://user@host:80/chat', found: [] },
    { pattern: '/chat', target: '/chat/', found: 404 },
    { pattern: '/chat', target: '//chat', found: 404 },
    { pattern: '/chat', target: '/Chat', found: 404 },
    { pattern: '/chat', target: '/chat;v=1', found: 404 },
    { pattern: '/chat', target: '/chat%20', found: 404 },
    { pattern: '/chat', target: '/%63hat', found: 404 },
    { pattern: '/chat', target: '/./chat', found: 404 },
    { pattern: '/chat', target: '/x/../chat', found: 404 },
    { pattern: '/chat', target: '/chat/..', found: 404 },
    { pattern: '/chat', target: '/cha', found: 404 },
    { pattern: '/chat', target: '/chats', found: 404 },
    { pattern: '/chat', target: '/http://host/chat', found: 404 },
    { pattern: '/chat', target: '/constructor', found: 404 },
    { pattern: '/chat', target: '/__proto__', found: 404 },
    { pattern: '/chat/', target: '/chat/', found: [] },
    { pattern: '/chat/', target: '/chat', found: 404 },
    { pattern: '//chat', target: '//chat', found: [] },
    { pattern: '/caf%C3%A9', target: '/caf%C3%A9', found: [] },
    { pattern: '/caf%C3%A9', target: '/caf%c3%a9', found: 404 },
    { pattern: "/a-._~!$&'()+,;=@", target: "/a-._~!$&'()+,;=@", found: [] },
    { pattern: '/feed/:id', target: '/feed/7', found: ['7'] },
    { pattern: '/feed/:id', target: '/feed/7?id=8', found: ['7'] },
    { pattern: '/feed/:id', target: 'http://host/feed/7', found: ['7'] },
    { pattern: '/feed/:id', target: '/feed/', found: 404 },
    { pattern: '/feed/:id', target: '/feed', found: 404 },
    { pattern: '/feed/:id', target: '/feed//', found: 404 },
    { pattern: '/feed/:id', target: '/feed//7', found: 404 },
    { pattern: '/feed/:id', target: '/feed/7/', found: 404 },
    { pattern: '/feed/:id', target: '/feed/7/8', found: 404 },
    { pattern: '/feed/:id', target: '/feed/a%2Fb', found: ['a/b'] },
    { pattern: '/feed/:id', target: '/feed/a%252Fb', found: ['a%2Fb'] },
    { pattern: '/feed/:id', target: '/feed/%25', found: ['%'] },
    { pattern: '/feed/:id', target: '/feed/%3F%23', found: ['?#'] },
    { pattern: '/feed/:id', target: '/feed/a+b', found: ['a+b'] },
    { pattern: '/feed/:id', target: '/feed/caf%C3%A9', found: ['café'] },
    { pattern: '/feed/:id', target: '/feed/%F0%9F%98%80', found: ['\u{1f600}'] },
    { pattern: '/feed/:id', target: '/feed/..', found: ['..'] },
    { pattern: '/feed/:id', target: '/feed/.', found: ['.'] },
    { pattern: '/feed/:id', target: '/feed/%2e%2e', found: ['..'] },
    { pattern: '/feed/:id', target: '/feed/:id', found: [':id'] },
    { pattern: '/feed/:id', target: '/feed/%00', found: ['\0'] },
    { pattern: '/feed/:id', target: '/feed/%', found: 400 },
    { pattern: '/feed/:id', target: '/feed/%zz', found: 400 },
    { pattern: '/feed/:id', target: '/feed/%4', found: 400 },
    { pattern: '/feed/:id', target: '/feed/%u0041', found: 400 },
    { pattern: '/feed/:id', target: '/feed/%C3', found: 400 },
    { pattern: '/feed/:id', target: '/feed/%ff', found: 400 },
    { pattern: '/feed/:id', target: '/feed/%C0%AF', found: 400 },
    { pattern: '/feed/:id', target: '/feed/%ED%A0%80', found: 400 },
    { pattern: '/feed/:id', target: '/other/%zz', found: 404 },
    { pattern: '/feed/:id/', target: '/feed/7/', found: ['7'] },
    { pattern: '/:a/x/:b', target: '/1/x/2', found: ['1', '2'] },
    { pattern: '/:a/x/:b', target: '/1/y/2', found: 404 },
    { pattern: '/:a', target: '/', found: 404 },
    { pattern: '/:constructor/:__proto__/:toString', target: '/1/2/3', found: ['1', '2', '3'] },
    { pattern: long, target: `/${'x/'.repeat(99)}y`, found: [...Array(99).fill('x'), 'y'] },
    { pattern: long, target: `/${'x/'.repeat(100)}y`, found: 404 },
  ])('leads $target to $pattern with $found', ({ pattern, target, found }) => {
    const expected = typeof found === 'number' ? found : [pattern, ...found];
    expect(table(pattern).find(target)).toEqual(expected);
  });

  const many = ['/:a/:b/:c', '/x/:b/:c', '/x/y/:c', '/x/y/z', '/:a/y/z', '/:a/:b/z', '/x/:b/z'];
  it.each([
    { target: '/x/y/z', found: ['/x/y/z'] },
    { target: '/x/y/1', found: ['/x/y/:c', '1'] },
    { target: '/x/1/z', found: ['/x/:b/z', '1'] },
    { target: '/x/1/2', found: ['/x/:b/:c', '1', '2'] },
    { target: '/1/y/z', found: ['/:a/y/z', '1'] },
    { target: '/1/2/z', found: ['/:a/:b/z', '1', '2'] },
    { target: '/1/y/3', found: ['/:a/:b/:c', '1', 'y', '3'] },
    { target: '/x/y', found: 404 },
    { target: '/x/y/%7A', found: ['/x/y/:c', 'z'] },
  ])('prefers the route that is literal further left: $target', ({ target, found }) => {
    expect(table(...many).find(target)).toEqual(found);
    expect(table(...many.toReversed()).find(target)).toEqual(found);
  });

  it('gives parameters without a prototype', () => {
    const routes = new RouteTable<() => void>({ '/:__proto__/:constructor': () => {} });
    const { params } = routes.match('/1/2');
    expect(Object.getPrototypeOf(params)).toBe(null);
    expect(Object.entries(params)).toEqual([
      ['__proto__', '1'],
      ['constructor', '2'],
    ]);
    expect(({} as Record<string, unknown>)['constructor']).toBe(Object);
    const { params: none } = new RouteTable<() => void>({ '/': () => {} }).match('/');
    expect(Object.getPrototypeOf(none)).toBe(null);
    expect(Object.isFrozen(none)).toBe(true);
  });

  it('splits a path no further than its patterns reach', () => {
    const routes = table('/a/:b');
    const targets = ['/'.repeat(8_000_000), `/a/b${'/c'.repeat(4_000_000)}`];
    const split = vi.spyOn(String.prototype, 'split');
    for (const target of targets) expect(routes.find(target)).toBe(404);
    const parts = split.mock.results.map(({ value }) => (value as string[]).length);
    split.mockRestore();
    expect(Math.max(...parts)).toBeLessThanOrEqual(4);
  });

  it('lists the routes in the error, and does not show them to the peer', () => {
    const routes = new RouteTable<() => void>({ '/chat': () => {}, '/feed/:id': () => {} });
    const fault = (target: string): HandshakeError => {
      try {
        routes.match(target);
      } catch (error) {
        return error as HandshakeError;
      }
      throw new Error('found');
    };
    expect(fault('/chatt?token=secret').message).toBe(
      'websocket: 404: no route for "/chatt"; known routes: /chat, /feed/:id',
    );
    expect(fault('/chatt').body).toMatch(/no WebSocket route has this path/);
    expect(fault('/chatt').body).not.toMatch(/chatt|feed/);
    expect(fault('/\x1b[31m"\n').message).toContain('"/\\u001b[31m\\"\\n"');
    expect(fault(`/${'x'.repeat(10_000)}`).message.length).toBeLessThan(200);
  });
});

describe('new RouteTable', () => {
  const run = (): void => {};
  it.each([
    { says: 'no slash', routes: { chat: run }, names: '"chat" does not start with a slash' },
    { says: 'nothing', routes: { '': run }, names: '"" does not start with a slash' },
    { says: 'a URL', routes: { 'ws://host/chat': run }, names: 'ws://host/chat' },
    { says: 'any path', routes: { '*': run }, names: '"*"' },
    { says: 'a star', routes: { '/files/*': run }, names: '"/files/*"' },
    { says: 'a star in a segment', routes: { '/a*b': run }, names: '"/a*b"' },
    { says: 'a query', routes: { '/chat?x': run }, names: '"/chat?x"' },
    { says: 'an optional parameter', routes: { '/feed/:id?': run }, names: '":id?"' },
    { says: 'a fragment', routes: { '/chat#x': run }, names: '"/chat#x"' },
    { says: 'a space', routes: { '/my chat': run }, names: '"/my chat"' },
    { says: 'a line end', routes: { '/chat\r\n': run }, names: 'chat\\r\\n' },
    { says: 'a letter that is not encoded', routes: { '/café': run }, names: '"/café"' },
    { says: 'half an escape', routes: { '/a%4': run }, names: '"/a%4"' },
    { says: 'a backslash', routes: { '/a\\b': run }, names: 'a\\\\b' },
    { says: 'a brace', routes: { '/{id}': run }, names: '"/{id}"' },
    { says: 'an empty name', routes: { '/feed/:': run }, names: '"/feed/:"' },
    { says: 'an empty name inside', routes: { '/:/feed': run }, names: '"/:/feed"' },
    { says: 'a name with a dash', routes: { '/:feed-id': run }, names: '":feed-id"' },
    { says: 'a name with a digit first', routes: { '/:1': run }, names: '":1"' },
    { says: 'a pattern for a parameter', routes: { '/:id(\\d+)': run }, names: ':id(' },
    { says: 'a parameter in a segment', routes: { '/feed-:id': run }, names: '"feed-:id"' },
    { says: 'two in a segment', routes: { '/:a:b': run }, names: '":a:b"' },
    { says: 'a name twice', routes: { '/:id/x/:id': run }, names: 'two parameters :id' },
    {
      says: 'two patterns for the same paths',
      routes: { '/a/:x': run, '/b': run, '/a/:y': run },
      names: '/a/:y and /a/:x match the same paths',
    },
    { says: 'a text for a handler', routes: { '/chat': 'run' }, names: '"/chat"' },
    { says: 'no handler', routes: { '/chat': undefined }, names: '"/chat"' },
    { says: 'a null', routes: { '/chat': null }, names: '"/chat"' },
    { says: 'an object', routes: { '/chat': { run } }, names: '"/chat"' },
    { says: 'no path at all', routes: {}, names: 'at least one path' },
  ])('refuses $says by name', async ({ routes, names }) => {
    const table = routes as never;
    const upgrader = new Upgrader();
    expect(() => upgrader.handler(table)).toThrow(TypeError);
    expect(() => upgrader.handler(table)).toThrow(names);
    expect(() => upgrader.handler(table)).toThrow('routes: ');
    const failed = serve({ port: 0 }, table);
    await expect(failed).rejects.toBeInstanceOf(TypeError);
    await expect(failed).rejects.toThrow(names);
  });

  it.each([undefined, null, 5, 'x', [run], new Map([['/', run]]), route({}, run)])(
    'refuses %o, which is neither a handler nor an object of handlers',
    async (routes) => {
      const message = /^handler: expected a function, or routes by path/;
      expect(() => new Upgrader().handler(routes as never)).toThrow(message);
      await expect(serve({ port: 0 }, routes as never)).rejects.toThrow(message);
    },
  );

  it('says what to pass instead of an object with a handler, or of a promise', async () => {
    const hub = { handler: async (): Promise<void> => {} };
    const own = 'got Object; pass its property handler, as in hub.handler';
    const called = 'got Promise; pass the function itself, without calling it';
    const path = "got Object; write { '/path': route(...) }";
    const wanted = 'handler: expected a function, or routes by path, ';
    const inTable = 'routes: "/a": expected a function or route(...), ';
    for (const [make, message] of [
      [() => hub, wanted + own],
      [() => Promise.reject(new Error('never reported')), wanted + called],
      [() => route({}, run), wanted + path],
      [() => ({ '/a': hub }), inTable + own],
      [() => ({ '/a': hub.handler() }), inTable + called],
    ] as const) {
      expect(() => new Upgrader().handler(make() as never)).toThrow(new TypeError(message));
      await expect(serve({ port: 0 }, make() as never)).rejects.toEqual(new TypeError(message));
    }
    expect(() => route({}, hub as never)).toThrow(`handler: expected a function, ${own}`);
  });

  it.each([
    { '/a/:x': run, '/a/:x/:y': run },
    { '/:x/a': run, '/a/:x': run },
    { '/:x': run, '/:x/': run },
  ])('accepts $0, which have different paths', (routes) => {
    expect(typeof new Upgrader().handler(routes as object)).toBe('function');
  });

  it('copies its patterns', () => {
    const routes: Record<string, () => void> = { '/a': run };
    const found = new RouteTable<() => void>(routes);
    delete routes['/a'];
    routes['/b'] = run;
    expect(found.match('/a').handler).toBe(run);
    expect(() => found.match('/b')).toThrow(HandshakeError);
  });
});

/** Serves, and closes after the test. */
const started = (async (...args: Parameters<typeof serve>) => {
  const server = await serving(...args);
  return server;
}) as typeof serve;
const portOf = (server: { url: string }): number => Number(new URL(server.url).port);
const line = (target: string): { line: string } => ({ line: `GET ${target} HTTP/1.1` });

/** Upgrades at `target` and returns the text of the first frame, or the status. */
async function greeting(port: number, target: string): Promise<string | number> {
  const client = await connectRaw(port);
  const answer = await client.upgrade(line(target));
  if (answer.status === 101) await client.until(() => client.received.length > 2);
  client.stream.destroy();
  return answer.status === 101 ? client.received.subarray(2).toString() : answer.status;
}

describe('serve with routes', () => {
  const run = (): void => {};
  const say =
    (text: string): ConnHandler<unknown, object> =>
    (conn, _req, { params }) =>
      conn.send(`${text} ${JSON.stringify(params)}`);
  const routes = { '/chat': say('chat'), '/feed/:id': say('feed') };

  it('runs the handler of each path with its parameters, and refuses other paths with 404', async () => {
    const port = portOf(await started({}, routes));
    expect(await greeting(port, '/chat?x')).toBe('chat {}');
    expect(await greeting(port, '/feed/a%2Fb')).toBe('feed {"id":"a/b"}');
    expect(await greeting(port, 'ws://server.example.com/feed/7?x')).toBe('feed {"id":"7"}');
    expect(await greeting(port, '/feed/%zz')).toBe(400);
    const next = 'GET /admin HTTP/1.1\r\nHost: a\r\n\r\n';
    const answer = await exchange(port, request({ ...line('/admin'), behind: next }));
    expect(answer.status).toBe(404);
    expect(answer.headers.get('connection')).toBe('close');
    expect(answer.body).toContain('no WebSocket route has this path');
    expect(answer.raw.split('HTTP/1.1 ').length).toBe(2);
  });

  it('counts the handshakeTimeout of a route from the request, also after a slow page', async () => {
    const responses: ServerResponse[] = [];
    const slow = route(
      { handshakeTimeout: 1, authenticate: () => new Promise<never>(() => {}) },
      run,
    );
    const listener = (_req: unknown, res: ServerResponse): void => void responses.push(res);
    const options = { request: listener, handshakeTimeout: 1_000_000 };
    const server = await started(options, { '/slow': slow });
    const upgrade = once(server.http, 'upgrade');
    const client = await connectRaw(portOf(server));
    const page = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    client.stream.write(Buffer.concat([page, request(line('/slow'))]));
    await upgrade;
    responses[0]!.end('page');
    await client.closed;
    expect(client.received.toString('latin1')).toMatch(/page[^]* 503 [^]*handshake timed out/);
  });

  it('gives handlers a path with decoded segments, and refuses bytes that are no UTF-8', async () => {
    const port = portOf(await started({}, (conn, _req, { path }) => conn.send(path)));
    expect(await greeting(port, '/%c3%bc/a%2Fb?%ff')).toBe('/ü/a%2Fb');
    expect(await greeting(port, '/%ff')).toBe(400);
  });

  it('rejects the former options `routes` and `path` with a TypeError that has the cure', async () => {
    await expect(serve({ routes } as never, run)).rejects.toThrow(
      /^serve: unknown option routes; pass the routes as the second argument/,
    );
    await expect(serve({ path: '/chat' } as never, run)).rejects.toThrow(
      /^serve: unknown option path; use socketPath .* routes as the second argument/,
    );
  });

  it.each([
    { first: 'no version', change: { without: ['sec-websocket-version'] }, status: 400 },
    {
      first: 'a foreign version',
      change: { without: ['sec-websocket-version'], add: ['Sec-WebSocket-Version: 8'] },
      status: 426,
    },
    { first: 'POST', change: { line: 'POST /nowhere HTTP/1.1' }, status: 405 },
    { first: 'the path', change: { add: ['Origin: https://evil.example'] }, status: 404 },
    { first: 'the path', change: { without: ['sec-websocket-key'] }, status: 404 },
    { first: 'the path', change: { add: ['Sec-WebSocket-Protocol: a b'] }, status: 404 },
  ])('names $first when the path is wrong too: $status', async ({ change, status }) => {
    let asked = 0;
    const authenticate = (): undefined => void asked++;
    const port = portOf(await started({ authenticate }, routes));
    const answer = await exchange(port, request({ ...line('/nowhere'), ...change }));
    expect(answer.status).toBe(status);
    expect(asked).toBe(0);
  });

  it('checks the path after the place is free, and before it asks for the origin', async () => {
    let release: (() => void) | undefined;
    let asked: (() => void) | undefined;
    const waits = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const checkOrigin = (): Promise<boolean> =>
      new Promise((resolve) => {
        release = () => resolve(true);
        asked!();
      });
    const port = portOf(await started({ checkOrigin, maxHandshakes: 1 }, routes));
    const pending = greeting(port, '/chat');
    await waits;
    expect(await greeting(port, '/nowhere')).toBe(503);
    release!();
    expect(await pending).toBe('chat {}');
    expect(await greeting(port, '/nowhere')).toBe(404);
  });

  it('passes an unknown path to the error hook', async () => {
    const told: string[] = [];
    const port = portOf(
      await started(
        {
          error: (_req, _socket, status, error) => {
            told.push(error.message);
            return { status, body: 'mine' };
          },
        },
        routes,
      ),
    );
    const answer = await exchange(port, request(line('/nowhere')));
    expect(answer.body).toBe('mine');
    expect(told).toEqual([
      'websocket: 404: no route for "/nowhere"; known routes: /chat, /feed/:id',
    ]);
  });

  it('gives plain requests on every path to `request`', async () => {
    const port = portOf(
      await started({ request: (req, res) => void res.end(`page ${req.url}`) }, routes),
    );
    for (const target of ['/chat', '/feed/1', '/nowhere']) {
      const bytes = `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
      expect((await exchange(port, Buffer.from(bytes))).body).toContain(`page ${target}`);
    }
    expect(await greeting(port, '/chat')).toBe('chat {}');
  });

  it('counts and closes the connections of every route', async () => {
    const server = await serve({}, { ...routes, '/other': say('rest') });
    const clients = await Promise.all(
      ['/chat', '/feed/1', '/other'].map(async (target) => {
        const client = await connectRaw(portOf(server));
        await client.upgrade(line(target));
        client.stream.on('end', () => client.stream.end());
        return client;
      }),
    );
    expect(server.connections.size).toBe(3);
    const codes = [...server.connections].map((conn) => conn.closed);
    const closing = server.close({ timeout: 50 });
    await Promise.all(
      clients.map(async (client) => {
        await client.until(() => client.received.includes(Buffer.from([0x88, 2, 0x03, 0xe9])));
        client.stream.end();
      }),
    );
    await closing;
    expect((await Promise.all(codes)).length).toBe(3);
    expect(server.connections.size).toBe(0);
  });

  it('closes a connection with 1011 when its handler fails', async () => {
    const reported: unknown[] = [];
    const port = portOf(
      await started(
        { report: (error) => reported.push(String(error)) },
        { '/fail': () => Promise.reject(new Error('mine')) },
      ),
    );
    const client = await connectRaw(port);
    await client.upgrade(line('/fail'));
    await client.until(() => client.received.length >= 4);
    expect(client.received.readUInt16BE(2)).toBe(1011);
    expect(reported).toEqual(['Error: mine']);
    client.stream.destroy();
  });

  it('works on a given server and leaves no listener', async () => {
    const own = createServer((_req, res) => res.end('mine')).listen(0, '127.0.0.1');
    await once(own, 'listening');
    const server = await serve({ server: own }, routes);
    const port = (own.address() as AddressInfo).port;
    expect(await greeting(port, '/feed/1')).toBe('feed {"id":"1"}');
    expect(await greeting(port, '/nowhere')).toBe(404);
    await server.close({ timeout: 1 });
    expect(own.listenerCount('upgrade')).toBe(0);
    own.close();
    own.closeAllConnections();
    await once(own, 'close');
  });
});

describe('Upgraders on several paths of one server', () => {
  it('answer their own paths, and 404 for the others', async () => {
    const open = new Upgrader().handler({ '/chat': (conn) => conn.send('chat') });
    const closed = new Upgrader({
      authenticate: (req) =>
        req.headers['authorization'] === 'Bearer me' ? admit({ user: 'me' }) : { refuse: 401 },
    }).handler({
      '/admin/:room': (conn, _req, { auth, params }) => conn.send(`${auth.user} ${params.room}`),
    });
    const server = createServer()
      .on('upgrade', (req, socket, head) =>
        (req.url!.startsWith('/admin/') ? closed : open)(req, socket, head),
      )
      .listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    expect(await greeting(port, '/chat')).toBe('chat');
    expect(await greeting(port, '/admin/1')).toBe(401);
    expect(await greeting(port, '/admin/1/2')).toBe(404);
    expect(await greeting(port, '/')).toBe(404);
    const client = await connectRaw(port);
    await client.upgrade({ ...line('/admin/1'), add: ['Authorization: Bearer me'] });
    await client.until(() => client.received.length > 2);
    expect(client.received.subarray(2).toString()).toBe('me 1');
    client.stream.destroy();
  });
});
