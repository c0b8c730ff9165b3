// Streams beside the other handlers of a connection.
import { AsyncLocalStorage } from 'node:async_hooks';
import { connPair } from '@ws/conn';
import { serve } from '@ws/node-server';
import { contract, event, method, stream } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { never, quietly, until, useFakeClock } from './pairs.ts';
import { collect, DONE, failure, quiet, setUp, setUpRaw, turn } from './stream-pairs.ts';

useFakeClock();

describe('a stream', () => {
  it('begins in its turn, and gives its place back at once', async () => {
    const order: string[] = [];
    const release: (() => void)[] = [];
    const handlers: Parameters<typeof setUp>[0] = {
      async echo(text) {
        order.push(text);
        await new Promise<void>((resolve) => release.push(resolve));
        return text;
      },
      async *count() {
        order.push('stream');
        yield 1;
        await never();
      },
    };
    const { peer, client } = setUp(handlers, { concurrency: 1 });
    const before = peer.echo('before');
    const loop = peer.count({ count: 0 });
    const first = loop.next();
    const after = peer.echo('after');
    await quiet(client);
    expect(order).toEqual(['before']);
    release[0]!();
    await until(() => expect(release).toHaveLength(2));
    expect(order).toEqual(['before', 'stream', 'after']);
    release[1]!();
    expect(await Promise.all([before, after])).toEqual(['before', 'after']);
    expect((await first).value).toBe(1);
  });

  it('that is cancelled before its turn does not begin', async () => {
    const release: (() => void)[] = [];
    const echo = async (text: string): Promise<string> => {
      await new Promise<void>((resolve) => release.push(resolve));
      return text;
    };
    const { peer, client, log } = setUp({ echo }, { concurrency: 1 });
    const before = peer.echo('before');
    const loop = peer.count({ count: 1 });
    const next = loop.next();
    await quiet(client);
    await loop.return?.();
    expect(await next).toEqual(DONE);
    await quiet(client);
    release[0]!();
    await before;
    await quiet(client);
    expect(log.made).toBe(0);
  });

  it.each([1, 3])('beside a call is not slower for %d handlers at once', async (concurrency) => {
    const { peer } = setUp({}, { concurrency });
    const [items, ...texts] = await Promise.all([
      collect(peer.count({ count: 2_000 })),
      ...Array.from({ length: 500 }, (_, i) => peer.echo(String(i))),
    ]);
    expect(items).toHaveLength(2_000);
    expect(texts).toHaveLength(500);
  });

  it('has 16 places, or those of the option', async () => {
    for (const streams of [undefined, 1, 40]) {
      const { peer } = setUp({}, streams === undefined ? {} : { streams });
      const limit = streams ?? 16;
      const loops = Array.from({ length: limit }, () => peer.count({ count: 1e9 }));
      await Promise.all(loops.map((loop) => loop.next()));
      const more = peer.count({ count: 1 });
      expect(await failure(more.next())).toMatchObject({ code: -32_000 });
      await loops[0]!.return?.();
      expect(await collect(peer.count({ count: 1 }))).toEqual([0]);
    }
  });
});

const names = {
  ask: stream(z.number(), z.number()),
  read: method(z.number(), z.number()),
  call: method(z.number(), z.number()),
  told: event(z.number()),
};
const both = contract({ server: names, client: names });
type Handlers = Parameters<typeof both.connect>[1];

/** Two ends with the same handlers: `read` sums up a stream, whose generator calls its reader back. */
function setUpBoth(handlers: Partial<Handlers> = {}, options = {}) {
  const [a, b] = connPair();
  const told: number[] = [];
  const all: Handlers = {
    async *ask(count, { peer }) {
      for (let i = 0; i < count; i++) yield await peer.call(i);
    },
    async read(count, { peer }) {
      let sum = 0;
      for await (const n of peer.ask(count)) sum += n;
      return sum;
    },
    call: (n) => n,
    told: (n) => void told.push(n),
    ...handlers,
  };
  quietly(both.serve(all, options)(b));
  const near = both.connect(a, all, options);
  return { a, b, near, far: both.peer(b), told };
}

describe('a handler that loops over a stream of its caller', () => {
  it('is called back by the generator, in both directions at once', async () => {
    const { near, far } = setUpBoth();
    const sums = await Promise.all([near.read(100), far.read(100), near.read(3), far.read(3)]);
    expect(sums).toEqual([4_950, 4_950, 3, 3]);
  });

  it('is called back also while it does something else between two items', async () => {
    const { near } = setUpBoth({
      async read(count, { peer }) {
        let sum = 0;
        for await (const n of peer.ask(count)) {
          // The generator has gone on, and its call back waits here.
          for (let i = 0; i < 20; i++) await turn();
          sum += n;
        }
        return sum;
      },
    });
    expect(await near.read(10)).toBe(45);
  });

  it('is called back by a handler of the generator three levels deep', async () => {
    const { near } = setUpBoth({
      async *ask(depth, { peer }) {
        yield depth;
        if (depth > 0) yield await peer.read(depth - 1);
      },
    });
    expect(await near.read(3)).toBe(6);
  });

  it('is called back 40 times at once while it waits for a later stream too', async () => {
    let answered = (): void => {};
    const allAnswered = new Promise<void>((resolve) => (answered = resolve));
    const { near } = setUpBoth({
      async *ask(which, { peer }) {
        yield 1;
        if (which === 1) await Promise.all(Array.from({ length: 40 }, (_, i) => peer.call(i)));
        if (which === 1) answered();
        await allAnswered;
        yield 2;
      },
      async read(_, { peer }) {
        const first = peer.ask(1);
        await first.next();
        // The calls back wait here meanwhile.
        for (let i = 0; i < 20; i++) await turn();
        const sums = [first, peer.ask(2)].map(async (loop) => {
          let sum = 0;
          for await (const n of loop) sum += n;
          return sum;
        });
        const [a, b] = await Promise.all(sums);
        return a! * 10 + b!;
      },
      async call(n) {
        await turn();
        return n;
      },
    });
    expect(await near.read(0)).toBe(23);
  });

  it('gets its items behind 300 requests', async () => {
    const release: (() => void)[] = [];
    const { near, far } = setUpBoth({
      async call(n) {
        if (n < 0) await new Promise<void>((resolve) => release.push(resolve));
        return n;
      },
      async *ask(count) {
        for (let i = 0; i < count; i++) yield i;
      },
    });
    const read = far.read(1_000);
    const events = Array.from({ length: 300 }, (_, i) => far.told(i));
    expect(await read).toBe(499_500);
    await Promise.all(events);
    expect(await near.read(2)).toBe(1);
  });

  it.each([true, false])('counts as waiting, so that reading goes on: %s', async (waits) => {
    let stop = (): void => {};
    const { ask, got, items, end, server, answerTo } = setUpRaw(
      {
        async echo(text, { peer }) {
          if (text !== 'read') return 'a';
          const loop = peer.count({ count: 0 });
          await loop.next();
          if (waits) await loop.next();
          else await new Promise<void>((resolve) => (stop = resolve));
          await loop.return?.();
          return text;
        },
      },
      { concurrency: 1 },
    );
    await ask('r', 'echo', ['read']);
    await until(() => expect(got).toHaveLength(1));
    await items(got[0]!.id, [1]);
    const sent = async (): Promise<void> => {
      for (let i = 0; i < 600; i++) await ask(i, 'echo', ['a'.repeat(10_000)]);
    };
    const sending = sent();
    for (let i = 0; i < 500; i++) await turn();
    // 6 MB are more than a quarter of the queue.
    expect(server.stats.messagesIn === 602).toBe(waits);
    expect(server.stats.messagesIn).toBeGreaterThan(400);
    if (waits) await end(got[0]!.id);
    else stop();
    await until(() => expect(answerTo('r')).toMatchObject({ result: 'read' }));
    await sending;
    await until(() => expect(answerTo(599)).toBeDefined());
    expect(got.filter(({ error }) => error !== undefined)).toEqual([]);
  });

  it('keeps events in their order', async () => {
    const { near, told } = setUpBoth();
    const read = near.read(50);
    for (let i = 0; i < 200; i++) await near.told(i);
    await read;
    await near.call(1);
    expect(told).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });
});

it('a generator that waits for its caller is called back beside a handler that runs', async () => {
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  const { near, a } = setUpBoth({
    async *ask(_, { peer }) {
      yield 1;
      yield await peer.call(1);
    },
    async call(n, { peer }) {
      if (n === 3) await never();
      if (n === 1) await gate;
      return n === 1 ? peer.call(2) : n;
    },
  });
  const loop = near.ask(0);
  await loop.next();
  const next = loop.next();
  await quiet(a);
  void near.call(3).catch(() => {});
  await quiet(a);
  open();
  expect(await next).toEqual({ done: false, value: 2 });
});

it('a quiet stream of each end is no reason to run later handlers at once', async () => {
  const order: number[] = [];
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  const { near, far, a } = setUpBoth(
    {
      async *ask() {
        yield 1;
        await never();
      },
      async call(n) {
        order.push(n);
        if (n === 1) await gate;
        return n;
      },
    },
    { concurrency: 1 },
  );
  const loops = [near.ask(0), far.ask(0)];
  for (const loop of loops) await loop.next();
  for (const loop of loops) void loop.next().catch(() => {});
  await quiet(a);
  const calls = [near.call(1), near.call(2)];
  await quiet(a);
  expect(order).toEqual([1]);
  open();
  expect(await Promise.all(calls)).toEqual([1, 2]);
});

describe('a promise of a stream', () => {
  it('keeps the place of its handler until it has settled, and one of the 16', async () => {
    const release: (() => void)[] = [];
    const order: string[] = [];
    const { peer, client } = setUp(
      {
        async count({ count }) {
          order.push(`begin ${count}`);
          await new Promise<void>((resolve) => release.push(resolve));
          return (async function* () {
            yield count;
            await never();
          })();
        },
        echo: (text) => {
          order.push(text);
          return text;
        },
      },
      { concurrency: 17 },
    );
    const loops = Array.from({ length: 17 }, (_, i) => peer.count({ count: i }));
    const first = loops.map(async (loop) => loop.next());
    // The 17th is refused while the 16 are being made.
    expect(await failure(first[16]!)).toMatchObject({ code: -32_000 });
    const echoed = peer.echo('a');
    expect(await echoed).toBe('a');
    for (const resolve of release) resolve();
    const items = await Promise.all(first.slice(0, 16));
    expect(items.map(({ value }) => value)).toEqual(Array.from({ length: 16 }, (_, i) => i));
    for (const loop of loops) await loop.return?.();
    await quiet(client);
  });

  it('that is cancelled before it has settled ends at once, and its iterator is not called', async () => {
    let release = (): void => {};
    const calls: string[] = [];
    const { peer, client } = setUp({
      async count() {
        await new Promise<void>((resolve) => (release = resolve));
        return {
          [Symbol.asyncIterator]: () => ({
            next: async () => (calls.push('next'), { done: false, value: 1 }),
            return: async () => (calls.push('return'), { done: true, value: undefined }),
          }),
        } as never;
      },
    });
    const loop = peer.count({ count: 0 });
    void failure(loop.next());
    await quiet(client);
    await loop.return?.();
    await quiet(client);
    release();
    await until(() => expect(calls).toEqual(['return']));
    // Its place is free.
    const loops = Array.from({ length: 16 }, () => peer.texts({ length: 1 }));
    for (const one of loops) expect((await one.next()).done).toBe(false);
  });
});

it('a stream sees the store of its own connection', async () => {
  // The server's package gives each connection its context.
  expect(serve).toBeTypeOf('function');
  const store = new AsyncLocalStorage<string>();
  const seen = new Set<string | undefined>();
  const peers = ['a', 'b'].map((name) =>
    store.run(name, () =>
      setUp({
        async *count({ count }) {
          try {
            for (let i = 0; i < count; i++) {
              seen.add(`${name} ${store.getStore()}`);
              yield i;
            }
          } finally {
            seen.add(`${name} ${store.getStore()}`);
          }
        },
      }),
    ),
  );
  const loops = peers.map(({ peer }) => collect(peer.count({ count: 500 })));
  await Promise.all(loops);
  expect([...seen].filter((one) => one === 'a b' || one === 'b a')).toEqual([]);
});
