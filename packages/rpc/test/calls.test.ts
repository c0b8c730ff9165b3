import { setTimeout as sleep } from 'node:timers/promises';
import { BackpressureError, CloseError, connPair, JSONError, TimeoutError } from '@ws/conn';
import { contract, event, method, RpcError } from '@ws/rpc';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import {
  chat,
  clientHandlers,
  failure,
  nextOf,
  quietly,
  serverHandlers,
  settled,
  setUp,
  setUpRaw,
  throws,
  until,
  useFakeClock,
} from './pairs.ts';

useFakeClock();

const never = (): Promise<never> => new Promise(() => {});

describe('a call', () => {
  it('resolves with the answer, in both directions', async () => {
    const { peer, toClient } = setUp({
      client: { confirm: ({ question }) => question === 'yes?' },
    });
    expect(await peer.add([1, 2])).toBe(3);
    expect(await peer.say({ text: 'abc' })).toEqual({ at: 3 });
    expect(await toClient.confirm({ question: 'yes?' })).toBe(true);
    expect(await toClient.confirm({ question: 'no?' })).toBe(false);
  });

  it('takes a value that is no object, and none', async () => {
    const { peer } = setUp();
    expect(await peer.twice('ab')).toBe('abab');
    expect(await peer.nothing()).toBeUndefined();
  });

  it.each([
    ['z.any()', z.any()],
    ['z.json()', z.json()],
    ['z.union()', z.union([z.string(), z.number(), z.null(), z.boolean(), z.array(z.any())])],
    ['an asynchronous schema', z.any().refine(async () => true)],
  ])('passes each value as it was sent, by %s', async (_, schema) => {
    const echo = contract({
      server: { any: method(schema, z.any()), said: event(schema) },
      client: { said: event(z.any()) },
    });
    const [client, server] = connPair();
    const seen: unknown[] = [];
    void echo.serve({ any: (input) => input, said: (input) => void seen.push(input) })(server);
    const peer = echo.connect(client, { said: (input) => void seen.push(input) });
    const values = ['a', 5, null, true, [], [5], [[5]], [[[5]]], ['a'], [null], [1, 2], [[]]];
    for (const value of values) {
      expect(await peer.any(value)).toEqual(value);
      await peer.said(value);
    }
    expect(await peer.any({ toJSON: () => [5] })).toEqual([5]);
    expect(seen).toEqual(values);
    seen.length = 0;
    for (const value of values) await server.send(echo.client.said.encode(value));
    await until(() => expect(seen).toEqual(values));
  });

  it('passes a list of one value as it was sent, when JSON changes the value', async () => {
    const dates = z.union([z.string(), z.array(z.coerce.date())]);
    const echo = contract({ server: { any: method(dates, z.any()) } });
    const [client, server] = connPair();
    void echo.serve({ any: (input) => input })(server);
    const peer = echo.connect(client, {});
    expect(await peer.any([new Date(0)])).toEqual(['1970-01-01T00:00:00.000Z']);
    client.terminate();
  });

  it.each([
    [[5], '[5]'],
    [['a', 'b'], '["a","b"]'],
  ])('sends the params %j by position to a server by hand', async (params, text) => {
    const eth = contract({
      server: { get: method(z.array(z.union([z.string(), z.number()])), z.any()) },
    });
    const [client, server] = connPair();
    void eth
      .connect(client, {})
      .get(params)
      .catch(() => {});
    const { params: sent } = (await nextOf(server)) as { params: unknown };
    expect(JSON.stringify(sent)).toBe(text);
    client.terminate();
  });

  it('settles with an answer without a result, of a method by hand', async () => {
    const [client, server] = connPair();
    const peer = chat.connect(client, clientHandlers);
    const call = peer.nothing();
    const late = failure(peer.add([1, 2]));
    await server.readMessage();
    await server.send('{"jsonrpc":"2.0","id":1}');
    await server.send('{"jsonrpc":"2.0","id":2}');
    expect(await call).toBeUndefined();
    expect(await late).toBeInstanceOf(JSONError);
    expect(client.stats.messagesOut).toBe(3);
  });

  it('says after JSON when the answer has become another value', async () => {
    const dates = contract({ server: { now: method(z.undefined(), z.date() as z.ZodType) } });
    const [client, server] = connPair();
    void dates.serve({ now: () => new Date() })(server);
    const error = await dates.connect(client, {}).now().catch(String);
    expect(error).toMatch(/answer to now does not fit its schema after JSON/);
  });

  it('names the method that an older end has not, and an echo server', async () => {
    const more = contract({ server: { shout: method(z.string(), z.string()) } });
    const [near, far] = connPair();
    void chat.serve(serverHandlers)(far);
    const unknown = await more.connect(near, {}).shout('a').catch(String);
    expect(unknown).toMatch(/Method not found: shout; is the other end older\?/);
    const [page, echo] = connPair();
    void echo.receive((message) => echo.send(message.text()));
    const own = await more.connect(page, {}).shout('a').catch(String);
    expect(own).toMatch(/answer to shout is the request itself: does an echo server listen/);
  });

  it('rejects with the RpcError of the handler', async () => {
    const { peer, reports } = setUp({
      server: {
        add: throws(new RpcError(404, 'no such room', { room: 1 })),
      },
    });
    const error = await failure(peer.add([1, 2]));
    expect(error).toBeInstanceOf(RpcError);
    expect(error).toMatchObject({ code: 404, message: 'no such room', data: { room: 1 } });
    expect(reports).toEqual([]);
  });

  it.each([
    ['an error', () => Promise.reject(new Error('secret of the database'))],
    [
      'an answer that does not fit',
      () => Promise.resolve('secret of the database' as unknown as number),
    ],
    ['an answer that JSON does not have', () => 1n as unknown as number],
  ])('gets no word of %s', async (_, add) => {
    const { peer, reports, serverConn } = setUp({ server: { add } });
    await expect(peer.add([1, 2])).rejects.toMatchObject({
      code: -32_603,
      message: 'Internal error',
      data: undefined,
    });
    expect(reports).toHaveLength(1);
    expect(serverConn.state).toBe('open');
    expect(await peer.twice('a')).toBe('aa');
  });

  it('sends the output of the schema of an answer, without unknown keys', async () => {
    const { ask } = setUpRaw({ say: () => ({ at: 1, password: 'x' }) as { at: number } });
    expect(await ask({ jsonrpc: '2.0', id: 1, method: 'say', params: { text: '' } })).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: { at: 1 },
    });
  });

  it('rejects with the issues of an answer that does not fit', async () => {
    const [{ peer, clientConn }] = [setUp()];
    // A schema that does not accept its own output.
    const odd = contract({
      server: {
        odd: method(
          z.undefined(),
          z.string().transform((text) => text.length),
        ),
      },
    });
    expect(clientConn.state).toBe('open');
    await peer.nothing();
    const { connPair } = await import('@ws/conn');
    const [client, server] = connPair();
    void odd.serve({ odd: () => 'text' })(server);
    const error = await odd
      .connect(client, {})
      .odd()
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(JSONError);
    expect((error as JSONError).issues).not.toEqual([]);
    expect(client.state).toBe('open');
  });

  it('rejects for an input that JSON does not have, and sends nothing', async () => {
    const { peer, serverConn } = setUp();
    const cycle: Record<string, unknown> = {};
    cycle['text'] = cycle;
    await expect(peer.say(cycle as never)).rejects.toBeInstanceOf(JSONError);
    await expect(peer.twice((() => 1) as never)).rejects.toBeInstanceOf(JSONError);
    expect(serverConn.stats.messagesIn).toBe(0);
  });

  it('rejects with -32602 and the issues for an input that does not fit', async () => {
    const { peer } = setUp();
    const error = await failure(peer.say({ text: 1 } as never));
    expect(error).toMatchObject({ code: -32_602, data: { issues: [{ path: ['text'] }] } });
  });

  it('times out after 30 s, and the handler is told', async () => {
    let signal: AbortSignal | undefined;
    const { peer, clientConn } = setUp({
      server: {
        add: (_, context) => {
          signal = context.signal;
          return never();
        },
      },
    });
    const failed = failure(peer.add([1, 2]));
    await settled(clientConn);
    await vi.advanceTimersByTimeAsync(30_100);
    expect(await failed).toBeInstanceOf(TimeoutError);
    await settled(clientConn);
    expect(signal?.aborted).toBe(true);
  });

  it('reports no AbortError of a handler that has ended by its signal', async () => {
    const { peer, clientConn, reports } = setUp({
      server: { add: (_, { signal }) => sleep(60_000, 0, { signal }) },
    });
    const failed = failure(peer.add([1, 2], { timeout: 100 }));
    await settled(clientConn);
    await vi.advanceTimersByTimeAsync(150);
    expect(await failed).toBeInstanceOf(TimeoutError);
    await settled(clientConn);
    expect(reports).toEqual([]);
  });

  it('ends by its signal', async () => {
    const { peer, clientConn } = setUp({ server: { add: never } });
    const control = new AbortController();
    const failed = failure(peer.add([1, 2], { signal: control.signal }));
    await settled(clientConn);
    const reason = new Error('the user has left');
    control.abort(reason);
    expect(await failed).toBe(reason);
    await expect(peer.add([1, 2], { signal: control.signal })).rejects.toBe(reason);
  });

  it('ends by a signal that aborts while its input is written', async () => {
    const { peer, serverConn } = setUp({ server: { say: never } });
    const control = new AbortController();
    const input = {
      get text() {
        control.abort('the user has left');
        return '';
      },
    };
    await expect(peer.say(input, { signal: control.signal })).rejects.toBe('the user has left');
    expect(serverConn.stats.messagesIn).toBe(0);
  });

  it.each([
    [{ timeout: 0 }, RangeError],
    [{ timeout: '1' }, TypeError],
    [{ signal: {} }, TypeError],
    [{ timeOut: 5 }, TypeError],
    [5, TypeError],
    [null, TypeError],
  ])('rejects for the options %j', async (options, kind) => {
    const { peer, serverConn } = setUp();
    await expect(peer.add([1, 2], options as never)).rejects.toBeInstanceOf(kind);
    expect(serverConn.stats.messagesIn).toBe(0);
  });

  it.each([
    { aborted: false, addEventListener: () => {} },
    {
      aborted: false,
      addEventListener: throws(new Error('no listeners')),
      removeEventListener: () => {},
    },
  ])('rejects for a signal that cannot be used, and the next one is sent', async (signal) => {
    const { peer } = setUp();
    for (let i = 0; i < 2; i++) {
      await expect(peer.add([1, 2], { signal: signal as never })).rejects.toBeInstanceOf(Error);
    }
    expect(await peer.add([1, 2])).toBe(3);
  });

  it('is cancelled also when the connection has no room for that', async () => {
    const [client, server] = connPair({ highWaterMark: 1_000, maxBufferedAmount: 10_000 });
    const peer = chat.connect(client, clientHandlers);
    const control = new AbortController();
    const ended = peer.say({ text: '' }, { signal: control.signal }).catch(() => 'ended');
    const events = Array.from({ length: 2_000 }, () =>
      failure(peer.typing({ room: 'x'.repeat(1_000) })),
    );
    control.abort();
    expect(await ended).toBe('ended');
    const methods: string[] = [];
    void server.receive((message) => {
      methods.push((message.json() as { method: string }).method);
    });
    const results = await Promise.all(events);
    expect(results.some((result) => result instanceof BackpressureError)).toBe(true);
    await until(() => expect(methods).toContain('$/cancelRequest'));
  });

  it('rejects with a CloseError when the connection ends first', async () => {
    const { peer, serverConn, clientConn } = setUp({ server: { add: never } });
    const failed = failure(peer.add([1, 2]));
    await settled(clientConn);
    void serverConn.close(4000, 'bye');
    const error = await failed;
    expect(error).toBeInstanceOf(CloseError);
    expect(error).toMatchObject({ closeCode: 4000, reason: 'bye' });
    await expect(peer.add([1, 2])).rejects.toBeInstanceOf(CloseError);
  });

  it('waits behind 256 others, in its order', async () => {
    const release: (() => void)[] = [];
    const order: number[] = [];
    const { peer, serverConn, clientConn } = setUp({
      server: {
        add: async ([a]) => {
          order.push(a);
          await new Promise<void>((resolve) => release.push(resolve));
          return a;
        },
      },
    });
    const calls = Array.from({ length: 300 }, (_, i) => peer.add([i, 0]));
    await settled(clientConn);
    expect(serverConn.stats.messagesIn).toBe(257);
    for (let i = 0; i < 300; i++) {
      await until(() => expect(release.length).toBe(i + 1));
      release[i]!();
    }
    expect(await Promise.all(calls)).toEqual(order);
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });

  it('from a schema that checks an answer waits behind earlier calls', async () => {
    const order: number[] = [];
    const release: (() => void)[] = [];
    const calling = z.number().refine((n) => {
      if (n === 1) quietly(peer.job(-1));
      return true;
    });
    const [client, server] = connPair();
    const job = async (n: number): Promise<number> => {
      order.push(n);
      await new Promise<void>((resolve) => release.push(resolve));
      return n;
    };
    const served = contract({ server: { job: method(z.number(), z.number()) } });
    quietly(served.serve({ job }, { concurrency: 1_000 })(server));
    const peer = contract({ server: { job: method(z.number(), calling) } }).connect(client, {});
    for (let i = 1; i <= 258; i++) quietly(peer.job(i));
    await until(() => expect(release).toHaveLength(256));
    release[0]!();
    await until(() => expect(release).toHaveLength(257));
    release[1]!();
    release[2]!();
    await until(() => expect(release).toHaveLength(259));
    expect(order.slice(255)).toEqual([256, 257, 258, -1]);
    client.terminate();
  });

  it('is refused when 10,000 wait', async () => {
    const { peer, clientConn } = setUp({ server: { add: never } });
    for (let i = 0; i < 10_256; i++) peer.add([i, 0]).catch(() => {});
    await expect(peer.add([0, 0])).rejects.toBeInstanceOf(BackpressureError);
    // Else the timeouts of all calls take the time of other tests.
    clientConn.terminate();
    await clientConn.closed;
  });

  it('is refused when 1 MiB waits', async () => {
    const { peer } = setUp({ server: { say: never } });
    const text = 'x'.repeat(100_000);
    for (let i = 0; i < 256 + 10; i++) void peer.say({ text: i < 256 ? '' : text });
    await expect(peer.say({ text })).rejects.toBeInstanceOf(BackpressureError);
  });
});

describe('an event', () => {
  it('reaches its handler, and resolves when the connection has accepted it', async () => {
    const rooms: string[] = [];
    const { peer, clientConn } = setUp({ server: { typing: ({ room }) => void rooms.push(room) } });
    expect(await peer.typing({ room: 'a' })).toBeUndefined();
    await settled(clientConn);
    expect(rooms).toEqual(['a']);
  });

  it('that does not fit is dropped, and reported once a second', async () => {
    const { peer, reports, clientConn } = setUp();
    for (let i = 0; i < 10; i++) void peer.typing({ room: i } as never);
    await settled(clientConn);
    expect(reports).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1_001);
    void peer.typing({ room: 1 } as never);
    await settled(clientConn);
    expect(reports).toHaveLength(2);
    expect(await peer.add([1, 2])).toBe(3);
  });

  it('whose handler fails is reported, and has no answer', async () => {
    const failure = new Error('the handler');
    const { peer, reports, clientConn } = setUp({
      server: {
        typing: throws(failure),
      },
    });
    await peer.typing({ room: 'a' });
    await settled(clientConn);
    expect(reports).toEqual([failure]);
    expect(clientConn.stats.messagesIn).toBe(1);
  });

  it('is encoded once for many', async () => {
    const said: string[] = [];
    const { serverConn, clientConn } = setUp({
      client: { said: ({ text }) => void said.push(text) },
    });
    await serverConn.send(chat.client.said.encode({ text: 'all' }));
    await settled(serverConn);
    expect(said).toEqual(['all']);
    expect(clientConn.state).toBe('open');
  });

  it('is encoded by a synchronous schema alone, and when it fits', () => {
    expect(() => chat.client.said.encode({ text: 1 } as never)).toThrow(JSONError);
    const later = contract({ client: { later: event(z.string().refine(async () => true)) } });
    expect(() => later.client.later.encode('x')).toThrow();
  });
});

describe('contract', () => {
  it.each(['then', 'rpc.x', 'a b', '', 'x'.repeat(65), 'constructor', '__proto__', '$/x', 'ä'])(
    'refuses the name %j',
    (name) => {
      const server = Object.fromEntries([[name, event(z.string())]]);
      expect(() => contract({ server })).toThrow(TypeError);
    },
  );

  it('merges two contracts, and refuses a name of both', async () => {
    const more = contract({ server: { more: method(z.string(), z.number()) } }, chat);
    expect(Object.keys(more.server).toSorted()).toEqual(
      ['add', 'more', 'nothing', 'say', 'twice', 'typing'].toSorted(),
    );
    expect(() => contract({ server: { say: event(z.string()) } }, chat)).toThrow(/server\.say/);
    expect(() => contract({}, {} as never)).toThrow(TypeError);
  });

  it('refuses what is no definition, and unknown options', () => {
    expect(() => contract({ server: { a: z.string() as never } })).toThrow(/method/);
    expect(() => contract({ servers: {} } as never)).toThrow(/did you mean server/);
    expect(() => method(z.string(), 1 as never)).toThrow(TypeError);
    expect(() => method(z.string(), z.string(), { retry: 1 as never })).toThrow(TypeError);
    expect(() => event({} as never)).toThrow(TypeError);
  });

  it('refuses missing and unknown handlers', () => {
    const { add, ...rest } = serverHandlers;
    expect(add).toBeTypeOf('function');
    expect(() => chat.serve(rest as never)).toThrow(/add/);
    expect(() => chat.serve({ ...serverHandlers, adds: add } as never)).toThrow(/adds/);
    expect(() => chat.serve(serverHandlers, { concurrency: 0 })).toThrow(RangeError);
    expect(() => chat.listener(undefined as never)).toThrow(TypeError);
  });

  it('reads a connection alone', async () => {
    const { clientConn, serverConn } = setUp();
    expect(() => chat.connect(clientConn, clientHandlers)).toThrow(/merge/);
    await expect(chat.serve(serverHandlers)(serverConn)).rejects.toThrow(
      /contract\(\{ … \}, other\)/,
    );
  });

  it('rejects a call on a connection that nothing reads, until something does', async () => {
    const { connPair } = await import('@ws/conn');
    const [client, server] = connPair();
    const peer = chat.peer(server);
    await expect(peer.confirm({ question: '' })).rejects.toThrow(/no contract reads/);
    void chat.serve(serverHandlers)(server);
    chat.connect(client, clientHandlers);
    expect(await peer.confirm({ question: '' })).toBe(true);
    expect(chat.peer(server)).toBe(peer);
  });

  it('calls by a contract whose names the reading one has', async () => {
    const { connPair } = await import('@ws/conn');
    const [client, server] = connPair();
    const more = contract({ server: { more: method(z.string(), z.number()) } }, chat);
    void more.serve({ ...serverHandlers, more: () => 1 })(server);
    more.connect(client, clientHandlers);
    expect(await chat.peer(server).confirm({ question: '' })).toBe(true);
    const other = contract({ client: { other: event(z.string()) } });
    expect(() => other.peer(server)).toThrow(/lacks names/);
    expect(() => chat.peer(client)).toThrow(/result of connect/);
  });
});
