// Each way in which a stream ends, at both ends.
import { CloseError, connPair, JSONError, type StandardSchema, TimeoutError } from '@ws/conn';
import { contract, RpcError, stream } from '@ws/rpc';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { never, settled, throws, until, useFakeClock } from './pairs.ts';
import { agent, begun, byHand, collect, DONE, drain, failure, setUp } from './stream-pairs.ts';

useFakeClock();

describe('an error of a generator', () => {
  it('comes once, after the items, and is an RpcError of the handler', async () => {
    const { peer, reports } = setUp({
      async *count() {
        yield 1;
        yield 2;
        throw new RpcError(7, 'seven', { why: 'test' });
      },
    });
    const loop = peer.count({ count: 0 });
    expect((await loop.next()).value).toBe(1);
    expect((await loop.next()).value).toBe(2);
    expect(await failure(loop.next())).toMatchObject({ code: 7, data: { why: 'test' } });
    expect(await loop.next()).toEqual(DONE);
    expect(reports).toEqual([]);
  });

  it('is reported here, and -32603 there, when it is another one', async () => {
    const secret = new Error('secret');
    const { peer, reports } = setUp({
      async *count() {
        yield 1;
        throw secret;
      },
    });
    const error = await failure(collect(peer.count({ count: 0 })));
    expect(error).toMatchObject({ code: -32_603, message: 'Internal error' });
    expect(reports).toEqual([secret]);
  });

  it.each([
    ['a promise', async () => []],
    ['nothing', () => undefined],
    ['an array', () => [1]],
  ])('is a TypeError for %s in place of items', async (_, result) => {
    const { peer, reports } = setUp({ count: result as never });
    expect(await failure(peer.count({ count: 0 }).next())).toMatchObject({ code: -32_603 });
    expect(String(reports[0])).toMatch(/TypeError: count: expected an AsyncIterable, got/);
    expect(reports).toHaveLength(1);
  });

  it('of a promise of items is reported, and is -32603 at the reader', async () => {
    const { peer, reports } = setUp({ count: async () => Promise.reject(new Error('late')) });
    expect(await failure(peer.count({ count: 0 }).next())).toMatchObject({ code: -32_603 });
    expect(reports).toEqual([new Error('late')]);
  });

  it('of its start is the answer: an RpcError, and a refused input', async () => {
    const { peer } = setUp({
      count: throws(new RpcError(403, 'no')),
    });
    expect(await failure(peer.count({ count: 1 }).next())).toMatchObject({ code: 403 });
    expect(await failure(peer.count({ count: 'x' } as never).next())).toMatchObject({
      code: -32_602,
      data: { issues: [{ path: ['count'] }] },
    });
  });
});

describe('a cancel', () => {
  it.each(['break', 'return', 'abort', 'throw'])(
    'by %s ends a generator in a yield',
    async (by) => {
      const { peer, client, log } = setUp();
      const control = new AbortController();
      const why = new Error('enough');
      const read = async (): Promise<void> => {
        const loop = peer.count({ count: 1e9 }, { signal: control.signal });
        for await (const n of loop) {
          if (n < 100) continue;
          if (by === 'break') break;
          if (by === 'return') await loop.return?.();
          if (by === 'abort') control.abort(why);
          if (by === 'throw') throw why;
        }
      };
      expect(await failure(read())).toBe(by === 'abort' || by === 'throw' ? why : undefined);
      await settled(client);
      expect(log).toMatchObject({ ended: 1, reasons: [{ code: -32_800 }] });
    },
  );

  it('aborts the signal before it returns the generator', async () => {
    const order: string[] = [];
    const { loop, client } = await begun({
      async *count(_, { signal }) {
        signal.addEventListener('abort', () => order.push('abort'));
        try {
          for (;;) yield 1;
        } finally {
          order.push('finally');
        }
      },
    });
    await loop.return?.();
    await settled(client);
    expect(order).toEqual(['abort', 'finally']);
  });

  it('ends a generator that waits for something that sees the signal', async () => {
    const { loop, client, reports } = await begun({
      async *count(_, { signal }) {
        yield 1;
        await new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
        });
      },
    });
    await loop.return?.();
    await settled(client);
    expect(reports).toEqual([]);
  });

  it('does not wait for the generator', async () => {
    const { loop } = await begun({
      async *count() {
        yield 1;
        await never();
      },
    });
    const waiting = loop.next();
    expect(await loop.return?.()).toEqual(DONE);
    expect(await waiting).toEqual(DONE);
    expect(await loop.next()).toEqual(DONE);
  });

  it('before the first next sends nothing', async () => {
    const { peer, client, log } = setUp();
    await peer.count({ count: 1 }).return?.();
    const control = new AbortController();
    const aborted = peer.count({ count: 1 }, { signal: control.signal });
    control.abort(new Error('early'));
    expect(await failure(aborted.next())).toBe(control.signal.reason);
    expect(await aborted.next()).toEqual(DONE);
    await settled(client);
    expect(log.made).toBe(0);
    // The hello.
    expect(client.stats.messagesOut).toBe(1);
  });

  it('by a signal hands out no item that has arrived, also after the end', async () => {
    const { peer, client } = setUp();
    const control = new AbortController();
    const loop = peer.count({ count: 20 }, { signal: control.signal });
    await loop.next();
    await settled(client);
    const why = new Error('enough');
    control.abort(why);
    expect(await failure(loop.next())).toBe(why);
    expect(await loop.next()).toEqual(DONE);
  });

  it('is answered with -32800, and reports what a finally throws', async () => {
    const fault = new Error('of finally');
    const { loop, client, reports } = await begun({
      async *count() {
        try {
          for (;;) yield 1;
        } finally {
          // oxlint-disable-next-line no-unsafe-finally -- the subject
          throw fault;
        }
      },
    });
    await loop.return?.();
    await settled(client);
    expect(reports).toEqual([fault]);
  });

  it('reports a generator that has not ended 10 s later, once, by its name', async () => {
    const { loop, client, reports } = await begun({
      async *count() {
        yield 1;
        await never();
      },
    });
    await loop.return?.();
    await settled(client);
    await vi.advanceTimersByTimeAsync(9_000);
    expect(reports).toEqual([]);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(reports).toHaveLength(1);
    expect(String(reports[0])).toMatch(/generator of count has not ended 10 s after its cancel/);
  });
});

describe('an item that does not fit', () => {
  it('is refused where it leaves: -32603, a report, and the end of the generator', async () => {
    let ended = 0;
    const { peer, client, reports } = setUp({
      async *count() {
        try {
          yield 1;
          yield 'two' as never;
          yield 3;
        } finally {
          ended++;
        }
      },
    });
    const loop = peer.count({ count: 0 });
    expect((await loop.next()).value).toBe(1);
    expect(await failure(loop.next())).toMatchObject({ code: -32_603 });
    await settled(client);
    expect(ended).toBe(1);
    expect(reports).toEqual([expect.any(JSONError)]);
    expect(String(reports[0])).toMatch(/an item of count does not fit/);
  });

  it('is refused when JSON cannot write it', async () => {
    const any = contract({ server: { all: stream(z.undefined(), z.unknown()) } });
    const reports: unknown[] = [];
    const [client, server] = connPair({ report: (error) => void reports.push(error) });
    void any.serve({
      async *all() {
        yield 1n;
      },
    })(server);
    expect(await failure(collect(any.connect(client, {}).all()))).toMatchObject({ code: -32_603 });
    expect(reports).toHaveLength(1);
  });

  it('is refused where it arrives: the items before it, a JSONError, and a cancel', async () => {
    let ended = 0;
    const served = contract({ server: { all: stream(z.undefined(), z.unknown()) } });
    const read = contract({ server: { all: stream(z.undefined(), z.number()) } });
    const [client, server] = connPair();
    void served.serve({
      async *all() {
        try {
          yield 1;
          for (;;) yield 'two';
        } finally {
          ended++;
        }
      },
    })(server);
    const loop = read.connect(client, {}).all();
    expect((await loop.next()).value).toBe(1);
    const error = await failure(loop.next());
    expect(error).toBeInstanceOf(JSONError);
    expect(error).toMatchObject({ issues: [{ path: [] }] });
    expect(await loop.next()).toEqual(DONE);
    await settled(client);
    expect(ended).toBe(1);
  });

  it('of a schema that throws is a JSONError with its cause', async () => {
    const cause = new Error('of the schema');
    let throws = false;
    const Throws = z.number().refine(() => {
      if (throws) throw cause;
      return true;
    });
    const odd = contract({ server: { all: stream(z.undefined(), Throws) } });
    const [client, server] = connPair();
    void odd.serve({
      async *all() {
        yield 1;
        throws = true;
      },
    })(server);
    const error = await failure(collect(odd.connect(client, {}).all()));
    expect(error).toMatchObject({ name: 'JSONError', cause });
  });
});

describe('the end of the connection', () => {
  it.each(['terminate', 'close'] as const)(
    'by %s hands out what has arrived, then a CloseError',
    async (how) => {
      const { peer, client, server, log } = setUp();
      const loop = peer.count({ count: 1_000 });
      await loop.next();
      await settled(client);
      if (how === 'terminate') server.terminate();
      else void server.close(4000, 'bye');
      await client.closed;
      for (let i = 1; i < 64; i++) expect((await loop.next()).value).toBe(i);
      const error = await failure(loop.next());
      expect(error).toBeInstanceOf(CloseError);
      if (how === 'close') expect(error).toMatchObject({ closeCode: 4000 });
      expect(await loop.next()).toEqual(DONE);
      await until(() => expect(log.ended).toBe(1));
    },
  );

  it('rejects a loop that waits, and one that begins later', async () => {
    const { peer, client, server } = setUp({
      count: () => ({ [Symbol.asyncIterator]: () => ({ next: never }) }),
    });
    const waiting = failure(peer.count({ count: 0 }).next());
    await settled(client);
    server.terminate();
    expect(await waiting).toBeInstanceOf(CloseError);
    expect(await failure(peer.count({ count: 0 }).next())).toBeInstanceOf(CloseError);
  });

  it('by a close of the server aborts the signals at once, and waits for the generators', async () => {
    let release = (): void => {};
    const { peer, client, server, serving, log } = setUp({
      async *texts(_, { signal }) {
        try {
          signal.addEventListener('abort', () => void log.reasons.push(signal.reason));
          for (let i = 0; i < 5; i++) yield String(i);
          await new Promise((_, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason)),
          );
        } finally {
          await new Promise<void>((resolve) => (release = resolve));
          log.ended++;
        }
      },
    });
    const loop = peer.texts({ length: 0 });
    await loop.next();
    await settled(client);
    const closing = server.close(1001, 'restart');
    const abortsAtClose = client.closed.then(() => log.reasons.length);
    expect(await abortsAtClose).toBe(1);
    expect(log.reasons).toEqual([
      expect.objectContaining({ code: -32_800, message: 'the connection is closing' }),
    ]);
    await closing;
    const { rest, error } = await drain(loop);
    expect(rest).toEqual(['1', '2', '3', '4']);
    expect(error).toMatchObject({ closeCode: 1001 });
    let served = false;
    const ended = serving.then(() => (served = true));
    await settled(client).catch(() => {});
    expect(served).toBe(false);
    release();
    await ended;
    expect(log.ended).toBe(1);
  });
});

/** A loop whose server writes by hand; each item waits in its schema for `release()`. */
function slowSchema(options: { signal?: AbortSignal; timeout?: number } = {}) {
  const held: (() => void)[] = [];
  const item: StandardSchema<number> = {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value: unknown) =>
        new Promise((resolve) => held.push(() => resolve({ value: value as number }))),
    },
  };
  const odd = contract({ server: { all: stream(z.number(), item) } });
  const [client, server] = connPair();
  const hand = byHand(server);
  const loop = odd.connect(client, {}).all(1, options);
  return { loop, client, release: () => held.shift()?.(), ...hand };
}

describe('an item whose schema runs', () => {
  it.each([true, false])(
    'is not handed out after an abort; the end had arrived: %s',
    async (ends) => {
      const control = new AbortController();
      const why = new Error('enough');
      const { loop, items, end, release, client } = slowSchema({ signal: control.signal });
      const next = loop.next();
      await settled(client);
      await items(1, [1, 2]);
      if (ends) await end(1);
      await settled(client);
      control.abort(why);
      expect(await failure(next)).toBe(why);
      release();
      expect(await loop.next()).toEqual(DONE);
    },
  );

  it('holds no next() after return(), nor after the timeout', async () => {
    const stopped = slowSchema();
    const next = stopped.loop.next();
    await settled(stopped.client);
    await stopped.items(1, [1]);
    await settled(stopped.client);
    await stopped.loop.return?.();
    expect(await next).toEqual(DONE);
    const late = slowSchema({ timeout: 1_000 });
    const failed = failure(late.loop.next());
    await settled(late.client);
    await late.items(1, [1]);
    await settled(late.client);
    await vi.advanceTimersByTimeAsync(1_500);
    expect(await failed).toBeInstanceOf(TimeoutError);
    late.release();
    expect(await late.loop.next()).toEqual(DONE);
  });

  it('is handed out after a break, before the error', async () => {
    const { loop, items, release, client } = slowSchema();
    const next = loop.next();
    await settled(client);
    await items(1, [1]);
    await settled(client);
    client.terminate();
    await client.closed;
    release();
    expect(await next).toEqual({ done: false, value: 1 });
    expect(await failure(loop.next())).toBeInstanceOf(CloseError);
  });
});

describe('return()', () => {
  it('settles what waits as done, whatever follows or has arrived', async () => {
    const control = new AbortController();
    const { peer, client } = setUp({
      async *count({ count }) {
        yield 1;
        if (count === 0) await never();
        throw new RpcError(7, 'seven');
      },
    });
    const quiet = peer.count({ count: 0 }, { signal: control.signal });
    await quiet.next();
    const waiting = quiet.next();
    void quiet.return?.();
    control.abort(new Error('late'));
    expect(await waiting).toEqual(DONE);
    const failed = peer.count({ count: 1 });
    await failed.next();
    await settled(client);
    void failed.return?.();
    expect(await failed.next()).toEqual(DONE);
    // An abort after the end is no error.
    const control2 = new AbortController();
    const all = peer.count({ count: 1 }, { signal: control2.signal });
    await all.next();
    expect(await failure(all.next())).toMatchObject({ code: 7 });
    control2.abort();
    expect(await all.next()).toEqual(DONE);
  });
});

it('a next() that fails, and that no code awaits, is reported', async () => {
  const { loop, client, reports } = await begun({
    async *count() {
      yield 1;
      throw new RpcError(7, 'seven');
    },
  });
  void loop.next();
  await settled(client);
  await until(() => expect(reports).toEqual([expect.objectContaining({ code: 7 })]));
  expect(await loop.next()).toEqual(DONE);
});

describe('a timeout', () => {
  it('is not put off by messages without items', async () => {
    const odd = contract({ server: { all: stream(z.number(), z.number()) } });
    const [client, server] = connPair();
    const { items } = byHand(server);
    const failed = failure(odd.connect(client, {}).all(1, { timeout: 1_000 }).next());
    await settled(client);
    await vi.advanceTimersByTimeAsync(900);
    await items(1, []);
    await settled(client);
    await vi.advanceTimersByTimeAsync(600);
    expect(await failed).toBeInstanceOf(TimeoutError);
  });

  it('is the wait for one item, from next with nothing there', async () => {
    const { peer, client, log } = setUp({
      async *count(_, { signal }) {
        signal.addEventListener('abort', () => void log.reasons.push(signal.reason));
        for (let i = 0; ; i++) {
          await new Promise((resolve) => setTimeout(resolve, i < 3 ? 900 : 2_000));
          yield i;
        }
      },
    });
    const got: number[] = [];
    const read = async (): Promise<void> => {
      for await (const n of peer.count({ count: 0 }, { timeout: 1_000 })) got.push(n);
    };
    const failed = failure(read());
    for (let i = 0; i < 60; i++) await vi.advanceTimersByTimeAsync(100);
    expect(await failed).toBeInstanceOf(TimeoutError);
    expect(String(await failed)).toMatch(/no item of count within 1000 ms \(option timeout\)/);
    expect(got).toEqual([0, 1, 2]);
    await settled(client);
    expect(log.reasons).toHaveLength(1);
  });

  it('does not run between items, and has no default', async () => {
    const { peer, client } = setUp();
    const loop = peer.count({ count: 2 }, { timeout: 1_000 });
    await loop.next();
    await settled(client);
    await vi.advanceTimersByTimeAsync(60_000);
    expect((await loop.next()).value).toBe(1);
    const quiet = setUp({ count: () => ({ [Symbol.asyncIterator]: () => ({ next: never }) }) });
    let isSettled = false;
    void failure(quiet.peer.count({ count: 0 }).next()).then(() => (isSettled = true));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(isSettled).toBe(false);
  });

  it.each([
    [{ timeout: -1 }, RangeError],
    [{ timeout: '1 s' }, TypeError],
    [{ signal: 1 }, TypeError],
    [{ retry: true }, TypeError],
  ])('and other options are checked: %j', async (options, type) => {
    const { peer } = setUp();
    expect(await failure(peer.count({ count: 1 }, options as never).next())).toBeInstanceOf(type);
  });
});

it('stream refuses retry, and what is no schema', () => {
  const open = stream as (...parts: unknown[]) => unknown;
  expect(() => open(z.string(), z.string(), { retry: true })).toThrow(TypeError);
  expect(() => open(z.string())).toThrow(/stream: item/);
  expect(() => open(1, z.string())).toThrow(/stream: input/);
  expect(() => agent.serve({} as never, { streams: 0 })).toThrow(RangeError);
});
