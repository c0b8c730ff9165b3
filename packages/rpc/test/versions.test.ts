// A wire with a version: `$/hello`, refusals, and what a client does then.
import { CloseError, type Conn, connPair } from '@ws/conn';
import { ReconnectingConn } from '@ws/reconnect';
import {
  contract,
  event,
  method,
  OutdatedError,
  RpcError,
  type ServerVersion,
  stream,
} from '@ws/rpc';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { call, failure, INVALID, never, quietly, until } from './pairs.ts';

afterEach(() => void vi.useRealTimers());

type Accepts = Parameters<typeof contract>[0]['accepts'];

const of = (version?: number, accepts?: Accepts) =>
  contract({
    version,
    accepts,
    server: {
      say: method(z.string(), z.string()),
      version: method(z.undefined(), z.number().nullable()),
      again: method(z.string(), z.string(), { retry: true }),
      words: stream(z.string(), z.string()),
      note: event(z.string()),
    },
    client: { ask: method(z.string(), z.string()) },
  });

const handlers: Parameters<ReturnType<typeof of>['serve']>[0] = {
  say: (text) => text,
  version: (_, { version }) => version ?? null,
  again: (text) => text,
  async *words(text) {
    yield* text.split(' ');
  },
  note: () => {},
};

/** A server by contract, and a client that speaks JSON-RPC by hand. */
function raw(version?: number, accepts?: Accepts, own: Partial<typeof handlers> = {}) {
  const reports: unknown[] = [];
  const [client, server] = connPair({ report: (error) => void reports.push(error) });
  quietly(of(version, accepts).serve({ ...handlers, ...own })(server));
  const next = async (): Promise<unknown> => (await client.readMessage()).json();
  const send = (...texts: string[]): void => texts.forEach((text) => void client.send(text));
  const hello = (params?: unknown): string => call('$/hello', '$/hello', params);
  return { client, server, reports, next, send, hello };
}

const answer = (result: unknown, id: unknown = '$/hello'): unknown => ({
  jsonrpc: '2.0',
  id,
  result,
});
const error = (
  code: number,
  message: string,
  data?: unknown,
  id: unknown = '$/hello',
): unknown => ({
  jsonrpc: '2.0',
  id,
  error: { code, message, ...(data === undefined ? {} : { data }) },
});

type Page = {
  live: ReconnectingConn;
  peer: ReturnType<ReturnType<typeof of>['connect']>;
  told: ServerVersion[];
  conns: Conn[];
};

/** A page of one version over nodes that take turns: contracts, or functions that serve a connection. */
function page(
  version: number | undefined,
  nodes: readonly (ReturnType<typeof of> | ((conn: Conn) => void))[],
  delay = 1,
): Page {
  const conns: Conn[] = [];
  const told: ServerVersion[] = [];
  const live = new ReconnectingConn(
    async () => {
      const [client, server] = connPair({ report: () => {} });
      const node = nodes[conns.length % nodes.length]!;
      conns.push(client);
      if (typeof node === 'function') node(server);
      else quietly(node.serve(handlers)(server));
      return client;
    },
    { minDelay: delay, maxDelay: delay === 1 ? 1 : 60_000 },
  );
  const peer = of(version).connect(
    live,
    { ask: (text) => text },
    { onOutdated: (server) => void told.push(server) },
  );
  return { live, peer, told, conns };
}

describe('101 contract({ version, accepts })', () => {
  it.each<[string, object, string]>([
    [
      'accepts without version',
      { accepts: [1] },
      'TypeError: contract: accepts: write the version too: { version: 3, accepts: [2, 3] }',
    ],
    [
      'a version of 0',
      { version: 0 },
      'RangeError: contract: version: expected a whole number of 1 or more, got 0',
    ],
    [
      'a version as text',
      { version: '3' },
      'TypeError: contract: version: expected a number, got string',
    ],
    [
      'a version of 1e308',
      { version: 1e308 },
      'RangeError: contract: version: expected a whole number of 1 or more, got 1e+308',
    ],
    [
      'one accepted version',
      { version: 3, accepts: 2 },
      'TypeError: contract: accepts: expected a list or a function, got number',
    ],
    [
      'texts in the list',
      { version: 3, accepts: ['2'] },
      'TypeError: contract: accepts: expected a number, got string',
    ],
  ])('refuses %s', (_, plan, text) => {
    let thrown: unknown;
    try {
      contract(plan as never);
    } catch (fault) {
      thrown = fault;
    }
    expect(String(thrown)).toBe(text);
  });

  it('has the version of the contract that it extends, and never two', () => {
    const three = of(3, [2]);
    const merged = contract({ server: { other: event(z.string()) } }, three);
    expect([merged.version, merged.accepts]).toEqual([3, [2]]);
    expect(contract({ version: 4 }, of()).version).toBe(4);
    expect(() => contract({ version: 4 }, three as never)).toThrow(
      'contract: version: both contracts have one; leave one of them out',
    );
  });

  it('keeps the list as it was', () => {
    const list = [1, 2];
    const { accepts } = of(3, list);
    list.push(9);
    expect(accepts).toEqual([1, 2]);
  });
});

describe('101 a server answers $/hello', () => {
  it.each<[string, number | undefined, Accepts, unknown, unknown]>([
    ['without versions', undefined, undefined, { wire: 1 }, { wire: 1 }],
    ['with its version', 3, undefined, { wire: 1, version: 1 }, { wire: 1, version: 3 }],
    ['with its list', 3, [2], { wire: 1, version: 2 }, { wire: 1, version: 3, accepts: [2] }],
    [
      'of its own version, which the list lacks',
      3,
      [2],
      { wire: 1, version: 3 },
      { wire: 1, version: 3, accepts: [2] },
    ],
    ['without a function', 3, () => true, { wire: 1, version: 2 }, { wire: 1, version: 3 }],
    ['of a client without a version', 3, [2], { wire: 1 }, { wire: 1, version: 3, accepts: [2] }],
    [
      'of a client whose version is null',
      3,
      [2],
      { wire: 1, version: null },
      { wire: 1, version: 3, accepts: [2] },
    ],
    ['with the lower wire', undefined, undefined, { wire: 2 }, { wire: 1 }],
    ['with members of a later wire', undefined, undefined, { wire: 1, more: {} }, { wire: 1 }],
    ['without params', undefined, undefined, undefined, { wire: 1 }],
  ])('%s', async (_, version, accepts, params, result) => {
    const { send, hello, next } = raw(version, accepts);
    send(hello(params));
    expect(await next()).toEqual(answer(result));
  });

  it.each([
    [{ wire: 1, version: 1e308 }],
    [{ wire: 1, version: '3' }],
    [{ wire: 1, version: -1 }],
    [{ wire: 1, version: {} }],
    [{ wire: 0 }],
    [{ wire: '1' }],
  ])('refuses %j with -32600, and takes a better one', async (params) => {
    const { send, hello, next } = raw(3, [3]);
    send(hello(params), call(1, 'version', undefined), hello({ wire: 1, version: 3 }));
    expect(await next()).toEqual(error(-32_600, 'Invalid Request'));
    const answers = [await next(), await next()];
    expect(answers).toContainEqual(answer(null, 1));
    expect(answers).toContainEqual(answer({ wire: 1, version: 3, accepts: [3] }));
  });

  it('refuses a second hello, which changes nothing', async () => {
    const { send, hello, next } = raw(3);
    send(
      hello({ wire: 1, version: 2 }),
      hello({ wire: 1, version: 3 }),
      call(1, 'version', undefined),
    );
    expect(await next()).toEqual(answer({ wire: 1, version: 3 }));
    expect(await next()).toEqual(error(-32_600, 'Invalid Request'));
    expect(await next()).toEqual(answer(2, 1));
  });

  it('refuses one in a batch, and ignores one without an id', async () => {
    const { send, hello, next } = raw(3, [3]);
    send(
      `[${hello({ wire: 1, version: 1 })}]`,
      JSON.stringify({ jsonrpc: '2.0', method: '$/hello', params: { wire: 1, version: 1 } }),
      call(1, 'version', undefined),
    );
    expect(await next()).toEqual(INVALID);
    expect(await next()).toEqual(answer(null, 1));
  });

  it('beside a slow handler and behind a full queue, after other requests', async () => {
    const { send, hello, next } = raw(3, undefined, { say: never });
    for (let i = 0; i < 10_100; i++) send(call(i, 'say', ['x']));
    send(hello({ wire: 1, version: 2 }));
    let got: unknown;
    do got = await next();
    while ((got as { id: unknown }).id !== '$/hello');
    expect(got).toEqual(answer({ wire: 1, version: 3 }));
  });

  it('with any id', async () => {
    const { send, next } = raw(3);
    send(call(7, '$/hello', { wire: 1 }));
    expect(await next()).toEqual(answer({ wire: 1, version: 3 }, 7));
  });

  it('is a request that a client does not know', async () => {
    const [client, server] = connPair();
    of(3).connect(client, { ask: (text) => text });
    await server.readMessage();
    void server.send(call('$/hello', '$/hello', { wire: 1, version: 1 }));
    expect((await server.readMessage()).json()).toEqual(
      error(-32_601, 'Method not found', { version: 3 }),
    );
  });
});

describe('101 a server refuses', () => {
  it.each<[string, number, Accepts, number, string, unknown]>([
    ['a lower version', 1, [2], 4426, 'outdated', { version: 3, accepts: [2] }],
    ['a higher version', 4, [2], 1013, 'newer', { version: 3, accepts: [2] }],
    ['what a function refuses: lower', 2, () => false, 4426, 'outdated', { version: 3 }],
    ['what a function refuses: higher', 4, () => false, 1013, 'newer', { version: 3 }],
    ['what a function refuses: its own', 3, () => false, 1013, 'newer', { version: 3 }],
  ])('%s, and handles nothing more', async (_, version, accepts, code, reason, data) => {
    const ran: string[] = [];
    const { client, send, hello, next } = raw(3, accepts, {
      say: (text) => (ran.push(text), text),
      note: (text) => void ran.push(text),
    });
    send(hello({ wire: 1, version }), call(1, 'say', ['x']), call(undefined, 'note', ['x']));
    expect(await next()).toEqual(error(-32_010, reason, data));
    await expect(next()).rejects.toBeInstanceOf(CloseError);
    expect(await client.closed).toMatchObject({ code, reason });
    expect(ran).toEqual([]);
  });

  it.each<[string, Accepts, string]>([
    [
      'throws',
      () => {
        throw new Error('away');
      },
      'Error: away',
    ],
    [
      'returns a promise',
      (async () => true) as never,
      'TypeError: accepts: expected true or false, got a promise; it must be synchronous',
    ],
    [
      'returns no boolean',
      (() => 1) as never,
      'TypeError: accepts: expected true or false, got number',
    ],
  ])('if accepts %s, and reports it', async (_, accepts, text) => {
    const { client, send, hello, reports } = raw(3, accepts);
    void client.discardReads().catch(() => {});
    send(hello({ wire: 1, version: 2 }));
    expect(await client.closed).toMatchObject({ code: 4426 });
    expect(reports.map(String)).toEqual([text]);
  });

  it('by what accepts says at that time', async () => {
    let isOpen = true;
    const node = of(3, () => isOpen);
    for (const expected of ['result', 'error']) {
      const [client, server] = connPair();
      quietly(node.serve(handlers)(server));
      void client.send(call('$/hello', '$/hello', { wire: 1, version: 2 }));
      expect((await client.readMessage()).json()).toHaveProperty(expected);
      isOpen = false;
    }
  });
});

describe('101 context.version', () => {
  it.each([undefined, 2])('is that of the client: %s', async (version) => {
    const { peer, live } = page(version, [of(3)]);
    expect(await peer.version(undefined)).toBe(version ?? null);
    await live.close();
  });
});

describe('101 a client says hello', () => {
  it('first on each connection, and waits for no answer', async () => {
    const texts: unknown[][] = [];
    const silent = (conn: Conn): void => {
      const own: unknown[] = [];
      texts.push(own);
      void conn.receive((message) => void own.push(message.json())).catch(() => {});
    };
    const { live, peer, conns } = page(2, [silent]);
    void live.send('{"jsonrpc":"2.0","method":"x"}');
    quietly(peer.again('a'));
    await until(() => expect(texts[0]).toHaveLength(3));
    conns[0]!.terminate();
    await until(() => expect(texts[1]).toHaveLength(2));
    const hello = {
      jsonrpc: '2.0',
      id: '$/hello',
      method: '$/hello',
      params: { wire: 1, version: 2 },
    };
    expect([texts[0]![0], texts[1]![0]]).toEqual([hello, hello]);
    expect(texts[0]![2]).toMatchObject({ id: 1, method: 'again' });
    await live.close();
  });

  it('after onOpen has settled', async () => {
    const texts: string[] = [];
    const live = new ReconnectingConn(
      async () => {
        const [client, server] = connPair();
        void server.receive((message) => void texts.push(message.text())).catch(() => {});
        return client;
      },
      {
        onOpen: async (conn) => {
          await conn.send('login');
          await Promise.resolve();
          await conn.send('name');
        },
      },
    );
    of().connect(live, { ask: (text) => text });
    await until(() => expect(texts).toHaveLength(3));
    expect([texts.slice(0, 2), JSON.parse(texts[2]!)]).toEqual([
      ['login', 'name'],
      { jsonrpc: '2.0', id: '$/hello', method: '$/hello', params: { wire: 1 } },
    ]);
    await live.close();
  });

  it('at connect on a connection that is open', async () => {
    const [client, server] = connPair();
    of(2).connect(client, { ask: (text) => text });
    expect((await server.readMessage()).json()).toMatchObject({ method: '$/hello' });
    const { live, conns } = page(2, [(conn) => void conn.discardReads().catch(() => {})]);
    await until(() => expect(live.state).toBe('open'));
    expect(conns[0]!.stats.messagesOut).toBe(1);
    await live.close();
  });

  it.each<[string, unknown]>([
    ['-32601', error(-32_601, 'Method not found')],
    ['a result of another form', answer([])],
    ['a version of another form', answer({ wire: 1, version: '9' })],
    ['an unknown error of the version', error(-32_010, 'later', { version: 9 })],
    ['an error of another form', { jsonrpc: '2.0', id: '$/hello', error: 7 }],
    [
      'the members of a later wire',
      answer({ wire: 1, version: 2, expires: 60, trace: 'x', more: [] }),
    ],
  ])('and goes on after %s', async (_, reply) => {
    const { live, peer } = page(2, [
      (conn) =>
        void conn
          .receive((message) => {
            const { id, method: name } = message.json() as { id: unknown; method: string };
            void conn.writeJSON(name === '$/hello' ? reply : answer('b', id));
          })
          .catch(() => {}),
    ]);
    expect(await peer.say('a')).toBe('b');
    expect(live.state).toBe('open');
    await live.close();
  });

  it('and takes an answer once: a proxy that replays ends nothing', async () => {
    const { live, peer, told } = page(2, [
      (conn) =>
        void conn
          .receive((message) => {
            const { id, method: name } = message.json() as { id: unknown; method: string };
            if (name !== '$/hello') return void conn.writeJSON(answer('b', id));
            void conn.writeJSON(answer({ wire: 1, version: 2 }));
            void conn.writeJSON(error(-32_010, 'outdated', { version: 3, accepts: [3] }));
          })
          .catch(() => {}),
    ]);
    expect([await peer.say('a'), told]).toEqual(['b', []]);
    await live.close();
  });
});

describe('101 an outdated client', () => {
  const server = { version: 3, accepts: [3] };

  it('ends with OutdatedError, and dials no more', async () => {
    const { live, peer, told, conns } = page(2, [of(3, [3])]);
    const calls = [failure(peer.say('a')), failure(peer.words('a b').next())];
    quietly(live.send('{}'));
    const end = await live.closed;
    expect(end.error).toBeInstanceOf(OutdatedError);
    expect(end.error).toBeInstanceOf(CloseError);
    expect(end.error).toMatchObject({ closeCode: 4426, reason: 'outdated', ...server });
    for (const each of calls) expect(await each).toBe(end.error);
    expect(await failure(peer.say('later'))).toBe(end.error);
    expect([told, conns.length, live.state]).toEqual([[server], 1, 'closed']);
    expect(await failure(live.send('x'))).toBe(end.error);
  });

  it('has what waited in unsent', async () => {
    const { live } = page(2, [of(3, [3])]);
    const early = live.send('early');
    early.catch(() => {});
    live.sleep();
    const { unsent } = await new Promise<Awaited<typeof live.closed>>((resolve) => {
      live.wake();
      void live.closed.then(resolve);
    });
    expect(unsent.map((message) => message.text())).toEqual([]);
  });

  it('ends by 4426 alone too', async () => {
    const { live, peer, told, conns } = page(2, [(conn) => void conn.close(4426)]);
    expect(await failure(peer.say('a'))).toBeInstanceOf(OutdatedError);
    expect((await live.closed).error).toBeInstanceOf(OutdatedError);
    expect([told, conns.length]).toEqual([[{ version: undefined, accepts: undefined }], 1]);
  });

  it('is told of on a Conn', async () => {
    const [client, node] = connPair({ report: () => {} });
    const told: ServerVersion[] = [];
    const peer = of(2).connect(
      client,
      { ask: (text) => text },
      { onOutdated: (each) => void told.push(each) },
    );
    quietly(of(3, [3]).serve(handlers)(node));
    expect(await failure(peer.say('a'))).toBeInstanceOf(OutdatedError);
    expect(told).toEqual([server]);
    await client.closed;
    expect(await failure(peer.say('later'))).toBeInstanceOf(OutdatedError);
  });

  it.each([
    () => {
      throw new Error('banner');
    },
    () => Promise.reject(new Error('banner')),
  ])('ends also if onOutdated fails, which is reported', async (onOutdated) => {
    const reports: string[] = [];
    const [client, node] = connPair({ report: (fault) => void reports.push(String(fault)) });
    const peer = of(2).connect(client, { ask: (text) => text }, { onOutdated });
    quietly(of(3, [3]).serve(handlers)(node));
    expect(await failure(peer.say('a'))).toBeInstanceOf(OutdatedError);
    await until(() => expect(reports).toEqual(['Error: banner']));
  });

  it('refuses an onOutdated that is no function', () => {
    const [client] = connPair();
    expect(() =>
      of(2).connect(client, { ask: (text) => text }, { onOutdated: 'x' as never }),
    ).toThrow('onOutdated: expected a function, got string');
  });
});

describe('101 a newer client', () => {
  it('waits with its open calls for a node that admits it', async () => {
    const { live, peer, told, conns } = page(3, [of(2, [2]), of(2, [2]), of(3)]);
    const words: string[] = [];
    const loop = (async () => {
      for await (const word of peer.words('a b')) words.push(word);
    })();
    expect(await Promise.all([peer.say('a'), peer.again('b')])).toEqual(['a', 'b']);
    await loop;
    expect([words, conns.length, told]).toEqual([['a', 'b'], 3, []]);
    await live.close();
  });

  it('has its calls wait within their timeout', async () => {
    const { live, peer } = page(3, [of(2, [2])], 60_000);
    expect(await failure(peer.say('a', { timeout: 50 }))).toMatchObject({ code: 'WS_ERR_TIMEOUT' });
    await live.close();
  });

  it('runs no call twice', async () => {
    const ran: string[] = [];
    const node = (version: number) => (conn: Conn) =>
      quietly(
        of(version, [version]).serve({ ...handlers, say: (text) => (ran.push(text), text) })(conn),
      );
    const { live, peer } = page(3, [node(2), node(3)]);
    await Promise.all(['a', 'b', 'c'].map((text) => peer.say(text)));
    expect(ran).toEqual(['a', 'b', 'c']);
    await live.close();
  });

  it('over nodes of 2 and 3 in turn for a minute: no end, no reload', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const { live, peer, told, conns } = page(3, [of(2, [1, 2]), of(3, [2, 3])], 1_000);
    for (let second = 0; second < 60; second++) {
      quietly(peer.say('a'));
      await vi.advanceTimersByTimeAsync(1_000);
      // Each second the rolling update restarts the node of the page.
      if (live.conn !== undefined) conns.at(-1)!.terminate();
    }
    expect(conns.length).toBeGreaterThan(4);
    expect([told, live.state === 'closed']).toEqual([[], false]);
    await live.close();
  });

  it('after a rollback: ends once, when only refusals have come for 60 s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const { live, told } = page(3, [of(2, [1, 2])], 1_000);
    // Messages need turns of the real event loop.
    const pass = async (seconds: number): Promise<void> => {
      for (let second = 0; second < seconds && live.state !== 'closed'; second++) {
        await vi.advanceTimersByTimeAsync(1_000);
        for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      }
    };
    await pass(59);
    expect([told, live.state === 'closed']).toEqual([[], false]);
    await pass(600);
    expect(told).toEqual([{ version: 2, accepts: [1, 2] }]);
    expect((await live.closed).error).toBeInstanceOf(OutdatedError);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(told).toHaveLength(1);
  });
});

describe('101 an older node, which does not know a method', () => {
  const old = (version?: number) =>
    contract({ version, server: { say: method(z.string(), z.string()) } });
  const node =
    (version?: number) =>
    (conn: Conn): void =>
      quietly(old(version).serve({ say: (text) => text })(conn));

  it('has a call with retry wait for the next connection', async () => {
    const { live, peer, conns } = page(3, [node(2), of(3)]);
    const again = peer.again('a');
    expect(await peer.say('b')).toBe('b');
    conns[0]!.terminate();
    expect(await again).toBe('a');
    await live.close();
  });

  it('twice: the call rejects with -32601', async () => {
    const { live, peer, conns } = page(3, [node(2)]);
    const again = failure(peer.again('a'));
    await peer.say('b');
    conns[0]!.terminate();
    expect(await again).toMatchObject({ code: -32_601, data: { version: 2 } });
    await live.close();
  });

  it.each<[string, (page: Page) => void]>([
    ['its timeout', () => {}],
    ['the end', ({ live }) => void live.close()],
  ])('rejects it with -32601 at %s', async (_, end) => {
    const all = page(3, [node(2)]);
    const again = failure(all.peer.again('a', { timeout: 50 }));
    await all.peer.say('b');
    end(all);
    expect(await again).toMatchObject({ code: -32_601, data: { version: 2 } });
    await all.live.close();
  });

  it.each<[string, number | undefined, number | undefined, 'again' | 'version']>([
    ['without retry', 3, 2, 'version'],
    ['of the same version', 3, 3, 'again'],
    ['of a newer version', 3, 4, 'again'],
    ['without a version', 3, undefined, 'again'],
    ['to a client without a version', undefined, 2, 'again'],
  ])('%s: the call rejects at once', async (_, own, version, name) => {
    const { live, peer } = page(own, [node(version)]);
    const fault = await failure(peer[name]('a' as never));
    expect(fault).toBeInstanceOf(RpcError);
    expect(fault).toMatchObject({ code: -32_601 });
    await live.close();
  });
});

describe('101 codes that a client does not know', () => {
  it.each([4400, 4450, 4499, 1014])('dials again with delays after %i', async (code) => {
    const { live, peer, conns } = page(2, [(conn) => void conn.close(code), of(2)]);
    expect(await peer.again('a')).toBe('a');
    expect(conns).toHaveLength(2);
    await live.close();
  });

  it.each([-32_002, -32_010, -32_019, -32_099])(
    'rejects the request with %i, and leaves the connection',
    async (code) => {
      let requests = 0;
      const { live, peer, conns } = page(2, [
        (conn) =>
          void conn
            .receive((message) => {
              const { id, method: name } = message.json() as { id: unknown; method: string };
              if (name === '$/hello') return;
              requests++;
              void conn.writeJSON(
                name === 'again' ? error(code, 'x', undefined, id) : answer('b', id),
              );
            })
            .catch(() => {}),
      ]);
      expect(await failure(peer.again('a'))).toMatchObject({ code });
      expect([await peer.say('a'), requests, conns.length]).toEqual(['b', 2, 1]);
      await live.close();
    },
  );
});

describe('101 members of a later wire', () => {
  it('are ignored in a request, an event, an answer, an item and a signal', async () => {
    const { send, next, hello } = raw(2);
    const more = (text: string): string => text.replace('{', '{"trace":"t","later":[1],');
    send(
      more(hello({ wire: 1, version: 2, trace: 't', later: 1 })),
      more(call(1, 'say', ['x'])),
      more(call(undefined, 'note', ['x'])),
      more(call(2, 'words', ['a b'])),
      more(JSON.stringify({ jsonrpc: '2.0', method: '$/more', params: { id: 2, n: 1, later: 1 } })),
      more(
        JSON.stringify({ jsonrpc: '2.0', method: '$/cancelRequest', params: { id: 9, later: 1 } }),
      ),
      more(call('$/alive', '$/alive', { later: 1 })),
      JSON.stringify({ jsonrpc: '2.0', method: '$/later', params: { id: 1 } }),
      call(3, '$/later', {}),
    );
    const got: unknown[] = [];
    for (let i = 0; i < 7; i++) got.push(await next());
    for (const each of [
      answer({ wire: 1, version: 2 }),
      answer('x', 1),
      answer(null, 2),
      answer(null, '$/alive'),
      error(-32_601, 'Method not found', { version: 2 }, 3),
    ]) {
      expect(got).toContainEqual(each);
    }
  });

  it('are ignored by a client', async () => {
    const later = { trace: 't', later: [1] };
    const { live, peer } = page(2, [
      (conn) =>
        void conn
          .receive((message) => {
            const { id, method: name } = message.json() as { id: unknown; method?: string };
            if (name === undefined) return;
            if (name === '$/hello') {
              void conn.writeJSON({
                ...later,
                jsonrpc: '2.0',
                method: '$/version',
                params: { version: 2, ...later },
              });
              return void conn.writeJSON({
                ...later,
                ...(answer({ wire: 1, expires: 1, ...later }) as object),
              });
            }
            if (name === 'words') {
              void conn.writeJSON({ ...later, jsonrpc: '2.0', method: '$/later', params: { id } });
              void conn.writeJSON({
                ...later,
                jsonrpc: '2.0',
                method: '$/item',
                params: { id, items: ['a'], ...later },
              });
              return void conn.writeJSON({ ...later, ...(answer(null, id) as object) });
            }
            void conn.writeJSON({ ...later, ...(answer('b', id) as object) });
          })
          .catch(() => {}),
    ]);
    expect(await peer.say('a')).toBe('b');
    const words: string[] = [];
    for await (const word of peer.words('x')) words.push(word);
    expect([words, live.state]).toEqual([['a'], 'open']);
    await live.close();
  });

  it('of a server of wire 2: a client of wire 1 goes on', async () => {
    const { live, peer } = page(2, [
      (conn) =>
        void conn
          .receive((message) => {
            const { id, method: name } = message.json() as { id: unknown; method: string };
            // The lower of both.
            void conn.writeJSON(
              name === '$/hello' ? answer({ wire: 1, version: 2 }) : answer('b', id),
            );
          })
          .catch(() => {}),
    ]);
    expect(await peer.say('a')).toBe('b');
    await live.close();
  });
});
