import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, expectTypeOf, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import {
  type Conn,
  HandshakeError,
  type HeadersInput,
  TimeoutError,
  TransportError,
  Upgrader,
  type UpgraderOptions,
} from '../src/index.ts';
import { checkUpgraderOptions } from '../src/options.ts';
import {
  ACCEPT,
  exchange,
  KEY,
  masked,
  RawClient,
  type RequestChange,
  request,
  TestServer,
  trapLeftovers,
  trapUncaught,
} from './raw.ts';

trapUncaught();
trapLeftovers();

const servers: TestServer[] = [];
const clients: RawClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy();
  for (const server of servers.splice(0)) await server.close();
});

async function listening(
  listener: ConstructorParameters<typeof TestServer>[0],
): Promise<TestServer> {
  const server = await new TestServer(listener).listen();
  servers.push(server);
  return server;
}

async function connected(server: TestServer): Promise<RawClient> {
  const client = await RawClient.connect(server.port);
  clients.push(client);
  return client;
}

/** A server whose upgrades get `headers`. */
function withHeaders(upgrader: Upgrader, headers: unknown): Promise<TestServer> {
  const listener = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    void upgrader.upgrade(req, socket, head, headers as HeadersInput).then(
      (conn) => server.settled(conn),
      (error: unknown) => server.settled(error),
    );
  };
  let server: TestServer;
  return listening(listener as () => void).then((made) => {
    server = made;
    return made;
  });
}

describe('Upgrader.upgrade', () => {
  it('answers a good request with a 101, its headers in their order', async () => {
    const server = await withHeaders(new Upgrader({ subprotocols: ['chat'] }), {
      'X-First': 'one',
      'Set-Cookie': ['a=1', 'b=2'],
    });
    const client = await connected(server);
    const answer = await client.upgrade({ add: ['Sec-WebSocket-Protocol: chat'] });
    expect(answer.raw).toBe(
      [
        'HTTP/1.1 101 Switching Protocols',
        'Upgrade: websocket',
        'Connection: Upgrade',
        `Sec-WebSocket-Accept: ${ACCEPT}`,
        'Sec-WebSocket-Protocol: chat',
        'X-First: one',
        'Set-Cookie: a=1',
        'Set-Cookie: b=2',
        '\r\n',
      ].join('\r\n'),
    );
    const conn = (await server.outcome()) as Conn;
    expect(conn).toMatchObject({
      role: 'server',
      subprotocol: 'chat',
      extensions: '',
      state: 'open',
    });
    expect(conn.underlyingConn).toBeDefined();
    expect(conn.remoteAddr).toBe(`127.0.0.1:${client.socket.localPort}`);
    conn.terminate();
  });

  it('leaves no listener of the handshake on the socket', async () => {
    const authenticate = (_req: IncomingMessage, { signal }: { signal: AbortSignal }) =>
      new Promise<boolean>((resolve) => {
        setImmediate(() => resolve(signal.aborted));
      }).then((aborted) => ({ aborted }));
    const server = await listening(new Upgrader({ authenticate }));
    const client = await connected(server);
    let before: number[] = [];
    const counts = (socket: Duplex): number[] =>
      ['end', 'close', 'data', 'drain', 'timeout'].map((name) => socket.listenerCount(name));
    server.http.prependListener('upgrade', (_req, socket) => {
      before = counts(socket);
    });
    await client.upgrade();
    const conn = (await server.outcome()) as Conn;
    const socket = conn.underlyingConn as Duplex;
    conn.terminate();
    await conn.closed;
    expect(counts(socket).every((n, i) => n <= before[i]!)).toBe(true);
  });

  it('takes frames behind the head as the first ones', async () => {
    const server = await listening(new Upgrader());
    const client = await connected(server);
    await client.upgrade({ behind: Buffer.concat([masked(1, 'one'), masked(1, 'two')]) });
    const conn = (await server.outcome()) as Conn;
    expect((await conn.readMessage()).text()).toBe('one');
    expect((await conn.readMessage()).text()).toBe('two');
    client.socket.write(masked(1, 'three'));
    expect((await conn.readMessage()).text()).toBe('three');
    conn.terminate();
  });

  it('gives the connection before its first frame is handled', async () => {
    const upgrader = new Upgrader();
    const pings: string[] = [];
    const server = await listening((req: IncomingMessage, socket: Duplex, head: Buffer) => {
      void (async () => {
        const conn = await upgrader.upgrade(req, socket, head);
        conn.setPingHandler((data) => void pings.push(Buffer.from(data).toString()));
        server.settled(conn);
        await conn.readMessage();
        server.settled('read');
        conn.terminate();
      })();
    });
    const client = await connected(server);
    await client.upgrade({ behind: Buffer.concat([masked(9, 'first'), masked(1, 'x')]) });
    await server.outcome(1);
    expect(pings).toEqual(['first']);
  });

  it('keeps frames that come while a check is awaited, and the FIN behind its answer', async () => {
    let allow: ((allowed: boolean) => void) | undefined;
    const asked = new EventEmitter();
    const upgrader = new Upgrader({
      checkOrigin: () =>
        new Promise((resolve) => {
          allow = resolve;
          asked.emit('asked');
        }),
    });
    const server = await listening(upgrader);
    const client = await connected(server);
    const waits = once(asked, 'asked');
    client.socket.write(request({ behind: masked(1, 'early') }));
    await waits;
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    client.socket.end();
    allow?.(true);
    const conn = (await server.outcome()) as Conn;
    expect((await conn.readMessage()).text()).toBe('early');
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1006 });
    await conn.closed;
  });

  it('keeps all frames, in their order, that come while authenticate is awaited', async () => {
    const asked = new EventEmitter();
    let allow: (() => void) | undefined;
    const authenticate = (): Promise<void> => {
      asked.emit('asked');
      return new Promise((resolve) => {
        allow = resolve;
      });
    };
    const upgrader = new Upgrader({ authenticate });
    const seen: string[] = [];
    const all = new EventEmitter();
    const server = await listening(
      upgrader.handler((conn) =>
        conn.receive((message) => {
          if (seen.push(message.text()) === 2_000) all.emit('seen');
        }),
      ),
    );
    const client = await connected(server);
    const waits = once(asked, 'asked');
    const frames = Array.from({ length: 2_000 }, (_, i) => masked(1, `${i} ${'x'.repeat(100)}`));
    client.socket.write(Buffer.concat([request(), ...frames.slice(0, 500)]));
    await waits;
    const written = new Promise((resolve) =>
      client.socket.write(Buffer.concat(frames.slice(500)), resolve),
    );
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    const done = once(all, 'seen');
    allow!();
    await Promise.all([done, written]);
    expect(seen.map((text) => Number(text.split(' ')[0]))).toEqual(frames.map((_, i) => i));
  });

  it('fails a bad frame behind the head like any other, with nobody listening', async () => {
    const server = await listening(new Upgrader());
    const client = await connected(server);
    await client.upgrade({ behind: Buffer.from([0xa1, 0x80, 0, 0, 0, 0]) });
    await client.until(() => client.received.length >= 4);
    expect(client.received.readUInt16BE(2)).toBe(1002);
    const conn = (await server.outcome()) as Conn;
    client.socket.end();
    await conn.closed;
  });

  it('says so when it is called twice for one socket', async () => {
    const upgrader = new Upgrader();
    const errors: unknown[] = [];
    const server = await listening((req: IncomingMessage, socket: Duplex, head: Buffer) => {
      const first = upgrader.upgrade(req, socket, head);
      const second = upgrader.upgrade(req, socket, head);
      void first.then((conn) => server.settled(conn));
      second.catch((error: unknown) => errors.push(error));
    });
    const client = await connected(server);
    expect((await client.upgrade()).status).toBe(101);
    const conn = (await server.outcome()) as Conn;
    expect(errors.map(String)).toEqual([
      'Error: websocket: upgrade was called before for this socket',
    ]);
    expect(conn.state).toBe('open');
    conn.terminate();
  });

  it('rejects for a socket that is gone already', async () => {
    const upgrader = new Upgrader();
    const server = await listening((req: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.destroy();
      upgrader.upgrade(req, socket, head).catch((error: unknown) => server.settled(error));
    });
    const client = await connected(server);
    client.socket.write(request());
    expect(await server.outcome()).toBeInstanceOf(TransportError);
    await client.closed();
  });

  it.each([
    { says: 'a line end in a value', headers: { 'X-A': 'a\r\nSet-Cookie: b=c' } },
    { says: 'a bare LF', headers: { 'X-A': 'a\nb' } },
    { says: 'a NUL', headers: { 'X-A': 'a\0b' } },
    { says: 'a line end in a list', headers: { 'Set-Cookie': ['a=1', 'b=2\r\n'] } },
    { says: 'a line end in a name', headers: { 'X-A\r\nX-B': 'a' } },
    { says: 'an empty name', headers: { '': 'a' } },
    { says: 'no value', headers: { 'X-A': undefined } },
    { says: 'a character beyond Latin-1', headers: { 'X-A': '漢' } },
    { says: 'a header of the handshake', headers: { Connection: 'close' } },
    { says: 'a line end in pairs', headers: [['X-A', 'a\r\n']] },
    { says: 'names and values in turn', headers: ['X-A', 'a'] },
    { says: 'a string', headers: 'X-A: a', named: true },
    { says: 'null', headers: null, named: true },
    { says: 'a number', headers: 5, named: true },
  ])('refuses $says of its caller with nothing written', async ({ headers, named = false }) => {
    const server = await withHeaders(new Upgrader(), headers);
    const client = await connected(server);
    client.socket.write(request());
    await client.closed();
    expect(client.received.length).toBe(0);
    const outcome = await server.outcome();
    expect(outcome).toBeInstanceOf(TypeError);
    if (named) expect(String(outcome)).toContain('headers: expected');
  });

  it('takes headers as a Headers object', async () => {
    const server = await withHeaders(new Upgrader(), new Headers({ 'X-A': 'b' }));
    const client = await connected(server);
    expect((await client.upgrade()).headers.get('x-a')).toBe('b');
    ((await server.outcome()) as Conn).terminate();
  });

  it('refuses an extensions header of its caller with 500, after the version and before the origin', async () => {
    const server = await withHeaders(new Upgrader(), { 'Sec-WebSocket-Extensions': 'x' });
    const late = await exchange(server.port, request({ add: ['Origin: https://evil.example'] }));
    expect(late.status).toBe(500);
    expect(late.body).toContain('Sec-WebSocket-Extensions');
    const early = await exchange(server.port, request({ without: ['sec-websocket-version'] }));
    expect(early.status).toBe(400);
  });
});

describe('subprotocols', () => {
  const cases: {
    says: string;
    option: UpgraderOptions['subprotocols'];
    offers: readonly string[];
    headers?: Record<string, string>;
    chosen: string;
  }[] = [
    {
      says: 'the first of the server that is offered',
      option: ['b', 'a'],
      offers: ['a, b'],
      chosen: 'b',
    },
    { says: 'from all lines', option: ['c'], offers: ['a', 'b, c'], chosen: 'c' },
    { says: 'by exact case', option: ['Chat'], offers: ['chat'], chosen: '' },
    { says: 'nothing without an offer', option: ['a'], offers: [], chosen: '' },
    { says: 'by a function', option: (offered) => offered.at(-1), offers: ['a, b'], chosen: 'b' },
    {
      says: 'nothing when the function says so',
      option: () => undefined,
      offers: ['a'],
      chosen: '',
    },
    {
      says: 'nothing when there is nothing to ask a function about',
      option: () => 'a',
      offers: [],
      chosen: '',
    },
    {
      says: 'what the headers say, without the option',
      option: undefined,
      offers: ['a'],
      headers: { 'Sec-WebSocket-Protocol': 'a' },
      chosen: 'a',
    },
    {
      says: 'not what the headers say, with the option',
      option: ['b'],
      offers: ['a, b'],
      headers: { 'sec-websocket-protocol': 'a' },
      chosen: 'b',
    },
  ];

  it.each(cases)('are chosen: $says', async ({ option, offers, headers, chosen }) => {
    const server = await withHeaders(new Upgrader({ subprotocols: option }), headers);
    const client = await connected(server);
    const answer = await client.upgrade({ add: offers.map((o) => `Sec-WebSocket-Protocol: ${o}`) });
    expect(answer.names.filter((name) => /protocol/i.test(name)).length).toBe(
      chosen === '' ? 0 : 1,
    );
    expect(answer.headers.get('sec-websocket-protocol') ?? '').toBe(chosen);
    const conn = (await server.outcome()) as Conn;
    expect(conn.subprotocol).toBe(chosen);
    conn.terminate();
  });

  it.each([
    { says: 'picks what was not offered', option: () => 'b', cause: /b was not offered/ },
    {
      says: 'throws',
      option: () => {
        throw new Error('secret');
      },
      cause: /secret/,
    },
  ])('answer 500 when their function $says', async ({ option, cause }) => {
    const server = await listening(new Upgrader({ subprotocols: option }));
    const answer = await exchange(server.port, request({ add: ['Sec-WebSocket-Protocol: a'] }));
    expect(answer.status).toBe(500);
    expect(answer.body).toBe('Internal Server Error\n');
    const error = (await server.outcome()) as HandshakeError;
    expect(String(error.cause)).toMatch(cause);
  });

  it.each(['a\r\nX-B: c', 'a, b', ' a', null, 5, {}, ['a'], Symbol('a'), Promise.resolve('a')])(
    'answer 500 when their function picks %o, which is no token',
    async (picked) => {
      const server = await listening(new Upgrader({ subprotocols: () => picked as string }));
      const answer = await exchange(
        server.port,
        request({ add: ['Sec-WebSocket-Protocol: a, b'] }),
      );
      expect(answer.status).toBe(500);
      expect(answer.names).not.toContain('X-B');
      expect(await server.outcome()).toMatchObject({ cause: expect.any(TypeError) });
    },
  );
});

describe('checkOrigin', () => {
  it.each([
    { says: 'lets in', check: () => true, status: 101 },
    { says: 'lets in later', check: async () => true, status: 101 },
    { says: 'keeps out', check: () => false, status: 403 },
    { says: 'keeps out later', check: async () => false, status: 403 },
    {
      says: 'throws',
      check: (): boolean => {
        throw new Error('secret');
      },
      status: 500,
    },
    { says: 'rejects', check: () => Promise.reject(new Error('secret')), status: 500 },
  ])('decides alone: $says', async ({ check, status }) => {
    const server = await listening(new Upgrader({ checkOrigin: check }));
    const client = await connected(server);
    const answer = await client.upgrade({ add: ['Origin: https://evil.example'] });
    expect(answer.status).toBe(status);
    expect(client.received.toString()).not.toContain('secret');
    const outcome = await server.outcome();
    if (status === 101) (outcome as Conn).terminate();
    else expect(outcome).toMatchObject({ status });
  });

  it('that throws nothing at all answers 500', async () => {
    const checkOrigin = (): never => {
      throw undefined;
    };
    const server = await listening(new Upgrader({ checkOrigin }));
    expect((await exchange(server.port, request())).status).toBe(500);
    expect(await server.outcome()).toMatchObject({ status: 500, cause: undefined });
  });

  it('takes origins that are listed', async () => {
    const server = await listening(new Upgrader({ allowedOrigins: ['https://*.example.org'] }));
    const client = await connected(server);
    const answer = await client.upgrade({ add: ['Origin: https://app.example.org'] });
    expect(answer.status).toBe(101);
    ((await server.outcome()) as Conn).terminate();
  });
});

describe('authenticate', () => {
  it.each([
    { says: '401 by true', result: { refuse: true as const }, status: 401, body: 'Unauthorized\n' },
    { says: '401 by false', result: false as const, status: 401, body: 'Unauthorized\n' },
    { says: 'a status', result: { refuse: 418 }, status: 418, body: "I'm a Teapot\n" },
    { says: 'a status without a name', result: { refuse: 599 }, status: 599, body: 'Refused\n' },
    {
      says: 'headers and body',
      result: {
        refuse: 401,
        headers: { 'WWW-Authenticate': 'Basic', 'Content-Type': 'text/html' },
        body: 'nö',
      },
      status: 401,
      body: Buffer.from('nö').toString('latin1'),
    },
  ])('refuses with $says', async ({ result, status, body }) => {
    const server = await listening(new Upgrader({ authenticate: () => result }));
    const answer = await exchange(server.port, request());
    expect(answer.status).toBe(status);
    expect(answer.body).toBe(body);
    expect(answer.headers.get('content-length')).toBe(String(body.length));
    if (typeof result === 'object' && 'headers' in result) {
      expect(answer.headers.get('www-authenticate')).toBe('Basic');
      expect(answer.headers.get('content-type')).toBe('text/html');
      expect(answer.names.filter((name) => name === 'Content-Type').length).toBe(1);
    }
    expect(await server.outcome()).toMatchObject({ status });
  });

  it.each([
    {
      says: 'throws',
      authenticate: () => {
        throw new Error('secret');
      },
    },
    { says: 'rejects', authenticate: () => Promise.reject(new Error('secret')) },
    {
      says: 'fails with an error of ours',
      authenticate: () => Promise.reject(new TimeoutError('secret')),
    },
  ])('that $says answers 500 and tells the peer nothing', async ({ authenticate }) => {
    const server = await listening(new Upgrader({ authenticate }));
    const answer = await exchange(server.port, request());
    expect(answer.status).toBe(500);
    expect(answer.raw).not.toContain('secret');
    expect(String(((await server.outcome()) as Error).cause)).toContain('secret');
  });

  it('that rejects with nothing answers 500', async () => {
    const server = await listening(new Upgrader({ authenticate: () => Promise.reject(undefined) }));
    expect((await exchange(server.port, request())).status).toBe(500);
    expect(await server.outcome()).toMatchObject({ status: 500, cause: undefined });
  });

  it.each([
    { says: 'a line end in a header', result: { refuse: 401, headers: { 'X-A': 'a\r\nX-B: b' } } },
    { says: 'a header of the handshake', result: { refuse: 401, headers: { Upgrade: 'b' } } },
    { says: 'headers that are none', result: { refuse: 401, headers: null } },
    { says: 'a body that is no text', result: { refuse: 401, body: 5 } },
    { says: 'a status that refuses nothing', result: { refuse: 200 } },
    { says: 'a status that is none', result: { refuse: Number.NaN } },
    { says: 'a status that is no number', result: { refuse: '401' } },
  ])('answers 500 for a refusal with $says', async ({ result }) => {
    const server = await listening(new Upgrader({ authenticate: () => result }));
    const answer = await exchange(server.port, request());
    expect(answer.status).toBe(500);
    expect(answer.names).not.toContain('X-B');
    expect(answer.body).toBe('Internal Server Error\n');
    expect(await server.outcome()).toMatchObject({ cause: expect.any(TypeError) });
  });

  it('is asked after the key was checked, and before the subprotocol', async () => {
    let asked = 0;
    const upgrader = new Upgrader({
      authenticate: () => {
        asked++;
        return { refuse: 403 };
      },
    });
    const server = await listening(upgrader);
    expect((await exchange(server.port, request({ without: ['sec-websocket-key'] }))).status).toBe(
      400,
    );
    expect(asked).toBe(0);
    const both = request({ add: ['Sec-WebSocket-Protocol: a b'] });
    expect((await exchange(server.port, both)).status).toBe(403);
    expect(asked).toBe(1);
  });

  it('gives its value to the handler, with its type', async () => {
    const upgrader = new Upgrader({
      authenticate: async (req) => {
        await Promise.resolve();
        if (req.url === '/secret') return { refuse: 401 };
        return { user: String(req.url) };
      },
    });
    const listener = upgrader.handler((conn, _req, { auth }) => {
      expectTypeOf(auth.user).toEqualTypeOf<string>();
      return conn.send(auth.user);
    });
    const server = await listening(listener);
    const client = await connected(server);
    await client.upgrade();
    await client.until(() => client.received.length >= 7);
    expect(client.received.subarray(2).toString()).toBe('/chat');
    expect((await exchange(server.port, request({ line: 'GET /secret HTTP/1.1' }))).status).toBe(
      401,
    );
  });
});

describe('an upgrade pipelined behind other requests', () => {
  const plain = (path: string): Buffer => Buffer.from(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  /** A server with one plain request of path /n pending for each `n`, and an upgrade behind them. */
  async function pipelined(
    options: UpgraderOptions,
    paths: readonly string[],
    change?: RequestChange,
  ): Promise<{ server: TestServer; client: RawClient; responses: ServerResponse[] }> {
    const responses: ServerResponse[] = [];
    const server = await new TestServer(new Upgrader(options), (_req, res) => {
      responses.push(res);
    }).listen();
    servers.push(server);
    const upgrade = once(server.http, 'upgrade');
    const client = await connected(server);
    client.socket.write(Buffer.concat([...paths.map(plain), request(change)]));
    await upgrade;
    return { server, client, responses };
  }

  it('is answered after them, in their order', async () => {
    const { server, client, responses } = await pipelined({}, ['/1', '/2'], {
      behind: masked(1, 'hello'),
    });
    const [first, second] = responses as [ServerResponse, ServerResponse];
    second.end('second');
    await new Promise((resolve) => setImmediate(resolve));
    expect(client.received.length).toBe(0);
    first.end('first');
    const conn = (await server.outcome()) as Conn;
    expect((await conn.readMessage()).text()).toBe('hello');
    await conn.send('bye');
    await client.until(() => client.received.includes('bye'));
    expect(client.received.toString('latin1')).toMatch(/first[^]*second[^]* 101 [^]*\x81\x03bye$/);
  });

  it('is refused after them', async () => {
    const { server, client, responses } = await pipelined({}, ['/1'], {
      add: ['Origin: https://evil.example'],
    });
    responses[0]!.end('first');
    expect(await server.outcome()).toMatchObject({ status: 403 });
    await client.closed();
    expect(client.received.toString('latin1')).toMatch(/first[^]* 403 /);
  });

  it('is dropped without a word when they take too long', async () => {
    const { server, client } = await pipelined({ handshakeTimeout: 20 }, ['/1']);
    expect(await server.outcome()).toMatchObject({ status: 503 });
    await client.closed();
    expect(client.received.length).toBe(0);
  });

  it.each([
    { says: 'there is no place for it', maxHandshakes: 1, fault: false, status: 503 },
    { says: 'nobody can say whether there is a place', maxHandshakes: 2, fault: true, status: 500 },
  ])('is refused after them when $says', async ({ maxHandshakes, fault, status }) => {
    const asked = new EventEmitter();
    const upgrader = new Upgrader({
      maxHandshakes,
      maxConnectionsPerAddress: 1,
      clientAddress: (req) => {
        if (fault && req.url === '/chat') throw new Error('mine');
        return undefined;
      },
      authenticate: () => {
        asked.emit('asked');
        return new Promise(() => {});
      },
    });
    const responses: ServerResponse[] = [];
    const server = await new TestServer(upgrader, (_req, res) => {
      responses.push(res);
    }).listen();
    servers.push(server);
    const other = await connected(server);
    const waits = once(asked, 'asked');
    other.socket.write(request({ line: 'GET /other HTTP/1.1' }));
    await waits;
    const upgrade = once(server.http, 'upgrade');
    const client = await connected(server);
    client.socket.write(Buffer.concat([plain('/1'), request()]));
    await upgrade;
    await new Promise((resolve) => setImmediate(resolve));
    expect(client.received.length).toBe(0);
    responses[0]!.end('first');
    await client.closed();
    expect(client.received.toString('latin1')).toMatch(new RegExp(`first[^]* ${status} `));
    expect(await server.outcome()).toMatchObject({ status });
  });

  it('is dropped when there is no place for it and they take too long', async () => {
    const { server, client } = await pipelined(
      {
        handshakeTimeout: 20,
        maxConnectionsPerAddress: 1,
        clientAddress: () => {
          throw new Error('mine');
        },
      },
      ['/1'],
    );
    await client.closed();
    expect(client.received.length).toBe(0);
    expect(await server.outcome()).toMatchObject({ status: 500 });
  });

  it('is not served when the connection ends with the last of them', async () => {
    const { server, client, responses } = await pipelined({}, ['/1']);
    responses[0]!.setHeader('Connection', 'close').end('first');
    expect(await server.outcome()).toBeInstanceOf(TransportError);
    await client.closed();
    expect(client.received.toString('latin1')).toMatch(/first$/);
  });

  it('does not time out as an idle connection while a check is awaited', async () => {
    const timeouts: unknown[] = [];
    const { server, responses } = await pipelined(
      { authenticate: (req) => void timeouts.push(req.socket.timeout) },
      ['/1'],
    );
    responses[0]!.end('first');
    await server.outcome();
    expect(timeouts).toEqual([0]);
  });
});

describe('a client that is gone while a check is awaited', () => {
  it.each([
    { how: 'by a reset', leave: (socket: Socket) => socket.resetAndDestroy() },
    { how: 'by a FIN', leave: (socket: Socket) => socket.end() },
  ])('$how aborts the signal and rejects upgrade', async ({ leave }) => {
    for (const check of ['checkOrigin', 'authenticate'] as const) {
      const waiting = new EventEmitter();
      let signal: AbortSignal | undefined;
      const wait = (_req: IncomingMessage, context?: { signal: AbortSignal }): Promise<true> => {
        signal = context?.signal;
        waiting.emit('asked');
        return new Promise(() => {});
      };
      const server = await listening(new Upgrader({ [check]: wait }));
      const client = await connected(server);
      const asked = once(waiting, 'asked');
      client.socket.write(request());
      await asked;
      leave(client.socket);
      const outcome = await server.outcome();
      expect(outcome).toBeInstanceOf(TransportError);
      if (check === 'authenticate') expect(signal?.reason).toBe(outcome);
      client.socket.destroy();
    }
  });

  it('is told to an authenticate that asks for the signal late', async () => {
    let state: boolean | undefined;
    const upgrader = new Upgrader({
      authenticate: async (req, context) => {
        req.socket.destroy();
        await once(req.socket, 'close');
        await new Promise((resolve) => setImmediate(resolve));
        state = context.signal.aborted;
      },
    });
    const server = await listening(upgrader);
    const client = await connected(server);
    client.socket.write(request());
    expect(await server.outcome()).toBeInstanceOf(TransportError);
    await vi.waitFor(() => expect(state).toBe(true));
  });
});

describe('a reset at every stage of the handshake', () => {
  it('leaves nothing uncaught', async () => {
    const server = await listening(
      new Upgrader({
        checkOrigin: async () => {
          await new Promise((resolve) => setImmediate(resolve));
          return true;
        },
        authenticate: () => new Promise((resolve) => setTimeout(resolve, 1)),
      }),
    );
    const bytes = request({ behind: masked(1, 'early') });
    const attempts = Array.from({ length: 60 }, async (_, i) => {
      const client = await RawClient.connect(server.port);
      client.socket.write(bytes.subarray(0, Math.ceil((bytes.length * (i + 1)) / 30)));
      for (let turns = i % 7; turns > 0; turns--)
        await new Promise((resolve) => setImmediate(resolve));
      client.socket.resetAndDestroy();
      await client.closed();
    });
    await Promise.all(attempts);
    for (const outcome of server.outcomes) {
      if (!(outcome instanceof Error)) await (outcome as Conn).closed;
    }
  });

  it('during a refusal leaves nothing uncaught', async () => {
    const server = await listening(new Upgrader());
    const client = await connected(server);
    client.socket.write(request({ without: ['sec-websocket-key'] }));
    await client.until(() => client.received.length > 0);
    client.socket.resetAndDestroy();
    await client.closed();
    expect(await server.outcome()).toMatchObject({ status: 400 });
  });
});

describe('handshakeTimeout', () => {
  it.each(['checkOrigin', 'authenticate'] as const)(
    'answers 503 when %s does not end',
    async (check) => {
      let signal: AbortSignal | undefined;
      const upgrader = new Upgrader({
        handshakeTimeout: 20,
        [check]: (_req: IncomingMessage, context?: { signal: AbortSignal }) => {
          signal = context?.signal;
          return new Promise<true>(() => {});
        },
      });
      const server = await listening(upgrader);
      const answer = await exchange(server.port, request());
      expect(answer.status).toBe(503);
      const error = (await server.outcome()) as HandshakeError;
      expect(error).toMatchObject({ status: 503 });
      expect(error.cause).toBeInstanceOf(TimeoutError);
      if (check === 'authenticate') expect(signal?.aborted).toBe(true);
    },
  );

  it('can be off', async () => {
    const authenticate = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
    const server = await listening(new Upgrader({ handshakeTimeout: false, authenticate }));
    const client = await connected(server);
    expect((await client.upgrade()).status).toBe(101);
    ((await server.outcome()) as Conn).terminate();
  });
});

describe('limits', () => {
  it('answer 503 to too many handshakes, before anything else', async () => {
    const waiting = new EventEmitter();
    const releases: (() => void)[] = [];
    const upgrader = new Upgrader({
      maxHandshakes: 1,
      authenticate: () =>
        new Promise<void>((resolve) => {
          releases.push(resolve);
          waiting.emit('asked');
        }),
    });
    const server = await listening(upgrader);
    const first = await connected(server);
    const asked = once(waiting, 'asked');
    first.socket.write(request());
    await asked;
    const answer = await exchange(server.port, request({ line: 'GET / HTTP/1.0' }));
    expect(answer.status).toBe(503);
    expect(answer.body).toBe('too many handshakes\n');
    releases[0]!();
    const conn = (await server.outcome(1)) as Conn;
    conn.terminate();
  });

  it('answer 503 to too many connections until one is over', async () => {
    const server = await listening(new Upgrader({ maxConnections: 1 }));
    const first = await connected(server);
    await first.upgrade();
    const conn = (await server.outcome()) as Conn;
    expect((await exchange(server.port, request())).status).toBe(503);
    conn.terminate();
    await conn.closed;
    const second = await connected(server);
    expect((await second.upgrade()).status).toBe(101);
    ((await server.outcome(2)) as Conn).terminate();
  });

  it('are as before after hundreds of connections that came and went', async () => {
    const server = await listening(
      new Upgrader({ maxConnections: 1, maxConnectionsPerAddress: 1 }),
    );
    for (let i = 0; i < 200; i++) {
      const client = await RawClient.connect(server.port);
      expect((await client.upgrade()).status).toBe(101);
      const conn = (await server.outcome(i)) as Conn;
      if (i % 2 === 0) client.socket.resetAndDestroy();
      else conn.terminate();
      await conn.closed;
      client.socket.destroy();
    }
  });

  it('count a refused handshake no longer', async () => {
    const server = await listening(new Upgrader({ maxConnections: 1, maxHandshakes: 1 }));
    for (let i = 0; i < 3; i++) {
      const answer = await exchange(server.port, request({ without: ['sec-websocket-key'] }));
      expect(answer.status).toBe(400);
    }
  });

  it('answer 429 to too many connections from one address, as clientAddress tells it', async () => {
    const upgrader = new Upgrader({
      maxConnectionsPerAddress: 1,
      clientAddress: (req) => req.headers['x-forwarded-for'] as string | undefined,
    });
    const server = await listening(upgrader);
    const first = await connected(server);
    await first.upgrade({ add: ['X-Forwarded-For: 2001:db8::1'] });
    const again = request({ add: ['X-Forwarded-For: 2001:db8::2'] });
    expect((await exchange(server.port, again)).status).toBe(429);
    const other = await connected(server);
    expect((await other.upgrade({ add: ['X-Forwarded-For: 2001:db8:1::2'] })).status).toBe(101);
    for (const n of [0, 2]) ((await server.outcome(n)) as Conn).terminate();
  });

  it.each([null, 5, ['10.0.0.1'], Promise.resolve('10.0.0.1')])(
    'answer 500 when clientAddress gives %o, which is no string',
    async (address) => {
      const upgrader = new Upgrader({
        maxConnectionsPerAddress: 1,
        clientAddress: () => address as never,
      });
      const server = await listening(upgrader);
      expect((await exchange(server.port, request())).status).toBe(500);
      expect(await server.outcome()).toMatchObject({ cause: expect.any(TypeError) });
    },
  );

  it('answer 500 when clientAddress throws', async () => {
    const upgrader = new Upgrader({
      maxConnectionsPerAddress: 1,
      clientAddress: () => {
        throw new Error('secret');
      },
    });
    const server = await listening(upgrader);
    expect((await exchange(server.port, request())).status).toBe(500);
  });
});

describe('the answer to a refused request', () => {
  it('has no body for HEAD, though its length', async () => {
    const server = await listening(new Upgrader());
    const answer = await exchange(server.port, request({ line: 'HEAD /chat HTTP/1.1' }));
    expect(answer.status).toBe(405);
    expect(Number(answer.headers.get('content-length'))).toBeGreaterThan(0);
    expect(answer.body).toBe('');
  });

  it('has neither body nor length with 304', async () => {
    const server = await listening(new Upgrader({ authenticate: () => ({ refuse: 304 }) }));
    const answer = await exchange(server.port, request());
    expect(answer.status).toBe(304);
    expect(answer.names).not.toContain('Content-Length');
    expect(answer.body).toBe('');
  });

  it('has one Date, its own where it brings one', async () => {
    const date = 'Sun, 06 Nov 1994 08:49:37 GMT';
    const server = await listening(
      new Upgrader({ authenticate: () => ({ refuse: 401, headers: { date } }) }),
    );
    const answer = await exchange(server.port, request());
    expect(answer.names.filter((name) => /^date$/i.test(name))).toEqual(['date']);
    expect(answer.headers.get('date')).toBe(date);
  });

  it('is understood by ws when it names Upgrade', async () => {
    const server = await listening(new Upgrader());
    const ws = new WebSocket(`ws://127.0.0.1:${server.port}`, { protocolVersion: 8 });
    const [, response] = (await once(ws, 'unexpected-response')) as [unknown, IncomingMessage];
    ws.on('error', () => {}).terminate();
    expect(response.statusCode).toBe(426);
    expect(response.headers).toMatchObject({ upgrade: 'websocket', connection: 'close, Upgrade' });
  });
});

describe('error', () => {
  it('answers in place of the default', async () => {
    const seen: unknown[] = [];
    const upgrader = new Upgrader({
      error: async (req, socket, status, error) => {
        await Promise.resolve();
        seen.push(req.url, status, error.status);
        socket.write(`HTTP/1.1 ${status} No\r\nConnection: close\r\n\r\nmine`);
      },
    });
    const server = await listening(upgrader);
    const answer = await exchange(server.port, request({ without: ['sec-websocket-key'] }));
    expect(answer.raw).toBe('HTTP/1.1 400 No\r\nConnection: close\r\n\r\nmine');
    expect(seen).toEqual(['/chat', 400, 400]);
    expect(await server.outcome()).toBeInstanceOf(HandshakeError);
  });

  it.each([
    {
      says: 'throws',
      hook: (): unknown => {
        throw new Error('mine');
      },
    },
    { says: 'rejects', hook: (): unknown => Promise.reject(new Error('mine')) },
  ])('that $says before it has written anything leaves the default answer', async ({ hook }) => {
    const server = await listening(new Upgrader({ error: hook }));
    const answer = await exchange(server.port, request({ without: ['sec-websocket-key'] }));
    expect(answer.status).toBe(400);
    expect(answer.body).toContain('Sec-WebSocket-Key');
    expect(await server.outcome()).toMatchObject({ message: 'mine' });
  });

  it('that throws in the middle of its answer drops the socket', async () => {
    const fault = new Error('mine');
    const upgrader = new Upgrader({
      error: (_req, socket) => {
        socket.write('HTTP/1.1 400 No\r\n');
        throw fault;
      },
    });
    const server = await listening(upgrader);
    const client = await connected(server);
    client.socket.write(request({ line: 'GET / HTTP/1.0' }));
    await client.closed();
    expect(client.received.toString()).not.toContain('Content-Length');
    expect(await server.outcome()).toBe(fault);
  });
});

describe('an error that never settles', () => {
  it('keeps its place until the time is up, and the socket is ended behind what it wrote', async () => {
    const asked = new EventEmitter();
    const upgrader = new Upgrader({
      handshakeTimeout: 60,
      maxHandshakes: 1,
      maxConnections: 1,
      error: (_req, socket, status) => {
        socket.write(`HTTP/1.1 ${status} No\r\nConnection: close\r\n\r\n`);
        asked.emit('asked');
        return status === 400 ? new Promise(() => {}) : undefined;
      },
    });
    const server = await listening(upgrader);
    const waits = once(asked, 'asked');
    const stuck = exchange(server.port, request({ without: ['sec-websocket-key'] }));
    await waits;
    expect((await exchange(server.port, request())).status).toBe(503);
    expect((await stuck).status).toBe(400);
    expect(await server.outcome(1)).toMatchObject({ status: 400 });
    const client = await connected(server);
    expect((await client.upgrade()).status).toBe(101);
  });

  it('frees its place when the client goes away', async () => {
    const asked = new EventEmitter();
    const upgrader = new Upgrader({
      handshakeTimeout: false,
      maxHandshakes: 1,
      error: () => {
        asked.emit('asked');
        return new Promise(() => {});
      },
    });
    const server = await listening(upgrader);
    const client = await connected(server);
    const waits = once(asked, 'asked');
    client.socket.write(request({ without: ['sec-websocket-key'] }));
    await waits;
    client.socket.resetAndDestroy();
    expect(await server.outcome()).toMatchObject({ status: 400 });
    expect((await (await connected(server)).upgrade()).status).toBe(101);
  });

  it('is not waited for when the time is up already', async () => {
    const upgrader = new Upgrader({
      handshakeTimeout: 10,
      authenticate: () => new Promise(() => {}),
      error: (_req, socket, status) => {
        socket.write(`HTTP/1.1 ${status} No\r\nConnection: close\r\n\r\n`);
        return new Promise(() => {});
      },
    });
    const server = await listening(upgrader);
    expect((await exchange(server.port, request())).status).toBe(503);
  });
});

describe('a refused socket', () => {
  it('is destroyed when its peer keeps sending, long before its time is up', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const server = await listening(new Upgrader());
      const open = { port: server.port, host: '127.0.0.1', allowHalfOpen: true };
      const client = new RawClient(connect(open));
      clients.push(client);
      client.socket.write(request({ without: ['sec-websocket-key'] }));
      const chunk = Buffer.alloc(64 * 1024);
      const timer = setInterval(() => client.socket.write(chunk), 0);
      await client.closed();
      clearInterval(timer);
      expect(client.received.toString()).toMatch(/^HTTP\/1\.1 400 /);
    } finally {
      vi.useRealTimers();
    }
  });

  it('is destroyed when its peer does not end', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      let closed = false;
      const upgrader = new Upgrader();
      const server = await listening((req: IncomingMessage, socket: Duplex, head: Buffer) => {
        socket.on('close', () => {
          closed = true;
        });
        upgrader.upgrade(req, socket, head).catch((error: unknown) => server.settled(error));
      });
      const client = await connected(server);
      client.socket.write(request({ without: ['sec-websocket-key'] }));
      await client.until(() => client.received.includes('\r\n\r\n'));
      await server.outcome();
      expect(closed).toBe(false);
      vi.advanceTimersByTime(2_000);
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
      expect(closed).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('Upgrader.handler', () => {
  it('closes with 1011 when the handler throws or rejects, and reports it', async () => {
    for (const handler of [
      () => {
        throw new Error('mine');
      },
      () => Promise.reject(new Error('mine')),
    ]) {
      const reported: unknown[] = [];
      const upgrader = new Upgrader({
        report: (error) => reported.push(String(error)),
      });
      const server = await listening(upgrader.handler(handler));
      const client = await connected(server);
      await client.upgrade();
      await client.until(() => client.received.length >= 4);
      expect([...client.received.subarray(0, 4)]).toEqual([0x88, 2, 0x03, 0xf3]);
      expect(reported).toEqual(['Error: mine']);
    }
  });

  it('leaves the connection open when the handler returns', async () => {
    const conns: Conn[] = [];
    const upgrader = new Upgrader();
    const listener = upgrader.handler(async (conn) => void conns.push(conn));
    const server = await listening(listener);
    const client = await connected(server);
    await client.upgrade();
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    expect(conns[0]!.state).toBe('open');
    conns[0]!.terminate();
    await client.closed();
  });

  it('answers refusals and rejects nothing', async () => {
    const reported: unknown[] = [];
    const upgrader = new Upgrader({ report: (error) => reported.push(error) });
    const server = await listening(upgrader.handler(() => {}));
    const answer = await exchange(server.port, request({ without: ['sec-websocket-key'] }));
    expect(answer.status).toBe(400);
    expect(reported).toEqual([]);
  });

  it('reports what the functions of the options threw', async () => {
    const reported: unknown[] = [];
    const upgrader = new Upgrader({
      report: (error) => reported.push(String(error)),
      checkOrigin: () => Promise.reject(new Error('mine')),
    });
    const server = await listening(upgrader.handler(() => {}));
    expect((await exchange(server.port, request())).status).toBe(500);
    expect(reported).toEqual(['Error: mine']);
  });

  it('does not report that a connection ended badly', async () => {
    const reported: unknown[] = [];
    const ended = new EventEmitter();
    const upgrader = new Upgrader({ report: (error) => reported.push(error) });
    const listener = upgrader.handler(async (conn) => {
      void conn.closed.then(() => ended.emit('closed'));
      for await (const _ of conn);
    });
    const server = await listening(listener);
    const client = await connected(server);
    await client.upgrade();
    const closed = once(ended, 'closed');
    client.socket.resetAndDestroy();
    await closed;
    expect(reported).toEqual([]);
  });

  it('does not report a 500 that authenticate chose', async () => {
    const reported: unknown[] = [];
    const upgrader = new Upgrader({
      report: (error) => reported.push(error),
      authenticate: () => ({ refuse: 500 }),
    });
    const server = await listening(upgrader.handler(() => {}));
    expect((await exchange(server.port, request())).status).toBe(500);
    expect(reported).toEqual([]);
  });

  it('reports a check that threw undefined by its name', async () => {
    const reported: unknown[] = [];
    const upgrader = new Upgrader({
      report: (error) => reported.push(String(error)),
      authenticate: () => Promise.reject(undefined),
    });
    const server = await listening(upgrader.handler(() => {}));
    expect((await exchange(server.port, request())).status).toBe(500);
    expect(reported).toEqual(['HandshakeError: websocket: authenticate failed']);
  });

  it.each([
    { says: 'a string', thrown: 'mine', message: 'mine' },
    { says: 'an error', thrown: new Error('mine'), message: 'mine' },
    { says: 'a symbol', thrown: Symbol('mine'), message: 'Symbol(mine)' },
    {
      says: 'what cannot be made a string',
      thrown: Object.create(null),
      message: '[Object: null prototype] {}',
    },
  ])('warns by default, of $says', async ({ thrown, message }) => {
    const upgrader = new Upgrader();
    const server = await listening(
      upgrader.handler(() => {
        throw thrown;
      }),
    );
    const warned = once(process, 'warning') as Promise<[Error]>;
    const client = await connected(server);
    await client.upgrade();
    expect((await warned)[0].message).toBe(message);
  });

  it.each([
    {
      says: 'throws',
      report: (): unknown => {
        throw new Error('no report');
      },
    },
    { says: 'rejects', report: (): unknown => Promise.reject(new Error('no report')) },
  ])('warns of a report that $says', async ({ report }) => {
    const upgrader = new Upgrader({
      report,
      checkOrigin: () => {
        throw new Error('mine');
      },
    });
    const server = await listening(upgrader.handler(() => {}));
    const warned = once(process, 'warning') as Promise<[Error]>;
    expect((await exchange(server.port, request())).status).toBe(500);
    expect((await warned)[0].message).toBe('no report');
  });

  it('is given a function', () => {
    expect(() => new Upgrader().handler(undefined as never)).toThrow(TypeError);
  });
});

describe('new Upgrader', () => {
  it.each([
    { compresion: true },
    { routes: {} },
    { subProtocols: ['a'] },
    { subprotocols: 'a' },
    { subprotocols: ['a b'] },
    { subprotocols: [''] },
    { subprotocols: [5] },
    { subprotocols: ['a\r\nb'] },
    { allowedOrigins: 'https://a' },
    { allowedOrigins: ['https://a'], checkOrigin: () => true },
    { checkOrigin: true },
    { authenticate: {} },
    { clientAddress: 'x' },
    { error: 1 },
    { report: null },
    { maxConnections: '5' },
    { handshakeTimeout: '5' },
  ])('refuses $0 with a TypeError', (options) => {
    const make = (): unknown => new Upgrader(options as never);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(Object.keys(options)[0]);
  });

  it.each([
    { handshakeTimeout: 0 },
    { handshakeTimeout: 2 ** 31 },
    { handshakeTimeout: Number.NaN },
    { maxConnections: 0 },
    { maxConnections: 1.5 },
    { maxHandshakes: -1 },
    { maxConnectionsPerAddress: Number.NaN },
    { readLimit: -5 },
  ])('refuses $0 with a RangeError', (options) => {
    expect(() => new Upgrader(options)).toThrow(RangeError);
  });

  it('refuses what is no object', () => {
    expect(() => new Upgrader(null as never)).toThrow(TypeError);
    expect(() => new Upgrader(5 as never)).toThrow(TypeError);
  });

  it('takes options that are undefined or switched off', () => {
    const upgrader = new Upgrader({
      subprotocols: undefined,
      maxConnections: false,
      maxHandshakes: false,
      maxConnectionsPerAddress: false,
      handshakeTimeout: false,
    });
    expect(upgrader).toBeInstanceOf(Upgrader);
  });

  it('bounds handshakes and the time that they take, unless told otherwise', () => {
    expect(checkUpgraderOptions({})).toMatchObject({
      handshakeTimeout: 10_000,
      limits: {
        maxHandshakes: 1_024,
        maxConnections: Infinity,
        maxConnectionsPerAddress: Infinity,
      },
    });
  });

  it('hands the settings of connections through', async () => {
    const server = await listening(new Upgrader({ readLimit: 4 }));
    const client = await connected(server);
    await client.upgrade({ behind: masked(1, 'too long') });
    await client.until(() => client.received.length >= 4);
    expect(client.received.readUInt16BE(2)).toBe(1009);
    expect(KEY.length).toBe(24);
    client.socket.end();
    await ((await server.outcome()) as Conn).closed;
  });
});
