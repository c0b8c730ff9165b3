import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Conn } from '@ws/conn';
import { dial } from '@ws/node-client';
import { http2Client, nothingLeft, selfSigned, turn, WEBSOCKET_REQUEST, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { admit, refuse, type ServeOptions, serve, Upgrader } from '../../src/index.ts';
import { ask, bodyOf, echo, open, served, sessionWith } from './client.ts';

nothingLeft();

describe('serve with http2', () => {
  it('carries WebSockets on one session over TLS, and HTTP/1.1 beside it', async () => {
    const tls = await selfSigned();
    const server = await serve({ host: '127.0.0.1', tls, http2: true }, echo);
    whenOver(() => server.close({ timeout: 200 }));
    const session = await sessionWith(server.url);
    const conns = [await open(session), await open(session), await open(session)];
    for (const [i, conn] of conns.entries()) {
      await conn.send(`message ${i}`);
      expect((await conn.readMessage()).text()).toBe(`message ${i}`);
    }
    const old = await dial(server.url, { tls: { rejectUnauthorized: false } });
    await old.send('over HTTP/1.1');
    expect((await old.readMessage()).text()).toBe('over HTTP/1.1');
    expect(server.stats).toMatchObject({ opened: 4, open: 4 });
    for (const conn of [...conns, old]) {
      expect(await conn.close()).toMatchObject({ code: 1000, wasClean: true });
    }
  });

  it('gives the application the request, the context and compression, as over HTTP/1.1', async () => {
    const seen: unknown[] = [];
    const server = await served(
      false,
      {
        subprotocols: ['b'],
        compression: true,
        headers: { 'Set-Cookie': ['a=1', 'b=2'] },
        authenticate: (req, { path, address }) => {
          seen.push(req.url, req.headers.host, req.headers.cookie, path, address);
          return admit('ada');
        },
      },
      ((conn: Conn, req: IncomingHttpHeaders, ctx: { auth: string }) => {
        seen.push(req['httpVersion'], ctx.auth, conn.data, conn.subprotocol);
        return echo(conn);
      }) as never,
    );
    const session = await sessionWith(server.url);
    const { headers, status } = await ask(session, {
      ':path': '/a%20b?c=d',
      cookie: 'id=7',
      origin: `http://127.0.0.1:${server.port}`,
      'sec-websocket-protocol': 'a, b',
      'sec-websocket-extensions': 'permessage-deflate; client_max_window_bits',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    });
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'sec-websocket-protocol': 'b',
      'sec-websocket-accept': 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
      'set-cookie': ['a=1', 'b=2'],
    });
    expect(headers['sec-websocket-extensions']).toMatch(/^permessage-deflate/);
    const host = `127.0.0.1:${server.port}`;
    expect(seen).toEqual([
      '/a%20b?c=d',
      host,
      'id=7',
      '/a b',
      '127.0.0.1',
      '2.0',
      'ada',
      'ada',
      'b',
    ]);
  });

  it('sends no accept value without a valid key', async () => {
    const server = await served(false);
    const session = await sessionWith(server.url);
    for (const change of [{}, { 'sec-websocket-key': 'short' }]) {
      const { status, headers } = await ask(session, change);
      expect(status).toBe(200);
      expect(headers['sec-websocket-accept']).toBeUndefined();
    }
  });

  it.each<[string, Record<string, string>, number]>([
    ['another protocol', { ':protocol': 'connect-udp' }, 501],
    ['version 8', { 'sec-websocket-version': '8' }, 426],
    ['another Host', { ':authority': 'a', host: 'other' }, 400],
    ['a body', { 'content-length': '3' }, 400],
    ['a foreign origin', { origin: 'https://evil.example' }, 403],
    ['bad extensions', { 'sec-websocket-extensions': 'a; b=' }, 400],
    ['a fragment', { ':path': '/#a' }, 400],
  ])('refuses %s', async (_, change, status) => {
    const server = await served(false);
    const answer = await ask(await sessionWith(server.url), change);
    expect(answer.status).toBe(status);
    expect(await bodyOf(answer)).toMatch(/\n$/);
    expect(server.stats.refused).toEqual({ [status]: 1 });
  });

  it('refuses CONNECT without a protocol with 405, and a repeated Origin with 400', async () => {
    const server = await served(false);
    const peer = await http2Client(server.port);
    peer.headers(1, { ':method': 'CONNECT', ':authority': 'a:1' });
    await peer.until(() => peer.story(1).length > 1);
    expect(peer.status(1)).toBe(405);
    const twice = await http2Client(server.port);
    const fields = [
      ...Object.entries(WEBSOCKET_REQUEST),
      ['origin', 'http://a'],
      ['origin', 'http://a'],
    ];
    twice.headers(1, fields as [string, string][]);
    await twice.until(() => twice.story(1).length > 1);
    expect(twice.status(1)).toBe(400);
  });

  it('answers plain requests with 426 without headers of a connection, or by the option', async () => {
    const server = await served(false);
    const session = await sessionWith(server.url);
    const stream = session.request({ ':path': '/' });
    const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
    expect(headers[':status']).toBe(426);
    expect(headers['upgrade']).toBeUndefined();
    stream.resume();
    await once(stream, 'close');
    const other = await served(false, { request: (_req, res) => res.end('a page') });
    const page = (await sessionWith(other.url)).request({ ':path': '/' });
    let text = '';
    for await (const chunk of page.setEncoding('utf8')) text += String(chunk);
    expect(text).toBe('a page');
  });

  it('keeps the frames that arrive before its answer', async () => {
    let answer!: (auth: true) => void;
    const server = await served(false, {
      authenticate: () => new Promise<true>((done) => (answer = done)),
    });
    const session = await sessionWith(server.url);
    const stream = session.request(
      { ...WEBSOCKET_REQUEST, ':authority': `127.0.0.1:${server.port}` },
      { endStream: false },
    );
    stream.on('error', () => {});
    stream.write(Buffer.from('818200000000', 'hex'));
    stream.write('hi');
    while (server.stats.handshakesPending === 0) await turn();
    for (let i = 0; i < 5; i++) await turn();
    answer(true);
    const [chunk] = (await once(stream, 'data')) as [Buffer];
    expect(chunk.toString('latin1')).toBe('\x81\x02hi');
  });

  it('refuses clients that send more than 64 KiB before their answer', async () => {
    const options = {
      authenticate: () => new Promise(() => {}),
    };
    const server = await served(true, options as ServeOptions);
    const peer = await http2Client(server.port, [], true);
    // The window counts from the acknowledgement of the SETTINGS on.
    await peer.until(() => peer.story(0).length > 1);
    const ids = Array.from({ length: 20 }, (_, i) => 2 * i + 1);
    for (const id of ids) peer.headers(id, WEBSOCKET_REQUEST);
    const data = Buffer.alloc(16_000);
    for (let sent = 0; sent < 250; sent++) {
      for (const id of ids) if (peer.story(id).length === 0) peer.data(id, data);
      await turn();
    }
    await peer.until(() => ids.every((id) => peer.story(id).length > 0));
    for (const id of ids) expect(peer.story(id)[0]).toBe('HEADERS');
    expect(peer.ended).toBe(false);
  });

  it('refuses with a Response of authenticate', async () => {
    const headers: [string, string][] = [
      ['Retry-After', '7'],
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2'],
      ['Connection', 'close'],
    ];
    const authenticate = () => refuse(new Response('no entry', { status: 403, headers }));
    const server = await served(false, { authenticate });
    const answer = await ask(await sessionWith(server.url));
    expect(answer.status).toBe(403);
    expect(answer.headers).toMatchObject({ 'retry-after': '7', 'set-cookie': ['a=1', 'b=2'] });
    expect(await bodyOf(answer)).toBe('no entry');
  });

  it('aborts the signal of authenticate when the client resets the stream', async () => {
    let signal: AbortSignal | undefined;
    const server = await served(false, {
      authenticate: (_req, context) => {
        signal = context.signal;
        return new Promise<boolean>(() => {});
      },
      handshakeTimeout: 500,
    });
    const peer = await http2Client(server.port);
    peer.headers(1, WEBSOCKET_REQUEST);
    while (signal === undefined) await turn();
    peer.reset(1, 8);
    while (!signal.aborted) await turn();
    expect(server.stats.opened).toBe(0);
    expect(peer.ended).toBe(false);
  });

  it.each([
    ['writes to', (stream: ServerHttp2Stream) => stream.end('no')],
    ['ends', (stream: ServerHttp2Stream) => stream.end()],
  ])('reports that the option error %s the stream', async (_, write) => {
    const reported: string[] = [];
    const server = await served(false, {
      authenticate: () => false,
      error: (_req, stream) => void write(stream as ServerHttp2Stream),
      report: (error) => reported.push((error as Error).message),
    });
    const stream = (await sessionWith(server.url)).request(
      { ...WEBSOCKET_REQUEST },
      { endStream: false },
    );
    stream.on('error', () => {}).resume();
    await new Promise((resolve) => stream.on('close', resolve).end());
    expect(reported).toEqual([expect.stringContaining('error: has written to the socket')]);
  });

  it('counts streams for limits by address', async () => {
    const server = await served(false, { limits: [{ by: 'address', connections: 2 }] });
    const session = await sessionWith(server.url);
    const first = await open(session);
    await open(session);
    expect((await ask(session)).status).toBe(429);
    await first.close();
    while (server.stats.open > 1) await turn();
    expect((await ask(session)).status).toBe(200);
  });

  it('sends GOAWAY, and then 1001 on each stream, when it closes', async () => {
    const server = await served(false);
    const peer = await http2Client(server.port);
    peer.headers(1, WEBSOCKET_REQUEST);
    await peer.until(() => peer.story(1).length > 0);
    const closing = server.close();
    await peer.until(() => peer.dataLength(1) > 0);
    const types = peer.frames.map(({ type }) => type);
    expect(types.indexOf('GOAWAY')).toBeLessThan(types.indexOf('DATA'));
    expect(peer.bytes(1).toString('hex')).toBe('880203e9');
    peer.data(1, Buffer.from('88820000000003e9', 'hex'), true);
    expect(await closing).toEqual({ closed: 1, terminated: 0, handlersPending: 0 });
    await peer.over();
  });

  it.each([
    [{ http2: true }, /http2: tls is missing.*http2: 'clear'/],
    [{ http2: {} }, /http2: tls is missing.*http2: 'clear'/],
    [{ http2: 'clear', tls: { key: '', cert: '' } }, /'clear' cannot be combined with tls/],
    [{ http2: 'h2', tls: { key: '', cert: '' } }, /http2: expected true, 'clear'/],
    [{ http2: { maxStreams: 0 }, tls: { key: '', cert: '' } }, /http2.maxStreams: expected/],
    [{ http2: { window: 2 ** 20 }, tls: { key: '', cert: '' } }, /http2: unknown option window/],
    [{ http2: 'clear', server: createServer() }, /server: expected a server of node:http/],
  ])('rejects the options %o', async (options, message) => {
    await expect(serve(options as never, echo)).rejects.toThrow(message);
  });
});

describe('Upgrader.streams', () => {
  /** A server of the user, whose listener for 'request' comes last. */
  async function own(
    add: (server: ReturnType<typeof createServer>, upgrader: Upgrader) => void,
  ): Promise<string> {
    const server = createServer({ settings: { enableConnectProtocol: true } });
    const upgrader = new Upgrader({ unmatched: 'leave' });
    add(server, upgrader);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    whenOver(async () => {
      await upgrader.close({ timeout: 200 });
      server.close();
    });
    return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it('serves the routes of your own server, and leaves other streams to it', async () => {
    const url = await own((server, upgrader) => {
      server.on('stream', upgrader.streams({ '/echo': echo }));
      server.on('stream', (stream: ServerHttp2Stream, headers) => {
        if (headers[':path'] === '/other') stream.respond({ ':status': 418 }, { endStream: true });
      });
      server.on('request', (req, res) => {
        if (req.url === '/') res.end('a page');
      });
    });
    const session = await sessionWith(url);
    const conn = await open(session, { ':path': '/echo' });
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    expect((await ask(session, { ':path': '/other' })).status).toBe(418);
    const page = session.request({ ':path': '/' });
    let text = '';
    for await (const chunk of page.setEncoding('utf8')) text += String(chunk);
    expect(text).toBe('a page');
    await conn.close();
  });

  it('is what upgradeStream does for one stream', async () => {
    const outcomes: Promise<unknown>[] = [];
    /** Replaces headers as another parser may find them. */
    let change: IncomingHttpHeaders = {};
    const outcomeOf = async (headers: IncomingHttpHeaders): Promise<unknown> => {
      change = headers;
      await ask(session);
      return outcomes.at(-1);
    };
    const url = await own((server, upgrader) => {
      server.on('stream', (stream: ServerHttp2Stream, given) => {
        const headers = { ...given, ...change };
        const opened = upgrader.upgradeStream(stream, headers, { headers: { 'X-Extra': '1' } });
        outcomes.push(opened.then(echo).catch((error: unknown) => error));
      });
    });
    const session = await sessionWith(url);
    const { status, headers } = await ask(session);
    expect([status, headers['x-extra']]).toEqual([200, '1']);
    const page = session.request({ ':path': '/' });
    const [answer] = (await once(page, 'response')) as [IncomingHttpHeaders];
    expect([answer[':status'], answer['allow']]).toEqual([405, 'CONNECT']);
    expect(await outcomes[1]).toMatchObject({ status: 405, code: 'WS_ERR_HANDSHAKE' });
    page.close();
    expect(await outcomeOf({ ':path': ['/a', '/b'] as never })).toMatchObject({ status: 400 });
    expect(await outcomeOf({ ':path': 5 as never })).toMatchObject({ status: 400 });
    expect(await outcomeOf({ ':method': ['CONNECT', 'GET'] as never })).toMatchObject({
      status: 405,
    });
    await expect(new Upgrader().upgradeStream({} as never, {})).rejects.toThrow(
      /^stream: expected/,
    );
  });
});
