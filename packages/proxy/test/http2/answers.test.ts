// What a client over HTTP/2 gets, and what a target over HTTP/2 gets.
import { once } from 'node:events';
import { connect, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';
import { dial } from '@ws/node-client';
import { admit, serve } from '@ws/node-server';
import { http2Client, nothingLeft, rawClient, WEBSOCKET_REQUEST, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { ProxyError, ProxyOptions } from '../../src/index.ts';
import { front, rawTarget } from '../support.ts';
import { http2Front, rawHttp2Target } from './support.ts';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Whether the stream was reset. */
  readonly isCut: boolean;
}

/** Sends a request on a session of its own. A field that is undefined is left out. */
async function ask(port: number, change: OutgoingHttpHeaders = {}): Promise<Answer> {
  const session = connect(`http://127.0.0.1:${port}`);
  whenOver(() => session.destroy());
  await once(session, 'remoteSettings');
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':path': '/',
      'sec-websocket-version': '13',
      ...change,
    },
    { endStream: false },
  );
  stream.on('error', () => {});
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
  let body = '';
  stream.setEncoding('utf8').on('data', (text: string) => (body += text));
  await once(stream, stream.readableEnded ? 'close' : 'end').catch(() => {});
  const isCut = stream.aborted || stream.rstCode === 8;
  stream.close();
  return { status: Number(headers[':status']), headers, body, isCut };
}

/** Asks a proxy whose target answers with `text`, and ends its connection with `ends`. */
async function refused(text: string, ends = false) {
  const backend = await rawTarget(() => text);
  const between = await http2Front(backend.url);
  const asked = ask(between.port);
  const proxied = await between.next();
  const target = await backend.next();
  if (ends) target.end();
  const answer = await asked;
  await target.untilEnd();
  target.end();
  return { ...answer, between, info: await proxied.closed };
}

describe('a target over HTTP/2', () => {
  nothingLeft();

  it('that leads back to the proxy is found, and Via names version 2', async () => {
    const vias: unknown[] = [];
    const between = await http2Front('ws://127.0.0.1:1', {
      http2: 'only',
      director: (_req, headers, { auth }) => void vias.push(headers.get('via'), auth),
      authenticate: () => admit('ada'),
    });
    between.proxy.targets = [between.url];
    expect((await ask(between.port)).status).toBe(508);
    expect(vias).toEqual([expect.stringMatching(/^2 ws-[0-9a-f]{16}$/), 'ada']);
    expect(between.reported.map((error) => (error as ProxyError).status)).toEqual([508, 508]);
  });
});

describe('a client over HTTP/2', () => {
  nothingLeft();

  it('gets the refusal of the target as a response on its stream', async () => {
    const { status, headers, body, isCut, info, between } = await refused(
      'HTTP/1.1 403 Forbidden\r\nX-A: b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nDate: x\r\nDate: y\r\n' +
        'Connection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 3\r\n\r\nno\n',
    );
    expect({ status, body, isCut }).toEqual({ status: 403, body: 'no\n', isCut: false });
    expect(headers).toMatchObject({
      'x-a': 'b',
      'set-cookie': ['a=1', 'b=2'],
      'content-length': '3',
    });
    expect(headers['x-hop']).toBeUndefined();
    expect(info).toMatchObject({ status: 403, endedBy: 'target' });
    expect((between.reported[0] as ProxyError).code).toBe('WS_ERR_PROXY_REFUSED');
  });

  it.each([
    ['in chunks', 'Transfer-Encoding: chunked\r\n\r\n1\r\nn\r\n2\r\no\n\r\n0\r\n\r\n', false],
    ['up to the end', '\r\nno\n', true],
  ])('gets the body of a refusal that comes %s', async (_, rest, ends) => {
    const { status, body, isCut } = await refused(`HTTP/1.1 401 Unauthorized\r\n${rest}`, ends);
    expect({ status, body, isCut }).toEqual({ status: 401, body: 'no\n', isCut: false });
  });

  it('gets a reset after a body that is cut', async () => {
    const { status, body, isCut } = await refused(
      'HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nno\n',
      true,
    );
    expect({ status, body, isCut }).toEqual({ status: 403, body: 'no\n', isCut: true });
  });

  it('gets 426 with the version, and no fields of a connection', async () => {
    const { status, headers } = await refused(
      'HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n',
    );
    expect(status).toBe(426);
    expect(headers['sec-websocket-version']).toBe('13');
    expect(headers.upgrade).toBeUndefined();
  });

  it('gets 304 without a body', async () => {
    expect(await refused('HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n')).toMatchObject({
      status: 304,
      body: '',
      isCut: false,
    });
  });

  it('gets 502 when the target answers with the 200 of a page: over HTTP/2 it would accept', async () => {
    const { status, body, info, between } = await refused(
      'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n',
    );
    expect({ status, body }).toEqual({ status: 502, body: 'Bad Gateway\n' });
    expect(info).toMatchObject({ status: 502 });
    expect(String(between.reported[0])).toContain('refused the handshake with 200');
  });

  it('gets 502 from a target that is away, 504 from one that is silent', async () => {
    const first = await http2Front('ws://127.0.0.1:1');
    expect(await ask(first.port)).toMatchObject({ status: 502, body: 'Bad Gateway\n' });
    expect((first.reported[0] as ProxyError).code).toBe('WS_ERR_PROXY_TARGET');
    const silent = await rawTarget(() => undefined);
    const second = await http2Front(silent.url, { handshakeTimeout: 250 });
    expect(await ask(second.port)).toMatchObject({ status: 504, body: 'Gateway Timeout\n' });
    const target = await silent.next();
    await target.untilEnd();
    target.end();
  });

  it.each<[string, OutgoingHttpHeaders, number, ProxyOptions]>([
    ['another protocol', { ':protocol': 'connect-udp' }, 501, {}],
    ['version 8', { 'sec-websocket-version': '8' }, 426, {}],
    ['another Host', { ':authority': 'a', host: 'elsewhere' }, 400, {}],
    ['a foreign origin', { origin: 'https://evil.example' }, 403, { checkOrigin: true }],
    ['a login that fails', {}, 401, { authenticate: () => undefined }],
    ['another name', {}, 421, { allowedHosts: ['example.org'] }],
  ])('is refused with %s, and reaches no target', async (_, change, status, options) => {
    const backend = await rawTarget();
    const between = await http2Front(backend.url, options);
    expect((await ask(between.port, change)).status).toBe(status);
    expect(backend.heads).toEqual([]);
  });

  it('is refused above limits and while the proxy closes', async () => {
    const backend = await rawTarget();
    const between = await http2Front(backend.url, { limits: [{ by: 'address', connections: 1 }] });
    const client = await dial(between.url, { http2: 'only' });
    expect((await ask(between.port)).status).toBe(429);
    client.terminate();
    const target = await backend.next();
    await target.untilEnd();
    target.end();
    const closing = between.proxy.close();
    expect((await ask(between.port)).status).toBe(503);
    await closing;
  });

  it('gets its pages from the listener for request, as before', async () => {
    const between = await http2Front('ws://127.0.0.1:1');
    between.server.on('request', (_req, res) => void res.end('a page'));
    const session = connect(`http://127.0.0.1:${between.port}`);
    whenOver(() => session.destroy());
    let body = '';
    for await (const text of session.request({ ':path': '/' }).setEncoding('utf8')) body += text;
    expect(body).toBe('a page');
    expect(between.proxy.proxied.size).toBe(0);
  });

  it('passes its headers to HTTP/1.1, its cookies in one line', async () => {
    const backend = await rawTarget();
    const between = await http2Front(backend.url, { trust: () => true });
    const client = await http2Client(between.port);
    client.headers(1, [
      ...Object.entries(WEBSOCKET_REQUEST),
      ['cookie', 'a=1'],
      ['cookie', 'b=2'],
      ['x-forwarded-for', '203.0.113.7'],
      ['sec-websocket-protocol', 'chat'],
    ]);
    const target = await backend.next();
    const lines = backend.heads[0]!.split('\r\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'GET / HTTP/1.1',
        'Host: localhost',
        'cookie: a=1; b=2',
        'X-Forwarded-For: 203.0.113.7, 127.0.0.1',
        'Sec-WebSocket-Protocol: chat',
        expect.stringMatching(/^Sec-WebSocket-Key: .{22}==$/),
      ]),
    );
    expect(lines.filter((line) => /^(?::|cookie)/i.test(line))).toHaveLength(1);
    target.end();
  });

  it('that reads no refusal loses its stream', async () => {
    const backend = await rawTarget(
      () => 'HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno\n',
    );
    const between = await http2Front(backend.url, { handshakeTimeout: 250 });
    // Its windows have no room.
    const client = await http2Client(between.port, [[4, 0]]);
    client.headers(1, WEBSOCKET_REQUEST);
    await client.until(() => client.story(1).includes('RST_STREAM 8'));
    const target = await backend.next();
    await target.untilEnd();
    target.end();
  });
});

describe('a target over HTTP/2', () => {
  nothingLeft();

  it('refuses a client of HTTP/1.1 with its status, headers and body', async () => {
    const server = await serve(
      {
        host: '127.0.0.1',
        http2: 'clear',
        authenticate: () => ({ refuse: 403, headers: { 'X-A': 'b' }, body: 'no\n' }),
      },
      () => {},
    );
    whenOver(() => server.close({ timeout: 1 }));
    const between = await front(server.url, { http2: 'only' });
    const client = await rawClient(between.port);
    await client.upgrade().then(({ status, raw }) => {
      expect(status).toBe(403);
      expect(raw).toMatch(/x-a: b\r\n/i);
    });
    expect(String(await client.untilEnd())).toContain('no\n');
    client.end();
  });

  it('gets one line of a field that occurs once', async () => {
    const seen: unknown[] = [];
    const server = await serve({ host: '127.0.0.1', http2: 'clear' }, (conn, { headers }) => {
      seen.push(headers.authorization, headers['x-many'], headers.host);
      return conn.discardReads();
    });
    whenOver(() => server.close({ timeout: 1 }));
    const between = await front(server.url, { http2: 'only', host: 'target' });
    const client = await rawClient(between.port);
    const { status } = await client.upgrade({
      add: ['Authorization: a', 'Authorization: b', 'X-Many: 1', 'X-Many: 2'],
    });
    expect(status).toBe(101);
    client.destroy();
    await (await between.next()).closed;
    expect(seen).toEqual(['a', '1, 2', new URL(server.url).host]);
  });

  it('shares one session between clients, and gets another one after GOAWAY', async () => {
    const server = await serve({ host: '127.0.0.1', http2: 'clear' }, (conn) =>
      conn.receive((message) => conn.send(message)),
    );
    whenOver(() => server.close({ timeout: 1 }));
    const sessions: { goaway(): void }[] = [];
    server.http.on('session', (session) => sessions.push(session));
    const between = await front(server.url, { http2: 'only' });
    const first = await dial(between.url);
    const second = await dial(between.url);
    expect(sessions).toHaveLength(1);
    first.terminate();
    sessions[0]!.goaway();
    await second.send('hello');
    expect((await second.readMessage()).text()).toBe('hello');
    const third = await dial(between.url);
    expect(sessions).toHaveLength(2);
    for (const conn of [second, third]) await conn.close();
  });

  it('is asked on another session when it has not processed a request', async () => {
    const backend = await rawHttp2Target((session) => session > 1);
    const between = await front(backend.url, { http2: 'only' });
    const opening = dial(between.url);
    const target = await backend.asked;
    target.reset(1, 7);
    const conn = await opening;
    expect(backend.sessions).toBe(2);
    expect(between.reported).toEqual([]);
    conn.terminate();
  });

  it.each([
    [
      'resets the stream',
      (target: { reset(stream: number, code: number): void }) => target.reset(1, 2),
    ],
    [
      'ends the connection',
      (target: { socket: { destroy(): unknown } }) => target.socket.destroy(),
    ],
  ])('that %s before its answer is a 502', async (_, end) => {
    const backend = await rawHttp2Target(() => false);
    const between = await front(backend.url, { http2: 'only' });
    const client = await rawClient(between.port);
    const answer = client.upgrade();
    end(await backend.asked);
    expect((await answer).status).toBe(502);
    expect(String(between.reported[0])).toContain('it closed the connection before its answer');
    await client.finish();
  });

  it('without HTTP/2 is a 502 with only', async () => {
    const server = await serve({ host: '127.0.0.1' }, () => {});
    whenOver(() => server.close({ timeout: 1 }));
    const between = await front(server.url, { http2: 'only', connectTimeout: 2_000 });
    const client = await rawClient(between.port);
    expect((await client.upgrade()).status).toBeGreaterThanOrEqual(502);
    await client.finish();
  });
});

describe('the option http2 of createProxy', () => {
  it('is false, auto or only', async () => {
    const { createProxy } = await import('../../src/index.ts');
    expect(() => createProxy('ws://127.0.0.1:1', { http2: true as never })).toThrow(
      'http2: expected one of false, "auto", "only", got true',
    );
  });
});
