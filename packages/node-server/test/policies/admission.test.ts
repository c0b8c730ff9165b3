// `handshakes` and `limits` of a server, by requests. The clock of most tests stands, so no token comes.
import { EventEmitter, once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  type AuthenticateContext,
  admit,
  type Conn,
  type Limit,
  refuse,
  type ServeOptions,
  Upgrader,
} from '../../src/index.ts';
import { stopClock } from '../clock.ts';
import {
  connectRaw,
  exchange,
  masked,
  type RawPeer,
  request,
  serving,
  trapLeftovers,
} from '../raw.ts';
import { connected, endAfterEach, listening } from '../upgrade-server.ts';

trapLeftovers();

const keep = (conn: Conn): void => void conn.receive(() => {}).catch(() => {});
const status = async (port: number, change = {}): Promise<number> =>
  (await exchange(port, request(change))).status;
const waiting = async (
  stats: () => { handshakesWaiting: number },
  count: number,
): Promise<void> => {
  while (stats().handshakesWaiting !== count) await new Promise((done) => setImmediate(done));
};

async function opened(port: number, change = {}): Promise<RawPeer> {
  const client = await connectRaw(port);
  onTestFinished(() => void client.stream.destroy());
  expect((await client.upgrade(change)).status).toBe(101);
  return client;
}

describe('102 handshakes', () => {
  it('refuse with 503, a Retry-After and the end of the socket', async () => {
    stopClock();
    const server = await serving({ handshakes: { perSecond: 1, burst: 2, wait: 0 } }, keep);
    await opened(server.port);
    await opened(server.port);
    const answer = await exchange(server.port, request());
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    expect(answer.headers.get('connection')).toBe('close');
    expect(server.stats).toMatchObject({ paced: 1, limited: 0, handshakesWaiting: 0, opened: 2 });
  });

  it('take no token for what is refused before them, and keep it for what is refused after', async () => {
    stopClock();
    const server = await serving(
      {
        handshakes: { perSecond: 1, burst: 2, wait: 0 },
        allowedOrigins: ['https://a.example'],
        authenticate: (req) => req.url !== '/401',
      },
      { '/chat': keep, '/401': keep },
    );
    const { port } = server;
    for (let i = 0; i < 5; i++) {
      expect(await status(port, { line: 'GET /none HTTP/1.1' })).toBe(404);
      expect(await status(port, { add: ['Origin: https://b.example'] })).toBe(403);
      expect(await status(port, { line: 'POST /chat HTTP/1.1' })).toBe(405);
      expect(await status(port, { add: ['Sec-WebSocket-Extensions: ;;'] })).toBe(400);
    }
    expect(await status(port, { line: 'GET /401 HTTP/1.1' })).toBe(401);
    await opened(port);
    expect(await status(port, { line: 'GET /401 HTTP/1.1' })).toBe(503);
  });

  it('take no token above maxConnections or a limit by address', async () => {
    stopClock();
    const handshakes = { perSecond: 1, burst: 2, wait: 0 };
    for (const options of [
      { maxConnections: 1 },
      { limits: [{ by: 'address', connections: 1 }] },
    ] satisfies ServeOptions[]) {
      const server = await serving({ ...options, handshakes }, keep);
      const first = await opened(server.port);
      for (let i = 0; i < 5; i++) expect(await status(server.port)).toBeGreaterThanOrEqual(429);
      expect(server.stats.paced).toBe(0);
      const { closed } = [...server.connections][0]!;
      first.stream.destroy();
      await closed;
      await opened(server.port);
    }
  });

  it('wait for their turn, and are no pending handshakes meanwhile', async () => {
    const clock = stopClock();
    const server = await serving(
      { handshakes: { perSecond: 100, burst: 1, wait: 1_000 }, maxHandshakes: 50 },
      keep,
    );
    await opened(server.port);
    const clients = await Promise.all([1, 2, 3].map(() => connectRaw(server.port)));
    const answers = clients.map((client) => client.upgrade());
    await waiting(() => server.stats, 3);
    expect(server.stats).toMatchObject({ handshakesPending: 0, handshakesWaiting: 3, open: 1 });
    expect(server.phase).toBe('busy');
    for (const answer of answers) {
      clock.advance(10);
      expect((await answer).status).toBe(101);
    }
    expect(server.stats).toMatchObject({ handshakesPending: 0, handshakesWaiting: 0, open: 4 });
    for (const { stream } of clients) stream.destroy();
  });

  it('give the place of a client that leaves back, and serve the next', async () => {
    const clock = stopClock();
    const server = await serving({ handshakes: { perSecond: 100, burst: 1 } }, keep);
    await opened(server.port);
    const leaver = await connectRaw(server.port);
    leaver.stream.write(request());
    await waiting(() => server.stats, 1);
    const reset = await connectRaw(server.port);
    reset.stream.write(request());
    await waiting(() => server.stats, 2);
    const stays = await connectRaw(server.port);
    const answer = stays.upgrade();
    await waiting(() => server.stats, 3);
    leaver.stream.destroy();
    reset.stream.resetAndDestroy();
    await waiting(() => server.stats, 1);
    clock.advance(10);
    expect((await answer).status).toBe(101);
    stays.stream.destroy();
  });

  it('begin the time of handshakeTimeout with the turn', async () => {
    const clock = stopClock();
    const called = new EventEmitter();
    const server = await serving(
      {
        handshakes: { perSecond: 10, burst: 1, wait: 10_000 },
        handshakeTimeout: 100,
        authenticate: async (req) => {
          if (req.url !== '/hangs') return true;
          called.emit('called');
          return new Promise<boolean>(() => {});
        },
      },
      keep,
    );
    await opened(server.port);
    const client = await connectRaw(server.port);
    const isCalled = once(called, 'called');
    client.stream.write(request({ line: 'GET /hangs HTTP/1.1' }));
    await waiting(() => server.stats, 1);
    // As long as the turn takes: the timeout would be over.
    clock.advance(100);
    await isCalled;
    expect([server.stats.handshakesPending, client.received.length]).toEqual([1, 0]);
    clock.advance(100);
    await client.closed;
    expect(client.received.toString('latin1')).toMatch(
      /^HTTP\/1.1 503 [^]*\r\nRetry-After: \d+\r\n/,
    );
  });

  it('answer 503 to those that wait when the server closes', async () => {
    stopClock();
    const server = await serving({ handshakes: { perSecond: 1, burst: 1, wait: 10_000 } }, keep);
    await opened(server.port);
    const clients = await Promise.all([1, 2, 3].map(() => connectRaw(server.port)));
    for (const { stream } of clients) stream.write(request());
    await waiting(() => server.stats, 3);
    const closed = server.close({ timeout: 100 });
    expect(server.stats.handshakesWaiting).toBe(0);
    for (const client of clients) {
      await client.closed;
      expect(client.received.toString('latin1')).toMatch(
        /^HTTP\/1.1 503 [^]*\r\nRetry-After: \d+\r\n/,
      );
    }
    await closed;
  });

  it.each<[string, ServeOptions]>([
    ['the pace', { handshakes: { perSecond: 1, burst: 1, wait: 0 } }],
    ['a limit by address', { limits: [{ by: 'address', connections: 1 }] }],
    ['a limit of a user', { limits: [{ by: () => 'all', connections: 1 }] }],
    ['maxConnections', { maxConnections: 1 }],
  ])(
    'answer one of many upgrades on a socket that %s refuses, and end it',
    async (_by, options) => {
      stopClock();
      const server = await serving(options, keep);
      await opened(server.port);
      const client = await connectRaw(server.port);
      client.stream.write(
        request({ add: ['Keep-Alive: timeout=60'] })
          .toString('latin1')
          .repeat(50),
      );
      await client.closed;
      expect(client.received.toString('latin1').match(/^HTTP.*|^Connection:.*/gim)).toEqual([
        expect.stringMatching(/ (?:503|429) /),
        'Connection: close',
      ]);
      const { refused, paced, limited, handshakesPending } = server.stats;
      expect([Object.values(refused), handshakesPending]).toEqual([[1], 0]);
      expect(paced + limited).toBe('maxConnections' in options ? 0 : 1);
    },
  );

  it('let others in while an authenticate that hangs has all pending handshakes', async () => {
    stopClock();
    const server = await serving(
      {
        maxHandshakes: 2,
        handshakeTimeout: false,
        handshakes: { perSecond: 100, burst: 5, wait: 0 },
        authenticate: () => new Promise<boolean>(() => {}),
      },
      keep,
    );
    const clients = await Promise.all([1, 2].map(() => connectRaw(server.port)));
    for (const { stream } of clients) stream.write(request());
    while (server.stats.handshakesPending < 2) await new Promise((done) => setImmediate(done));
    const answer = await exchange(server.port, request());
    expect([answer.status, answer.headers.has('retry-after')]).toEqual([503, true]);
    // The clients leave, their calls still hang: that place is kept, as without a pace.
    for (const { stream } of clients) stream.destroy();
  });

  it('leave the header of the application, and none at its own 503', async () => {
    const answers = await Promise.all(
      [
        { authenticate: () => refuse(503) },
        {
          maxConnections: 1,
          error: () => ({ status: 503, headers: { 'Retry-After': '77' } }),
          authenticate: () => true,
        },
      ].map(async (options) => {
        const server = await serving(options as never, keep);
        const first = await connectRaw(server.port);
        first.stream.write(request());
        onTestFinished(() => void first.stream.destroy());
        if (options.maxConnections !== undefined) {
          while (server.stats.open < 1) await new Promise((done) => setImmediate(done));
        }
        const answer = await exchange(server.port, request());
        return [answer.status, answer.headers.get('retry-after')];
      }),
    );
    expect(answers).toEqual([
      [503, undefined],
      [503, '77'],
    ]);
  });
});

describe('102 limits of a user', () => {
  /** A server on which the query names the user. */
  const users = (limits: readonly Limit<string>[], more: object = {}) =>
    serving(
      {
        ...more,
        authenticate: (_req: unknown, { query }: AuthenticateContext) =>
          admit(query.get('user') ?? ''),
        limits,
      },
      (conn) => conn.receive((message) => conn.send(message.text())),
    );
  const as = (user: string) => ({ line: `GET /chat?user=${user} HTTP/1.1` });
  const byUser = ({ auth }: { auth: string }): string => auth;

  it('count his connections, and not those of others', async () => {
    const server = await users([{ by: byUser, connections: 2 }]);
    const { port } = server;
    const [first] = [await opened(port, as('ada')), await opened(port, as('ada'))];
    const answer = await exchange(port, request(as('ada')));
    expect([answer.status, answer.body]).toEqual([429, 'too many connections\n']);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(5);
    expect(server.stats).toMatchObject({ limited: 1, refused: { 429: 1 } });
    await opened(port, as('bob'));
    const { closed } = [...server.connections][0]!;
    first.stream.destroy();
    await closed;
    await opened(port, as('ada'));
  });

  it.each<[string, Limit<string>['by']]>([
    [
      'throws',
      () => {
        throw new Error('mine');
      },
    ],
    ['gives a promise', (async () => 'ada') as never],
    [
      'gives a rejected promise',
      (async () => {
        throw new Error('mine');
      }) as never,
    ],
    ['gives an object', (() => ({})) as never],
    ['gives undefined', (() => undefined) as never],
    ['gives null', (() => null) as never],
    ['gives true', (() => true) as never],
    ['gives an empty text', () => ''],
    ['gives 257 bytes', () => 'x'.repeat(257)],
    ['gives 129 letters of two bytes', () => 'é'.repeat(129)],
    ['gives 1 MB', () => 'x'.repeat(1_000_000)],
    ['gives a fraction', () => 0.5],
    ['gives NaN', () => Number.NaN],
    ['gives a bigint', (() => 1n) as never],
    ['gives a symbol', (() => Symbol('mine')) as never],
    ['gives a String', (() => Object('ada')) as never],
  ])('refuse with 500 and a report when by %s', async (_says, by) => {
    const reported: unknown[] = [];
    const server = await users([{ by, connections: 1 }], {
      report: (error: Error, { where }: { where: string }) =>
        void reported.push(where, error.message),
    });
    const answer = await exchange(server.port, request(as('ada')));
    expect([answer.status, answer.body]).toEqual([500, 'Internal Server Error\n']);
    expect(reported).toEqual([
      'limits',
      expect.stringMatching(/mine|by of limits: expected a text/),
    ]);
    expect(server.stats).toMatchObject({ handshakesPending: 0, limited: 0 });
  });

  it('take 256 bytes and whole numbers as keys, and false for no limit', async () => {
    const keys = ['x'.repeat(256), 'é'.repeat(128), 0, -5, Number.MAX_SAFE_INTEGER] as const;
    const server = await users([
      { by: ({ auth }) => (auth === 'free' ? false : keys[Number(auth)]!), connections: 1 },
    ]);
    for (const i of keys.keys()) {
      await opened(server.port, as(`${i}`));
      expect(await status(server.port, as(`${i}`))).toBe(429);
    }
    for (let i = 0; i < 3; i++) await opened(server.port, as('free'));
  });

  it('give by the auth, the address and the request', async () => {
    const seen: unknown[] = [];
    const server = await users([
      {
        by: function (this: unknown, { auth, address, request: req }) {
          seen.push(this, auth, address, req.url);
          return auth;
        },
        connections: 1,
      },
    ]);
    await opened(server.port, as('ada'));
    expect(seen).toEqual([undefined, 'ada', '127.0.0.1', '/chat?user=ada']);
  });

  it('close his oldest connection with 4409, and none of others', async () => {
    const server = await users([{ by: byUser, connections: 1, over: 'oldest' }]);
    const { port } = server;
    const victim = await opened(port, as('bob'));
    const old = await opened(port, as('ada'));
    const young = await opened(port, as('ada'));
    await old.until(() => old.received.length >= 4);
    expect([old.received[0], old.received.readUInt16BE(2)]).toEqual([0x88, 4409]);
    // It does not answer, and it sends on: nothing of that is handled, and it is cut.
    old.stream.write(masked(1, 'still here'));
    await old.closed;
    for (const client of [victim, young]) {
      client.stream.write(masked(1, 'hi'));
      await client.until(() => client.received.includes('hi'));
    }
    expect(server.stats.open).toBe(2);
  });

  it('bound the handshakes of a user, and take no token of others', async () => {
    stopClock();
    const server = await users([{ by: byUser, handshakes: { perSecond: 1, burst: 2 } }]);
    for (let i = 0; i < 2; i++) await opened(server.port, as('ada'));
    for (let i = 0; i < 5; i++) expect(await status(server.port, as('ada'))).toBe(429);
    await opened(server.port, as('bob'));
  });

  it('share the rate of a user between his connections, in turn', async () => {
    const clock = stopClock();
    const server = await users([
      { by: byUser, rate: { messages: 10, burst: 4 } },
      { by: 'address', connections: 10 },
    ]);
    const { port } = server;
    const [one, two, other] = [
      await opened(port, as('ada')),
      await opened(port, as('ada')),
      await opened(port, as('bob')),
    ];
    const flood = (): Buffer => Buffer.concat(Array.from({ length: 20 }, () => masked(1, 'x')));
    const got = (client: RawPeer): number => client.received.length / 3;
    one.stream.write(flood());
    await one.until(() => got(one) === 4);
    two.stream.write(flood());
    other.stream.write(masked(1, 'x'));
    await other.until(() => got(other) === 1);
    expect([got(one), got(two)]).toEqual([4, 0]);
    for (let i = 1; i <= 3; i++) {
      for (const client of [one, two]) {
        clock.advance(100);
        const before = got(client);
        await client.until(() => got(client) === before + 1);
      }
    }
    expect([got(one), got(two), got(other)]).toEqual([7, 3, 1]);
  });

  it('close the one that sends above a rate with over: close', async () => {
    stopClock();
    const server = await users([{ by: byUser, rate: { messages: 3, over: 'close' } }]);
    const [one, two] = [await opened(server.port, as('ada')), await opened(server.port, as('ada'))];
    for (let i = 0; i < 3; i++) one.stream.write(masked(1, 'x'));
    await one.until(() => one.received.length === 9);
    two.stream.write(masked(1, 'x'));
    await two.until(() => two.received.length >= 4);
    expect(two.received.readUInt16BE(2)).toBe(1013);
    expect(one.received.length).toBe(9);
  });

  it('release what an earlier entry has counted when a later one refuses', async () => {
    const server = await users([
      { by: byUser, connections: 2 },
      { by: () => 'all', connections: 1 },
    ]);
    const first = await opened(server.port, as('ada'));
    for (let i = 0; i < 5; i++) expect(await status(server.port, as('ada'))).toBe(429);
    const { closed } = [...server.connections][0]!;
    first.stream.destroy();
    await closed;
    await opened(server.port, as('ada'));
  });

  it('count an address before authenticate, and refused logins of it not for long', async () => {
    let calls = 0;
    const server = await serving(
      {
        limits: [{ by: 'address', connections: 1 }],
        authenticate: () => {
          calls++;
          return calls !== 1;
        },
      },
      keep,
    );
    expect(await status(server.port)).toBe(401);
    await opened(server.port);
    const answer = await exchange(server.port, request());
    expect([answer.status, answer.body, calls]).toEqual([
      429,
      'too many connections from this address\n',
      2,
    ]);
  });
});

describe('102 an Upgrader', () => {
  endAfterEach();

  it('has handshakes and limits too, and rejects with their errors', async () => {
    stopClock();
    const upgrader = new Upgrader({
      handshakes: { perSecond: 1, burst: 2, wait: 0 },
      limits: [{ by: () => 'all', connections: 1 }],
    });
    const server = await listening(upgrader);
    await (await connected(server)).upgrade();
    expect((await exchange(server.port, request())).status).toBe(429);
    expect((await exchange(server.port, request())).status).toBe(503);
    expect(await server.outcome(1)).toMatchObject({ status: 429 });
    expect(upgrader.stats).toMatchObject({ paced: 1, limited: 1 });
    expect(upgrader.phase).toBe('ready');
    ((await server.outcome(0)) as Conn).terminate();
  });
});
