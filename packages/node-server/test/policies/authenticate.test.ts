import { Readable } from 'node:stream';
import { runInNewContext } from 'node:vm';
import { describe, expect, expectTypeOf, it, onTestFinished } from 'vitest';
import {
  type Admission,
  type AdmitOrRefuse,
  type AuthenticateContext,
  type AuthOf,
  admit,
  type ConnHandler,
  type HandlerContext,
  type Refusal,
  refuse,
  type ServeOptions,
  serve,
  TimeoutError,
  Upgrader,
} from '../../src/index.ts';
import { serveRaw } from '../../src/raw/index.ts';
import { exchange, parseAnswer, request } from '../raw.ts';
import { connected, endAfterEach, listening } from '../upgrade-server.ts';

endAfterEach();

/** An error as http-errors creates it. */
function httpError(fields: object): Error {
  return Object.assign(new Error('the token has expired'), fields);
}

/** Sends one request to an Upgrader with this `authenticate`. */
async function answerTo(
  authenticate: () => unknown,
  options: ServeOptions<AdmitOrRefuse> = {},
): Promise<{ status: number; body: string; reported: unknown[]; headers: Map<string, string> }> {
  const reported: unknown[] = [];
  const upgrader = new Upgrader({
    ...options,
    authenticate: authenticate as () => never,
    report: (error) => reported.push(error),
  });
  const server = await listening(upgrader.handler((conn) => conn.terminate()));
  const client = await connected(server);
  client.stream.write(request());
  await client.closed;
  const { status, body, headers } = parseAnswer(client.received.toString());
  return { status, body, headers: headers as Map<string, string>, reported };
}

type MakeResponse = (status: number, body: string, headers: Record<string, string>) => unknown;

/** Responses that `instanceof` knows, and others. */
const RESPONSES: Readonly<Record<string, MakeResponse>> = {
  'of this realm': (status, body, headers) => new Response(body, { status, headers }),
  'of a subclass': (status, body, headers) =>
    new (class Page extends Response {})(body, { status, headers }),
  // As undici and @hono/node-server: other classes, with the tag.
  'of another class': (status, body, headers) => ({
    [Symbol.toStringTag]: 'Response',
    status,
    headers: new Map(Object.entries(headers)),
    body: new Response(body).body,
  }),
  // As node-fetch.
  'with a stream of Node': (status, body, headers) => ({
    [Symbol.toStringTag]: 'Response',
    status,
    headers,
    body: Readable.from([Buffer.from(body)]),
  }),
};

const returning = [
  ['returns', (value: unknown) => () => value],
  ['resolves with', (value: unknown) => () => Promise.resolve(value)],
] as const;

const throwing = [
  ...returning,
  [
    'throws',
    (error: unknown) => () => {
      throw error;
    },
  ],
  [
    'rejects with',
    (error: unknown) => async () => {
      throw error;
    },
  ],
] as const;

describe.each(returning)('authenticate that %s', (_, make) => {
  it.each([undefined, null, false])('%o refuses with 401', async (value) => {
    const { status, body, reported } = await answerTo(make(value));
    expect({ status, body }).toEqual({ status: 401, body: 'Unauthorized\n' });
    // The first undefined of a process is reported; see below.
    if (value !== undefined) expect(reported).toEqual([]);
  });

  it('a refusal with the status as a string refuses with 500 and says so', async () => {
    const { status, reported } = await answerTo(make({ refuse: '401' }));
    expect(status).toBe(500);
    expect(reported).toEqual([
      new TypeError(
        "authenticate: expected a refusal status from 300 to 599, got the string '401'",
      ),
    ]);
  });

  it.each(Object.entries(RESPONSES))(
    'refuse of a Response %s refuses with it',
    async (_, responseOf) => {
      const response = responseOf(403, 'no entry', { 'Retry-After': '7' });
      const refusal = refuse(response as Response);
      const { status, body, headers, reported } = await answerTo(make(refusal));
      expect({ status, body, reported }).toEqual({ status: 403, body: 'no entry', reported: [] });
      expect(headers.get('retry-after')).toBe('7');
    },
  );

  it.each(Object.entries(RESPONSES))(
    'refuse of a Response %s of a status that refuses nothing refuses with 500',
    async (_, responseOf) => {
      const { status, reported } = await answerTo(make({ refuse: responseOf(200, 'welcome', {}) }));
      expect(status).toBe(500);
      expect(reported).toEqual([
        new TypeError(
          'authenticate: expected a Response of 300 to 599, got 200; to refuse, write { refuse: 401 }',
        ),
      ]);
    },
  );

  it.each([true, admit('ada'), admit({ user: 'ada' })])('%o admits', async (value) => {
    expect(await answerTo(make(value))).toMatchObject({ status: 101, reported: [] });
  });

  it.each([
    { refuse: false },
    { refuse: '403' },
    { refuse: 200 },
    { refuse: undefined },
    { refuse: 403, body: 1 },
    { refuse: Number.NaN },
    { refuse: 403, headers: null },
    { refuse: 403, headers: { 'a b': 'c' } },
    { refuse: 403, headers: { Upgrade: 'b' } },
    { refuse: 403, headers: { 'X-A': 'a\r\nX-B: b' } },
  ])('%o, an invalid refusal, refuses with 500', async (value) => {
    const { status, body, headers, reported } = await answerTo(make(value));
    expect({ status, body }).toEqual({ status: 500, body: 'Internal Server Error\n' });
    expect(headers.has('x-b')).toBe(false);
    expect(reported).toEqual([expect.any(TypeError)]);
  });
});

describe.each(throwing)('authenticate that %s', (_, make) => {
  it.each([
    ['an Error', new Error('no such user')],
    ['an Error of ours', new TimeoutError('no such user')],
    ['an Error of another realm', runInNewContext('new Error("no such user")') as Error],
    ['an Error that is not exposed', httpError({ status: 401, expose: false })],
    ['an Error that only looks exposed', httpError({ status: 401, expose: 'yes' })],
    ['an exposed Error without a status', httpError({ expose: true })],
    ['an exposed Error with a status of a server', httpError({ status: 503, expose: true })],
    ['an exposed Error with a status that is text', httpError({ status: '401', expose: true })],
  ])('%s refuses with 500 and reports it', async (__, error) => {
    const { status, body, reported } = await answerTo(make(error));
    expect({ status, body }).toEqual({ status: 500, body: 'Internal Server Error\n' });
    expect(reported).toEqual([error]);
  });

  it('an exposed Error refuses with its status, without a report', async () => {
    const headers = { 'WWW-Authenticate': 'Bearer' };
    const answer = await answerTo(make(httpError({ status: 403, expose: true, headers })));
    expect(answer).toMatchObject({ status: 403, body: 'the token has expired\n', reported: [] });
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
  });
});

const bytes = (length: number): Uint8Array => new Uint8Array(length).fill(97);

/** A Response whose body is written by the test. */
function streamed(status: number): {
  response: Response;
  body: ReadableStreamDefaultController;
  cancelled: Promise<void>;
} {
  let body!: ReadableStreamDefaultController;
  let cancel!: () => void;
  const cancelled = new Promise<void>((resolve) => {
    cancel = resolve;
  });
  const stream = new ReadableStream({
    start(controller) {
      body = controller;
    },
    cancel,
  });
  return { response: new Response(stream, { status }), body, cancelled };
}

describe('refuse(response)', () => {
  it('refuses without the headers of its own connection', async () => {
    const headers: [string, string][] = [
      ['Connection', 'X-Hop'],
      ['X-Hop', '1'],
      ['Keep-Alive', 'timeout=5'],
      ['Transfer-Encoding', 'chunked'],
      ['Upgrade', 'h2c'],
      ['Content-Length', '99'],
      ['Content-Encoding', 'gzip'],
      ['Content-Type', 'text/html'],
      ['WWW-Authenticate', 'Bearer'],
    ];
    const answer = await answerTo(() => refuse(new Response('<p>', { status: 401, headers })));
    const { headers: sent } = answer;
    expect(sent.get('content-length')).toBe('3');
    expect(sent.get('content-type')).toBe('text/html');
    expect(sent.get('www-authenticate')).toBe('Bearer');
    for (const name of [
      'x-hop',
      'keep-alive',
      'transfer-encoding',
      'upgrade',
      'content-encoding',
    ]) {
      expect(sent.has(name)).toBe(false);
    }
  });

  it('keeps each Set-Cookie', async () => {
    const response = new Response(null, { status: 302, headers: { Location: '/login' } });
    response.headers.append('Set-Cookie', 'a=1');
    response.headers.append('Set-Cookie', 'b=2');
    const upgrader = new Upgrader({ authenticate: () => refuse(response) });
    const server = await listening(upgrader);
    const { raw, body } = await exchange(server.port, request());
    expect(raw.match(/^Set-Cookie: .*$/gim)?.map((line) => line.slice(12))).toEqual(['a=1', 'b=2']);
    expect(body).toBe('');
  });

  it('sends 64 KiB of its body at most', async () => {
    const { response, body, cancelled } = streamed(401);
    body.enqueue(bytes(60_000));
    body.enqueue(bytes(60_000));
    const answer = await answerTo(() => refuse(response));
    expect(answer.body).toHaveLength(65_536);
    await cancelled;
  });

  it('sends what has come of its body when the time of the handshake is up', async () => {
    const { response, body, cancelled } = streamed(401);
    body.enqueue(bytes(3));
    const answer = await answerTo(() => refuse(response), { handshakeTimeout: 20 });
    expect(answer).toMatchObject({ status: 401, body: 'aaa', reported: [] });
    await cancelled;
  });

  it('refuses when its body fails or was read before', async () => {
    const { response, body } = streamed(401);
    body.error(new Error('cut'));
    expect(await answerTo(() => refuse(response))).toMatchObject({
      status: 401,
      body: '',
      reported: [],
    });
    const read = new Response('no', { status: 401 });
    await read.text();
    expect(await answerTo(() => refuse(read))).toMatchObject({
      status: 401,
      body: '',
      reported: [],
    });
  });

  it('is no refusal when its client leaves meanwhile', async () => {
    const { response, cancelled } = streamed(401);
    let asked!: () => void;
    const called = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const authenticate = (): ReturnType<typeof refuse> => {
      asked();
      return refuse(response);
    };
    const upgrader = new Upgrader({ authenticate });
    const server = await listening(upgrader.handler(() => {}));
    const client = await connected(server);
    client.stream.write(request());
    await called;
    client.reset();
    await cancelled;
    expect(upgrader.stats.refused).toEqual({});
  });

  it('refuses on a raw stream', async () => {
    const server = await serveRaw(
      { host: '127.0.0.1', authenticate: async () => refuse(new Response('no', { status: 403 })) },
      () => {},
    );
    onTestFinished(async () => void (await server.close({ timeout: 1 })));
    const { status, body } = await exchange(Number(new URL(server.url).port), request());
    expect({ status, body }).toEqual({ status: 403, body: 'no' });
  });

  it('is no result of headers', async () => {
    const reported: unknown[] = [];
    const report = (error: unknown): void => void reported.push(error);
    const response = new Response('no', { status: 401 });
    for (const value of [response, new Error('no')]) {
      const upgrader = new Upgrader({ headers: () => value as never, report });
      const server = await listening(upgrader.handler((conn) => conn.terminate()));
      expect((await exchange(server.port, request())).status).toBe(500);
    }
    const raw = await serveRaw(
      { host: '127.0.0.1', onBeforeUpgrade: () => response as never, report },
      () => {},
    );
    onTestFinished(async () => void (await raw.close({ timeout: 1 })));
    expect((await exchange(Number(new URL(raw.url).port), request())).status).toBe(500);
    expect(reported.map((error) => (error as Error).message)).toEqual([
      'headers: expected an object, Headers or pairs, got Response',
      'headers: expected an object, Headers or pairs, got Error',
      'headers: expected an object, Headers or pairs, got Response',
    ]);
  });
});

describe('authenticate', () => {
  it.each(['permessage-deflate;', 'a b', ';', 'a; b="', 'a=b'])(
    'is not called for the malformed extensions %j',
    async (extensions) => {
      const calls: unknown[] = [];
      const upgrader = new Upgrader({ authenticate: () => void calls.push('called') });
      const server = await listening(upgrader);
      const bytes = request({ add: [`Sec-WebSocket-Extensions: ${extensions}`] });
      expect((await exchange(server.port, bytes)).status).toBe(400);
      expect(calls).toEqual([]);
    },
  );
});

describe('AuthOf', () => {
  it('leaves out every result that refuses', () => {
    interface User {
      readonly name: string;
      readonly message: string;
    }
    expectTypeOf<AuthOf<undefined>>().toEqualTypeOf<undefined>();
    expectTypeOf<AuthOf<Promise<Admission<User> | null | undefined>>>().toEqualTypeOf<User>();
    expectTypeOf<AuthOf<Admission<User> | Refusal | false>>().toEqualTypeOf<User>();
    expectTypeOf<AuthOf<Promise<Admission<User> | Response>>>().toEqualTypeOf<User>();
    expectTypeOf<AuthOf<Promise<boolean>>>().toEqualTypeOf<true>();
    expectTypeOf<AuthOf<unknown>>().toEqualTypeOf<unknown>();
  });
});

describe('ServeOptions with the type of auth', () => {
  it('take an authenticate that is async or not', () => {
    const both: ServeOptions<Admission<{ readonly name: string }> | Refusal>[] = [
      { authenticate: () => admit({ name: 'ada' }) },
      { authenticate: async () => admit({ name: 'ada' }) },
      { authenticate: async () => ({ refuse: 403 }) },
    ];
    expect(both).toHaveLength(3);
  });
});

/**
 * Sends one request to a server, and returns what its functions got. The server has routes if the
 * path is below `/admin`.
 */
async function contextsOf(
  line: string,
  options: ServeOptions<AdmitOrRefuse> = {},
): Promise<{ status: number; asked: unknown; handled: unknown }> {
  let asked: unknown;
  let handled: unknown;
  const isRouted = /^(\w+:\/\/[^/]+)?\/admin\//i.test(line);
  const handler: ConnHandler<unknown, object> = (conn, req, context) =>
    take(conn, req.url, context);
  const server = await serve(
    {
      host: '127.0.0.1',
      authenticate: (req, { signal: _signal, ...context }: AuthenticateContext) => {
        asked = { url: req.url, ...plain(context) };
        return true;
      },
      ...options,
    },
    isRouted ? { '/admin/:room': handler } : handler,
  );
  function take(
    conn: { terminate(): void },
    url: string | undefined,
    { auth: _auth, ...context }: HandlerContext<unknown, object>,
  ): void {
    handled = { url, ...plain(context) };
    conn.terminate();
  }
  onTestFinished(async () => void (await server.close()));
  const bytes = request({ line: `GET ${line} HTTP/1.1` });
  const { status } = await exchange(Number(new URL(server.url).port), bytes);
  return { status, asked, handled };
}

/** Copies the objects of a context, for comparisons. */
function plain(context: { readonly params: object; readonly query: URLSearchParams }): object {
  return { ...context, params: { ...context.params }, query: String(context.query) };
}

describe('the context of authenticate and of the handler', () => {
  const address = '127.0.0.1';

  it.each([
    ['/admin/x', { path: '/admin/x', params: { room: 'x' }, route: '/admin/:room' }],
    [
      '/admin/x?a=/y&b=%C3%A4+?',
      {
        path: '/admin/x',
        query: 'a=%2Fy&b=%C3%A4+%3F',
        params: { room: 'x' },
        route: '/admin/:room',
      },
    ],
    ['/admin/%C3%A4', { path: '/admin/ä', params: { room: 'ä' }, route: '/admin/:room' }],
    ['/admin/a%2Fb', { path: '/admin/a%2Fb', params: { room: 'a/b' }, route: '/admin/:room' }],
    ['/%61dmin/x', { path: '/admin/x', params: {}, route: undefined }],
    ['//a/admin/x', { path: '//a/admin/x', params: {}, route: undefined }],
  ])('have the path, parameters, route and address of %s', async (url, expected) => {
    const { status, asked, handled } = await contextsOf(url);
    expect(status).toBe(101);
    expect(asked).toEqual({ url, address, query: '', ...expected });
    expect(handled).toEqual(asked);
  });

  it('has the address of clientAddress, also without a limit per address', async () => {
    const { asked, handled } = await contextsOf('/', { clientAddress: () => 'ada' });
    expect(asked).toMatchObject({ address: 'ada' });
    expect(handled).toMatchObject({ address: 'ada' });
  });
});

describe('an absolute request target', () => {
  const guarded: ServeOptions<AdmitOrRefuse> = {
    authenticate: (req) => (req.url!.startsWith('/admin/') ? { refuse: 401 } : true),
  };

  it.each([['/admin/x'], ['http://HOST/admin/x'], ['HTTP://HOST/admin/x'], ['ws://HOST/admin/x']])(
    '%s reaches no handler that its path would not',
    async (url) => {
      const target = url.replace('HOST', 'server.example.com');
      const { status, handled } = await contextsOf(target, guarded);
      expect({ status, handled }).toEqual({ status: 401, handled: undefined });
    },
  );

  it.each([
    ['http://HOST/a?b', '/a?b'],
    ['http://HOST', '/'],
    ['http://HOST?b', '/?b'],
    ['wss://HOST//a', '//a'],
  ])('%s is %s for the application', async (url, path) => {
    const { asked, handled } = await contextsOf(url.replace('HOST', 'server.example.com'));
    expect(asked).toMatchObject({ url: path, path: path.replace(/\?.*/, '') });
    expect(handled).toMatchObject({ url: path });
  });
});
