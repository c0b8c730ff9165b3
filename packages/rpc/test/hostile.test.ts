// What a hostile peer, a careless handler or an odd schema may do. Times play no part.
import { AsyncLocalStorage } from 'node:async_hooks';
import { CloseError, type Conn, connPair, JSONError, ReadPendingError } from '@ws/conn';
import { ReconnectingConn } from '@ws/conn/reconnecting';
import { Hub, type Session } from '@ws/hub';
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { contract, event, method, RpcError } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { chat, clientHandlers, serverHandlers, settled, setUp, setUpRaw, until } from './pairs.ts';

/** What a careless library returns as a promise. */
function badThenable(): unknown {
  // oxlint-disable-next-line unicorn/no-thenable -- that is the test
  return Object.defineProperty({}, 'then', {
    get() {
      throw new Error('secret');
    },
  });
}

const MIB = 1024 * 1024;
const never = (): Promise<never> => new Promise(() => {});
const call = (id: unknown, name: string, params: unknown) =>
  JSON.stringify({ jsonrpc: '2.0', id, method: name, params });
const INVALID = { jsonrpc: '2.0', id: null, error: { code: -32_600, message: 'Invalid Request' } };

describe('a foreign id', () => {
  it.each(['0', '-7', '1.5', '9007199254740991', '"9007199254740993"', '"\\u0000"', '""', 'null'])(
    '%s comes back',
    async (id) => {
      const { client, serverConn } = setUpRaw();
      await client.send(`{"jsonrpc":"2.0","id":${id},"method":"add","params":[1,2]}`);
      const answer = (await client.readMessage()).text();
      expect(answer).toBe(`{"jsonrpc":"2.0","id":${id},"result":3}`);
      expect(serverConn.state).toBe('open');
    },
  );

  it.each(['1e400', '-1e400', '9007199254740993', '1e300', 'true', '[]', '{}', '[1]'])(
    '%s is none: no answer could have it',
    async (id) => {
      const { ask } = setUpRaw();
      expect(await ask(`{"jsonrpc":"2.0","id":${id},"method":"add","params":[1,2]}`)).toEqual(
        INVALID,
      );
    },
  );

  it('of 100,000 characters, and of two requests at once, comes back', async () => {
    const { client, next } = setUpRaw();
    const id = 'x'.repeat(100_000);
    await client.send(call(id, 'add', [1, 2]));
    await client.send(call(id, 'add', [3, 4]));
    expect(await next()).toEqual({ jsonrpc: '2.0', id, result: 3 });
    expect(await next()).toEqual({ jsonrpc: '2.0', id, result: 7 });
  });

  it('of a handler that runs can be cancelled after another one with the id has ended', async () => {
    const signals: AbortSignal[] = [];
    const { client, next } = setUpRaw(
      {
        say: ({ text }, { signal }) => {
          signals.push(signal);
          return text === 'short' ? { at: 1 } : never();
        },
      },
      2,
    );
    await client.send(call(1, 'say', { text: 'long' }));
    await client.send(call(1, 'say', { text: 'short' }));
    expect(await next()).toMatchObject({ id: 1, result: { at: 1 } });
    await client.send('{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}');
    await settled(client);
    expect(signals[0]!.aborted).toBe(true);
  });
});

describe('an answer', () => {
  it.each([
    '{"jsonrpc":"2.0","id":1,"result":true}',
    '{"jsonrpc":"2.0","id":"1","result":true}',
    '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}',
    '{"jsonrpc":"2.0","id":{},"result":true}',
    '{"jsonrpc":"2.0","result":true}',
    '{"jsonrpc":"2.0","id":"__proto__","result":true}',
    '{"jsonrpc":"2.0","id":9007199254740993,"error":null,"result":1}',
  ])('%s that was not asked for changes nothing, also 1,000 times', async (text) => {
    const { client, ask, serverConn, reports } = setUpRaw();
    for (let i = 0; i < 1_000; i++) void client.send(text);
    expect(await ask(call(5, 'add', [1, 2]))).toMatchObject({ id: 5, result: 3 });
    expect(serverConn.stats.messagesOut).toBe(1);
    expect(reports).toEqual([]);
  });

  it('of another type of id, or a second one, does not settle a call', async () => {
    const { client, next, toClient } = setUpRaw();
    const answer = toClient.confirm({ question: '' });
    expect(await next()).toMatchObject({ id: 1, method: 'confirm' });
    for (const id of ['"1"', '[1]', 'null', '2']) {
      await client.send(`{"jsonrpc":"2.0","id":${id},"result":false}`);
    }
    await client.send('{"jsonrpc":"2.0","id":1,"result":true}');
    await client.send('{"jsonrpc":"2.0","id":1,"result":false}');
    expect(await answer).toBe(true);
  });

  it.each([
    ['"text"'],
    ['[]'],
    ['1'],
    ['{}'],
    ['{"code":"1","message":""}'],
    ['{"code":1.5,"message":""}'],
    ['{"code":1}'],
    ['{"code":1e400,"message":""}'],
  ])('with the error %s rejects with a JSONError', async (fault) => {
    const { client, next, toClient } = setUpRaw();
    const answer = toClient.confirm({ question: '' }).catch((reason: unknown) => reason);
    await next();
    await client.send(`{"jsonrpc":"2.0","id":1,"error":${fault}}`);
    expect(await answer).toBeInstanceOf(JSONError);
  });

  it('keeps __proto__ and constructor as keys', async () => {
    const any = contract({ server: { get: method(z.undefined(), z.any()) } });
    const [client, server] = connPair();
    const peer = any.connect(client, {});
    const answer = peer.get();
    const { id } = (await server.readMessage()).json() as { id: number };
    const result = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}';
    await server.send(`{"jsonrpc":"2.0","id":${id},"result":${result},"__proto__":{"error":1}}`);
    expect(JSON.stringify(await answer)).toBe(result);
    expect('polluted' in {}).toBe(false);
  });

  it('with a depth that JSON cannot write is an error of this end alone', async () => {
    const echo = contract({ server: { echo: method(z.any(), z.any()) } });
    const reports: unknown[] = [];
    const [client, server] = connPair({ report: (error) => void reports.push(error) });
    void echo.serve({
      echo: () => {
        let deep: unknown[] = [];
        for (let i = 0; i < 100_000; i++) deep = [deep];
        return deep;
      },
    })(server);
    await client.send(call(1, 'echo', []));
    expect((await client.readMessage()).json()).toMatchObject({ id: 1, error: { code: -32_603 } });
    expect(reports).toHaveLength(1);
    expect(server.state).toBe('open');
  });
});

describe('a schema', () => {
  const odd = (validate: (value: unknown) => unknown) => ({
    '~standard': { version: 1, vendor: 'odd', validate } as never,
  });
  const failures: [string, (value: unknown) => unknown][] = [
    [
      'throws',
      () => {
        throw new Error('secret');
      },
    ],
    ['rejects', () => Promise.reject(new Error('secret'))],
    ['returns nothing', () => undefined],
    ['returns issues that are none', () => ({ issues: 'secret' })],
    [
      'has a getter that throws',
      () => ({
        get issues() {
          throw new Error('secret');
        },
      }),
    ],
    ['returns a thenable that throws', badThenable],
  ];

  it.each(failures)('of an input that %s is -32603, without a word', async (_, validate) => {
    const any = contract({
      server: { a: method(odd(validate), z.any()), b: event(odd(validate)) },
    });
    const reports: unknown[] = [];
    const [client, server] = connPair({ report: (error) => void reports.push(error) });
    void any.serve({ a: () => 1, b: () => 1 })(server);
    await client.send('{"jsonrpc":"2.0","method":"b","params":[]}');
    await client.send(call(1, 'a', [1]));
    expect((await client.readMessage()).text()).toBe(
      '{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"Internal error"}}',
    );
    expect(reports).toHaveLength(2);
  });

  it.each(failures)('of an answer that %s is an error at each end', async (_, validate) => {
    const any = contract({ server: { a: method(z.any(), odd(validate)) } });
    const loose = contract({ server: { a: method(z.any(), z.any()) } });
    const [client, server] = connPair({ report: () => {} });
    void any.serve({ a: () => 1 as never })(server);
    await expect(loose.connect(client, {}).a(1)).rejects.toMatchObject({ code: -32_603 });
    const [client2, server2] = connPair();
    void loose.serve({ a: () => 1 })(server2);
    await expect(any.connect(client2, {}).a(1)).rejects.toBeInstanceOf(JSONError);
    expect([server.state, client2.state]).toEqual(['open', 'open']);
  });
});

describe('a handler', () => {
  it.each([
    ['a thenable that throws', badThenable],
    ['undefined as an error', () => Promise.reject(undefined)],
    [
      'an error whose text throws',
      () => {
        throw {
          get message() {
            throw new Error('x');
          },
        };
      },
    ],
    [
      'an RpcError with data that JSON does not have',
      () => {
        throw new RpcError(1, 'secret', 1n);
      },
    ],
    [
      'an RpcError with a cycle',
      () => {
        const data: unknown[] = [];
        data.push(data);
        throw new RpcError(1, 'secret', data);
      },
    ],
  ])('that returns or throws %s is -32603, and the next one runs', async (_, say) => {
    const { ask, reports } = setUpRaw({ say: say as never });
    expect(await ask(call(1, 'say', { text: '' }))).toEqual({
      jsonrpc: '2.0',
      id: 1,
      error: { code: -32_603, message: 'Internal error' },
    });
    expect(reports).toHaveLength(1);
    expect(await ask(call(2, 'add', [1, 2]))).toMatchObject({ id: 2, result: 3 });
  });

  it('runs in the context of its own connection, also when it has waited', async () => {
    // The server's package gives each connection its context.
    expect(serve).toBeTypeOf('function');
    const storage = new AsyncLocalStorage<string>();
    const seen: string[] = [];
    const release: (() => void)[] = [];
    const handlers = {
      ...serverHandlers,
      twice: async (text: string) => {
        seen.push(`${text} ${storage.getStore()}`);
        await new Promise<void>((resolve) => release.push(resolve));
        return `${storage.getStore()}`;
      },
    };
    const peers = ['a', 'b'].map((name) =>
      storage.run(name, () => {
        const [client, server] = connPair();
        chat
          .serve(handlers)(server)
          .catch(() => {});
        return chat.connect(client, clientHandlers);
      }),
    );
    const calls = ['1', '2', '3'].flatMap((text) => peers.map((peer) => peer.twice(text)));
    for (let i = 0; i < 6; i++) {
      await until(() => expect(release.length).toBeGreaterThan(i));
      storage.run('of the test', release[i]!);
    }
    expect(await Promise.all(calls)).toEqual(['a', 'b', 'a', 'b', 'a', 'b']);
    expect(seen.toSorted()).toEqual(['1 a', '1 b', '2 a', '2 b', '3 a', '3 b']);
  });

  it('is told of the end while reading pauses, through serve', async () => {
    const signals: AbortSignal[] = [];
    const { client, serverConn, serving } = setUpRaw({
      say: (_, { signal }) => {
        signals.push(signal);
        return new Promise((resolve) => {
          signal.addEventListener('abort', () => resolve({ at: 0 }));
        });
      },
    });
    for (let i = 0; i < 400; i++) void client.send(call(i, 'say', { text: '' })).catch(() => {});
    await until(() => expect(signals).toHaveLength(1));
    await until(() => expect(serverConn.stats.messagesIn).toBe(400));
    serverConn.terminate();
    await serving.catch(() => {});
    expect(signals[0]!.aborted).toBe(true);
    // What waited is dropped.
    expect(signals).toHaveLength(1);
  });
});

describe('a flood', () => {
  it.each(['waits', 'does not wait'])(
    'of requests from a client that never reads stays bounded when the server %s for an answer',
    async (waits) => {
      const { client, serverConn, reports } = setUpRaw({
        say: async (_, { peer }) => {
          if (waits === 'waits') await peer.confirm({ question: '' }, { timeout: false });
          return never();
        },
      });
      const id = 'x'.repeat(30_000);
      for (let i = 0; i < 1_500; i++)
        void client.send(call(id, 'say', { text: '' })).catch(() => {});
      await until(() => expect(serverConn.stats.messagesIn).toBeGreaterThan(30));
      for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
      expect(serverConn.bufferedAmount).toBeLessThanOrEqual(16 * MIB);
      if (waits !== 'waits') expect(serverConn.stats.messagesIn).toBeLessThan(60);
      expect(serverConn.state).toBe('open');
      // Answers that found no room are reported at most once a second.
      expect(reports.length).toBeLessThanOrEqual(2);
      client.terminate();
    },
  );

  it('of requests and their cancels runs one handler, and holds none of them', async () => {
    let runs = 0;
    const { client, serverConn, reports } = setUpRaw({
      say: () => {
        runs++;
        return never();
      },
    });
    let answers = 0;
    void client.receive(() => void answers++);
    const count = 3_000;
    for (let i = 0; i < count; i++) {
      void client.send(call(i, 'say', { text: '' }));
      void client.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":${i}}}`);
    }
    await until(() => expect(answers).toBe(count - 1));
    expect(serverConn.stats.messagesIn).toBe(2 * count);
    expect(runs).toBe(1);
    expect(reports).toHaveLength(1);
  });

  it('of cancels alone, with ids of every type, is ignored', async () => {
    const { client, ask, serverConn } = setUpRaw({ say: never });
    for (const id of ['{}', '[]', '1', '"a"', 'null', '1e400']) {
      for (let i = 0; i < 200; i++) {
        void client.send(`{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":${id}}}`);
      }
    }
    expect(await ask(call(1, 'add', [1, 2]))).toMatchObject({ result: 3 });
    expect(serverConn.stats.messagesOut).toBe(1);
  });

  it('of events and of broken messages behind a handler pauses reading, and loses none', async () => {
    let handled = 0;
    let release: (() => void) | undefined;
    const { client, serverConn, reports } = setUpRaw({
      say: async () => {
        await new Promise<void>((resolve) => (release = resolve));
        return { at: 0 };
      },
      typing: () => void handled++,
    });
    let answers = 0;
    void client.receive(() => void answers++);
    void client.send(call(1, 'say', { text: '' }));
    for (let i = 0; i < 1_000; i++) {
      void client.send('{');
      void client.send('{"jsonrpc":"2.0","method":"typing","params":{"room":"r"}}');
    }
    await settled(serverConn);
    expect([handled, answers]).toEqual([0, 0]);
    release!();
    await until(() => expect([handled, answers]).toEqual([1_000, 1_001]));
    expect(reports).toEqual([]);
  });

  it('of events that nobody handles holds nothing', async () => {
    const { client, ask, serverConn, reports } = setUpRaw({ say: never });
    for (let i = 0; i < 2_000; i++) void client.send('{"jsonrpc":"2.0","method":"nothing"}');
    expect(await ask(call(1, 'add', [1, 2]))).toMatchObject({ result: 3 });
    expect([serverConn.stats.messagesOut, reports.length]).toEqual([1, 0]);
  });
});

describe('one connection', () => {
  const other = contract({ server: { other: method(z.any(), z.any()) }, client: {} });

  it('has one contract, at each end and by each function', async () => {
    const { clientConn, serverConn, peer } = setUp();
    expect(() => other.connect(clientConn, {})).toThrow(/merge two contracts/);
    expect(() => other.connect(serverConn, {})).toThrow(/merge two contracts/);
    await expect(other.serve({ other: () => 1 })(serverConn)).rejects.toThrow(/merge/);
    const session = { conn: serverConn, data: undefined, send: () => true };
    expect(() => other.listener({ other: () => 1 })(session, undefined as never)).toThrow(/merge/);
    expect(() => chat.peer(clientConn)).toThrow(/result of connect/);
    expect(() => contract({ client: { more: event(z.any()) } }).peer(serverConn)).toThrow(/lacks/);
    expect(await peer.add([1, 2])).toBe(3);
  });

  it('is no client of a ReconnectingConn', async () => {
    const live = new ReconnectingConn(async () => connPair()[0]);
    await until(() => expect(live.conn).toBeDefined());
    expect(() => chat.peer(live as never)).toThrow(/result of connect/);
    await live.close();
  });

  it('that the application reads, too, fails the call of serve', async () => {
    const [client, server] = connPair();
    const read = server.readMessage();
    await expect(chat.serve(serverHandlers)(server)).rejects.toBeInstanceOf(ReadPendingError);
    await client.send('x');
    expect((await read).text()).toBe('x');
  });

  it('leaves the option autoResponse alone', async () => {
    const autoResponse = { request: 'ping', response: 'pong' };
    const server = await serve({ host: '127.0.0.1', autoResponse }, chat.serve(serverHandlers));
    const client = await dial(server.url);
    await client.send('ping');
    expect((await client.readMessage()).text()).toBe('pong');
    expect(await chat.connect(client, clientHandlers).add([1, 2])).toBe(3);
    await client.close();
    await server.close();
  });

  it('answers what came before the close of its peer', async () => {
    const { peer, serverConn } = setUp({
      server: {
        add: ([a, b], { peer }) => {
          void peer.said({ text: 'bye' });
          setImmediate(() => void serverConn.close(1001));
          return a + b;
        },
      },
    });
    expect(await peer.add([1, 2])).toBe(3);
  });
});

describe('server.close', () => {
  it('waits for a handler within its timeout, and its caller gets 1001', async () => {
    let release: (() => void) | undefined;
    let signal: AbortSignal | undefined;
    const handler = chat.serve({
      ...serverHandlers,
      twice: async (text, context) => {
        signal = context.signal;
        await new Promise<void>((resolve) => (release = resolve));
        return text;
      },
    });
    const server = await serve({ host: '127.0.0.1' }, handler);
    const peer = chat.connect(await dial(server.url), clientHandlers);
    const answer = peer.twice('a').catch((error: unknown) => error);
    await until(() => expect(release).toBeDefined());
    const closing = server.close({ timeout: 60_000 });
    expect(await answer).toMatchObject({ closeCode: 1001 });
    await until(() => expect(signal?.aborted).toBe(true));
    release!();
    expect(await closing).toMatchObject({ handlersPending: 0, terminated: 0 });
  });

  it('counts a handler that does not end', async () => {
    let runs = 0;
    const twice = (): Promise<string> => {
      runs++;
      return never();
    };
    const server = await serve({ host: '127.0.0.1' }, chat.serve({ ...serverHandlers, twice }));
    const peer = chat.connect(await dial(server.url), clientHandlers);
    const answer = peer.twice('a').catch((error: unknown) => error);
    await until(() => expect(runs).toBe(1));
    expect(await server.close({ timeout: 50 })).toMatchObject({ handlersPending: 1 });
    expect(await answer).toBeInstanceOf(CloseError);
  });
});

/** Requests in front of the answer that the first handler awaits, through each way in. */
describe.each(['serve', 'listener', 'connect'])('300 requests through %s', (way) => {
  const asks = contract({
    server: { job: method(z.number(), z.number()), ask: method(z.undefined(), z.boolean()) },
    client: { job: method(z.number(), z.number()), ask: method(z.undefined(), z.boolean()) },
  });

  it.each(['before', 'after'])('let the answer through, asked %s the pause', async (when) => {
    const begun: (() => void)[] = [];
    const handlers = {
      job: async (n: number, { peer }: { peer: { ask(): Promise<boolean> } }) => {
        if (n > 0) return n;
        if (when === 'after') await new Promise<void>((resolve) => begun.push(resolve));
        return (await peer.ask()) ? 1_000 : 0;
      },
      ask: () => true,
    };
    const [raw, ours] = connPair();
    if (way === 'serve') void asks.serve(handlers)(ours);
    else if (way === 'connect') asks.connect(ours, handlers);
    else {
      const hub = new Hub();
      hub.on('message', asks.listener<Session>(handlers));
      hub.add(ours);
    }
    const results: { id: number; result?: number; error?: { code: number } }[] = [];
    void raw.receive((message) => {
      const one = message.json() as { id: number; method?: string };
      if (one.method === undefined) results.push(one);
      else void raw.writeJSON({ jsonrpc: '2.0', id: one.id, result: true });
    });
    for (let i = 0; i < 300; i++) void raw.send(call(i, 'job', [i]));
    if (when === 'after') {
      await until(() => expect(ours.stats.messagesIn).toBeGreaterThanOrEqual(257));
      await until(() => expect(begun).toHaveLength(1));
      begun[0]!();
    }
    await until(() => expect(results).toHaveLength(300));
    expect(results.find(({ id }) => id === 0)).toMatchObject({ result: 1_000 });
    const refused = results.filter(({ error }) => error !== undefined);
    expect(refused.length).toBeLessThanOrEqual(44);
    for (const { error } of refused) expect(error!.code).toBe(-32_000);
    raw.terminate();
  });
});

describe('a reconnect', () => {
  const jobs = contract({
    server: {
      once: method(z.string(), z.string()),
      again: method(z.string(), z.string(), { retry: true }),
      said: event(z.string()),
    },
    client: {},
  });

  /** A client whose servers are read by hand. */
  async function setUpSeries() {
    const servers: Conn[] = [];
    const live = new ReconnectingConn(
      async () => {
        const [client, server] = connPair();
        servers.push(server);
        return client;
      },
      { minDelay: 1, maxDelay: 1 },
    );
    const peer = jobs.connect(live, {});
    await until(() => expect(servers).toHaveLength(1));
    const read = async (i: number) => (await servers[i]!.readMessage()).json() as { id: number };
    const answer = (i: number, id: number, result: string) =>
      servers[i]!.writeJSON({ jsonrpc: '2.0', id, result });
    const breaks = async (i: number): Promise<void> => {
      servers[i]!.terminate();
      await until(() => expect(servers).toHaveLength(i + 2));
    };
    const caught = (promise: Promise<unknown>) => promise.catch((error: unknown) => error);
    return { servers, live, peer, read, answer, breaks, caught };
  }

  it('sends a waiting call once, after the open ones that are sent again', async () => {
    const { live, peer, read, answer, breaks, caught } = await setUpSeries();
    const open = Array.from({ length: 256 }, (_, i) =>
      caught(i === 5 ? peer.again('retry') : peer.once(String(i))),
    );
    const waiting = peer.once('waiting');
    await read(0);
    await breaks(0);
    const first = await read(1);
    const second = await read(1);
    expect([first, second]).toMatchObject([
      { id: 6, method: 'again', params: ['retry'] },
      { id: 257, method: 'once', params: ['waiting'] },
    ]);
    await answer(1, first.id, 'yes');
    await answer(1, second.id, 'also');
    const ends = await Promise.all(open);
    expect(ends[5]).toBe('yes');
    expect(ends.filter((end) => end instanceof CloseError)).toHaveLength(255);
    expect(await waiting).toBe('also');
    await live.close();
  });

  it('takes no answer of the old connection, and none that was given up', async () => {
    const { live, peer, read, answer, breaks, caught, servers } = await setUpSeries();
    const control = new AbortController();
    const cancelled = caught(peer.again('cancelled', { signal: control.signal }));
    const timed = caught(peer.again('timed', { timeout: 30 }));
    const retried = peer.again('retried');
    for (let i = 0; i < 3; i++) await read(0);
    control.abort(new Error('left'));
    expect(await cancelled).toMatchObject({ message: 'left' });
    expect(await timed).toMatchObject({ name: 'TimeoutError' });
    await breaks(0);
    // Only the one that nobody gave up is sent again.
    expect(await read(1)).toMatchObject({ id: 3, params: ['retried'] });
    await answer(1, 1, 'late');
    await answer(1, 2, 'late');
    await answer(1, 3, 'now');
    expect(await retried).toBe('now');
    expect(servers[1]!.stats.messagesIn).toBe(1);
    await live.close();
  });

  it('cancels a call that was sent again on the new connection alone', async () => {
    const { live, peer, read, breaks, caught } = await setUpSeries();
    const control = new AbortController();
    const ended = caught(peer.again('a', { signal: control.signal }));
    await read(0);
    await breaks(0);
    expect(await read(1)).toMatchObject({ id: 1, method: 'again' });
    control.abort();
    await ended;
    expect(await read(1)).toMatchObject({ method: '$/cancelRequest', params: { id: 1 } });
    await live.close();
  });

  it('gives up a waiting call without a word to the new connection', async () => {
    const { live, peer, read, breaks, caught, servers } = await setUpSeries();
    const control = new AbortController();
    servers[0]!.terminate();
    await until(() => expect(live.conn).toBeUndefined());
    const ended = caught(peer.again('given up', { signal: control.signal }));
    control.abort();
    await ended;
    await until(() => expect(servers).toHaveLength(2));
    const sent = peer.again('b');
    expect(await read(1)).toMatchObject({ params: ['b'] });
    void sent.catch(() => {});
    await breaks(1);
    await live.close();
    await expect(sent).rejects.toBeDefined();
  });

  it('sends a request again that the broken connection had not accepted', async () => {
    const { live, peer, read, answer, servers } = await setUpSeries();
    // The server does not read: the writes of the client wait when the connection breaks.
    const calls = Array.from({ length: 20 }, (_, i) => peer.again(String(i).padEnd(200_000)));
    servers[0]!.terminate();
    await until(() => expect(servers).toHaveLength(2));
    for (let i = 0; i < 20; i++) await answer(1, (await read(1)).id, 'ok');
    expect(await Promise.all(calls)).toEqual(calls.map(() => 'ok'));
    await live.close();
  });

  it.each([1007, 1009])(
    'after %i does not send again what the server has refused',
    async (code) => {
      const { live, peer, read, servers, caught } = await setUpSeries();
      const refused = caught(peer.again('too large', { timeout: false }));
      await read(0);
      await servers[0]!.close(code);
      expect(await refused).toMatchObject({ closeCode: code });
      await until(() => expect(servers).toHaveLength(2));
      void caught(peer.again('next'));
      expect(await read(1)).toMatchObject({ params: ['next'] });
      await live.close();
    },
  );

  it('that never comes leaves no call without an end', async () => {
    const { live, peer, caught } = await setUpSeries();
    const calls = [peer.once('a'), peer.again('b'), peer.said('c')].map(caught);
    await live.close();
    const ends = await Promise.all(calls);
    expect(ends.slice(0, 2).every((end) => end instanceof Error)).toBe(true);
    await expect(peer.said('d')).rejects.toBeInstanceOf(Error);
  });
});
