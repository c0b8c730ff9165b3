// A peer that breaks the rules of streams, and generators that do not end.
import { BackpressureError, connPair, type Platform, portablePlatform } from '@ws/conn';
import { internalsOf, WriteBudget } from '@ws/conn/internal';
import { contract, stream } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { never, throws, until } from './pairs.ts';
import {
  agent,
  byHand,
  collect,
  drain,
  failure,
  Log,
  numbers,
  quiet,
  setUp,
  setUpRaw,
  turn,
} from './stream-pairs.ts';

/** A client of streams, and a server that speaks JSON-RPC by hand. */
function setUpReader() {
  const [client, server] = connPair();
  const log = new Log();
  return { client, server, peer: agent.connect(client, log.handlers), log, ...byHand(server) };
}

describe('a reader', () => {
  it('that takes nothing holds 64 items, or 8 KiB', async () => {
    const { ask, log, itemsOf, client } = setUpRaw();
    await ask(1, 'count', { count: 10_000 });
    await quiet(client);
    expect(itemsOf(1)).toEqual(numbers(64));
    expect(log.made).toBe(64);
    for (let i = 0; i < 15; i++) await ask(100 + i, 'texts', { length: 1_000 });
    await quiet(client);
    for (let i = 0; i < 15; i++) expect(itemsOf(100 + i)).toHaveLength(7);
  });

  it.each([2 ** 53, 2 ** 53 - 1, Infinity, 1e308])(
    'that says it has taken %d gets one window more',
    async (n) => {
      const { ask, more, log, itemsOf, client } = setUpRaw();
      await ask(1, 'count', { count: 10_000 });
      await quiet(client);
      await (n === Infinity
        ? client.send('{"jsonrpc":"2.0","method":"$/more","params":{"id":1,"n":1e999}}')
        : more(1, n));
      await quiet(client);
      expect(itemsOf(1)).toEqual(numbers(128));
      expect(log.made).toBe(128);
    },
  );

  it.each([0, -1, null, '9', [9], {}, undefined, true, -(2 ** 53)])(
    'that says it has taken %j gets nothing more',
    async (n) => {
      const { ask, more, itemsOf, client, server } = setUpRaw();
      await ask(1, 'count', { count: 10_000 });
      await more(1, n);
      await client.writeJSON({ jsonrpc: '2.0', method: '$/more' });
      await client.writeJSON({ jsonrpc: '2.0', method: '$/more', params: [1, 9] });
      await quiet(client);
      expect(itemsOf(1)).toEqual(numbers(64));
      expect(server.state).toBe('open');
    },
  );

  it('cannot speak for another stream, or for a call', async () => {
    const { ask, more, cancel, itemsOf, client } = setUpRaw({ echo: never });
    await ask(1, 'count', { count: 10_000 });
    await ask('1', 'count', { count: 10_000 });
    await ask(3, 'echo', ['a']);
    for (const id of [2, 3, null, [1], { id: 1 }, undefined, '2']) await more(id, 64);
    await quiet(client);
    expect([itemsOf(1).length, itemsOf('1').length]).toEqual([64, 64]);
    await cancel('1');
    await more('1', 64);
    await more(1, 32);
    await quiet(client);
    expect([itemsOf(1).length, itemsOf('1').length]).toEqual([96, 64]);
  });

  it('that asks and cancels without end has 16 generators, until they end', async () => {
    let started = 0;
    const release: (() => void)[] = [];
    const { ask, cancel, answerTo, got, client } = setUpRaw({
      async *count() {
        started++;
        await new Promise<void>((resolve) => release.push(resolve));
        yield 1;
      },
    });
    for (let id = 0; id < 1_000; id++) {
      await ask(id, 'count', { count: 1 });
      await cancel(id);
    }
    await quiet(client);
    expect(started).toBe(16);
    expect(got).toHaveLength(984);
    await ask(1_000, 'count', { count: 1 });
    await quiet(client);
    expect(answerTo(1_000)?.error).toEqual({ code: -32_000, message: 'too many streams are open' });
    for (const each of release) each();
    await quiet(client);
    expect(answerTo(15)?.error).toMatchObject({ code: -32_800 });
    await ask(2_000, 'count', { count: 1 });
    await quiet(client);
    expect(started).toBe(17);
  });

  it('that asks and cancels without end leaves no characters counted', async () => {
    const { ask, cancel, itemsOf, client, log } = setUpRaw();
    for (let id = 0; id < 300; id++) {
      await ask(id, 'texts', { length: 3_000 });
      await quiet(client);
      await cancel(id);
    }
    await ask(1_000, 'texts', { length: 2_000 });
    await quiet(client);
    expect(itemsOf(1_000).length).toBeGreaterThan(60);
    expect(log.ended).toBe(300);
  });

  it('that asks twice with one id has two streams, and can end both', async () => {
    const { ask, more, cancel, client, log, got } = setUpRaw();
    await ask(1, 'count', { count: 10_000 });
    await ask(1, 'count', { count: 10_000 });
    await quiet(client);
    await more(1, 64);
    await quiet(client);
    expect(log.made).toBe(192);
    await cancel(1);
    await cancel(1);
    await quiet(client);
    expect(log.ended).toBe(2);
    expect(got.filter(({ error }) => error?.code === -32_800)).toHaveLength(2);
  });

  it('that sends a stream as an event starts nothing', async () => {
    const { log, client, reports } = setUpRaw();
    await client.writeJSON({ jsonrpc: '2.0', method: 'count', params: { count: 3 } });
    await quiet(client);
    expect(log.made).toBe(0);
    expect(String(reports[0])).toMatch(/"count" was dropped/);
  });

  it('that stops holds at most 256 KiB of all its streams, here and there', async () => {
    const { ask, itemsOf, client } = setUpRaw();
    // The streams begin one after the other: the first has the whole window. More than 16 are refused.
    for (let id = 0; id < 40; id++) {
      await ask(id, 'texts', { length: 1_000 });
      await quiet(client);
    }
    const held = Array.from({ length: 16 }, (_, id) => itemsOf(id).length);
    expect(held[0]).toBe(64);
    expect(Math.min(...held)).toBeGreaterThanOrEqual(7);
    expect(held.reduce((a, b) => a + b) * 1_070).toBeLessThanOrEqual(256 * 1024);
  });

  it('gets an item larger than the window alone', async () => {
    const { ask, more, itemsOf, client, log } = setUpRaw();
    await ask(1, 'texts', { length: 900_000 });
    await quiet(client);
    expect(itemsOf(1)).toHaveLength(1);
    await more(1, 1);
    await quiet(client);
    expect(itemsOf(1)).toHaveLength(2);
    expect(log.made).toBe(2);
  });

  it('that takes all never waits for its own count', async () => {
    // Sizes around the bounds, where a window and what was told could wait for each other.
    const sizes = [
      4_000, 4_100, 90, 8_000, 4_030, 200_000, 8_200, 4_096, 1, 140_000, 4_095, 12_000,
    ];
    const { peer } = setUp({
      async *texts() {
        for (let i = 0; i < 150; i++) yield 'x'.repeat(sizes[(i * 7) % 12]! + (i % 3));
      },
    });
    const all = Array.from({ length: 16 }, () => collect(peer.texts({ length: 0 })));
    for (const texts of await Promise.all(all)) expect(texts).toHaveLength(150);
  });
});

describe('a server', () => {
  it('that ignores the window ends the loop with an error and a cancel, at 128 items', async () => {
    const { peer, items, got, client, answerTo, server } = setUpReader();
    const loop = peer.count({ count: 0 });
    const first = loop.next();
    await until(() => expect(got).toHaveLength(1));
    for (let i = 0; i < 5_000; i++) await items(1, [i]);
    expect((await first).value).toBe(0);
    await quiet(server);
    expect(got.filter(({ method }) => method === '$/cancelRequest')).toHaveLength(1);
    const { rest, error } = await drain(loop);
    expect(error).toBeInstanceOf(BackpressureError);
    expect(rest).toEqual(numbers(rest.length + 1).slice(1));
    expect(rest.length).toBeGreaterThanOrEqual(127);
    expect(rest.length).toBeLessThanOrEqual(129);
    expect([client.state, answerTo(1)]).toEqual(['open', undefined]);
  });

  it('that sends more than the window ends the loop; one larger item arrives', async () => {
    const { peer, items, got, server } = setUpReader();
    const [large, loop] = [peer.texts({ length: 0 }), peer.texts({ length: 0 })];
    const [one, first] = [large.next(), loop.next()];
    await until(() => expect(got).toHaveLength(2));
    const [a, b] = got.map(({ id }) => id);
    await items(a, ['x'.repeat(6 * 1024 * 1024)]);
    expect(((await one).value as string).length).toBe(6 * 1024 * 1024);
    for (let i = 0; i < 7; i++) await items(b, ['x'.repeat(900_000)]);
    await first;
    await quiet(server);
    const { rest, error } = await drain(loop);
    expect(error).toBeInstanceOf(BackpressureError);
    expect(rest.length).toBeLessThanOrEqual(2);
  });

  it('H3 has at most 256 KiB of a link unread, beside one item larger than its window a stream', async () => {
    const { peer, items, got, client } = setUpReader();
    const loops = Array.from({ length: 16 }, () => peer.texts({ length: 0 }));
    for (const loop of loops) void failure(loop.next());
    await until(() => expect(got).toHaveLength(16));
    const ids = got.map(({ id }) => id);
    // The readers take the first item. No reader takes a second one.
    for (const id of ids) await items(id, ['first']);
    for (let i = 0; i < 100; i++) for (const id of ids) await items(id, ['x'.repeat(3_900)]);
    await quiet(client);
    const all = await Promise.all(loops.map(drain));
    const unread = all.flatMap(({ rest }) => rest).reduce((sum, { length }) => sum + length, 0);
    expect(unread).toBeGreaterThan(200 * 1024);
    expect(unread).toBeLessThanOrEqual(256 * 1024 + 4_096);
    for (const { error } of all) expect(error).toBeInstanceOf(BackpressureError);
  });

  it('H3 has unread items as a part of maxTotalBufferedAmount', async () => {
    const LIMIT = 1_000_000;
    const budget = new WriteBudget(LIMIT);
    const platform = Object.create(portablePlatform, {
      writeBudget: { value: budget },
    }) as Platform;
    const all = Array.from({ length: 12 }, () => {
      const [server, client] = connPair({ platform, report: () => {} });
      const peer = agent.connect(server, new Log().handlers);
      return { loop: peer.texts({ length: 0 }), server, client, ...byHand(client) };
    });
    for (const { loop, got, items } of all) {
      const first = loop.next();
      await until(() => expect(got).toHaveLength(1));
      const [{ id } = { id: 0 }] = got;
      await items(id, ['first']);
      await first;
      for (let i = 0; i < 31; i++) await items(id, ['x'.repeat(4_000)]);
    }
    await until(() => expect(all[11]!.server.stats.messagesIn).toBe(32));
    const totals = all.map(
      ({ server }) => internalsOf(server).connection.control?.reads?.keptBytes ?? 0,
    );
    expect(totals.reduce((a, b) => a + b)).toBeGreaterThan(0.9 * LIMIT);
    const ends = await Promise.all(
      all.map(async ({ loop, got, end }) => {
        const rest = drain(loop);
        await end(got[0]!.id);
        return rest;
      }),
    );
    const refused = ends.filter(({ error }) => error !== undefined);
    expect(refused.length).toBeGreaterThan(0);
    for (const { error } of refused) {
      expect(error).toBeInstanceOf(BackpressureError);
      expect(String(error)).toMatch(/maxTotalBufferedAmount/);
    }
    // Read, or left: nothing counts any more.
    for (const { server } of all)
      expect(internalsOf(server).connection.control?.reads?.keptBytes).toBe(0);
    for (const { client } of all) client.terminate();
  });

  it('H3 counts nothing of a loop that is left with unread items', async () => {
    const { peer, items, got, client } = setUpReader();
    const loop = peer.texts({ length: 0 });
    const first = loop.next();
    await until(() => expect(got).toHaveLength(1));
    for (let i = 0; i < 20; i++) await items(got[0]!.id, ['x'.repeat(4_000)]);
    await first;
    await quiet(client);
    const kept = (): number => internalsOf(client).connection.control!.reads!.keptBytes;
    expect(kept()).toBeGreaterThan(70_000);
    await loop.return!();
    expect(kept()).toBe(0);
  });

  it('that sends items of no stream, of an ended one, of a call, and no items is ignored', async () => {
    const { peer, items, end, got, client, server } = setUpReader();
    const loop = peer.count({ count: 0 });
    const first = loop.next();
    const call = peer.echo('a');
    await until(() => expect(got).toHaveLength(2));
    const [stream, echo] = got.map(({ id }) => id);
    for (const id of [99, echo, String(stream), null, undefined, [stream], -1])
      await items(id, [7]);
    for (const list of ['x', { 0: 1 }, null, undefined, 1, []]) await items(stream, list);
    await server.writeJSON({ jsonrpc: '2.0', method: '$/item' });
    await server.writeJSON({ jsonrpc: '2.0', method: '$/item', params: [stream, [1]] });
    await items(stream, [1, 2]);
    expect((await first).value).toBe(1);
    await end(stream);
    await items(stream, [8]);
    expect(await collect(loop)).toEqual([2]);
    await server.writeJSON({ jsonrpc: '2.0', id: echo, result: 'a' });
    expect(await call).toBe('a');
    expect(client.state).toBe('open');
  });

  it('that floods a loop that takes all gets one $/more at a time', async () => {
    const { peer, items, got, server } = setUpReader();
    const read = collect(peer.count({ count: 0 }));
    await until(() => expect(got).toHaveLength(1));
    for (let i = 0; i < 100; i++) {
      await items(1, numbers(32));
      await quiet(server);
    }
    const more = got.filter(({ method }) => method === '$/more');
    expect(more.map(({ params }) => params?.n)).toEqual(Array.from({ length: 100 }, () => 32));
    await server.writeJSON({ jsonrpc: '2.0', id: 1, error: { code: 1, message: 'enough' } });
    expect(await failure(read)).toMatchObject({ code: 1 });
  });

  it('that never ends a cancelled stream holds no loop', async () => {
    const { peer, got, server } = setUpReader();
    for (let i = 0; i < 500; i++) {
      const loop = peer.count({ count: 0 });
      void failure(loop.next());
      await loop.return?.();
    }
    const call = peer.echo('a');
    await quiet(server);
    const { id } = got.find(({ method }) => method === 'echo')!;
    await server.writeJSON({ jsonrpc: '2.0', id, result: 'a' });
    expect(await call).toBe('a');
  });

  it('may have 300 open streams of one client, which still calls', async () => {
    const { peer } = setUp({}, { streams: 1_000 });
    const loops = Array.from({ length: 300 }, () => peer.count({ count: 1e9 }));
    await Promise.all(loops.map((loop) => loop.next()));
    expect(await peer.echo('a')).toBe('a');
    for (const loop of loops) await loop.return?.();
  });

  it('that sends the request back ends the loop', async () => {
    const [client, server] = connPair();
    server.receive((message) => server.send(message.text())).catch(() => {});
    const peer = contract({ server: { all: stream(z.string(), z.string()) } }).connect(client, {});
    expect(String(await failure(peer.all('a').next()))).toMatch(/echo server/);
  });
});

describe('a generator', () => {
  it('that yields after its cancel sends nothing', async () => {
    let resumed = 0;
    const { ask, cancel, itemsOf, answerTo, client } = setUpRaw({
      async *count(_, { signal }) {
        yield 0;
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        try {
          resumed++;
          yield 1;
          resumed++;
          yield 2;
        } finally {
          yield 3;
          yield 4;
        }
      },
    });
    await ask(1, 'count', { count: 0 });
    await quiet(client);
    await cancel(1);
    await quiet(client);
    expect(itemsOf(1)).toEqual([0]);
    expect(resumed).toBe(1);
    expect(answerTo(1)?.error).toMatchObject({ code: -32_800 });
  });

  it('by hand may lack return, throw in next, return nothing, and go on after its end', async () => {
    const by = (next: () => unknown) => ({
      count: () => ({ [Symbol.asyncIterator]: () => ({ next }) }) as never,
    });
    let calls = 0;
    const after = setUp(by(() => Promise.resolve({ done: ++calls > 2, value: calls })));
    expect(await collect(after.peer.count({ count: 0 }))).toEqual([1, 2]);
    expect(calls).toBe(3);
    const throwing = setUp(by(throws(new Error('sync'))));
    expect(await failure(throwing.peer.count({ count: 0 }).next())).toMatchObject({
      code: -32_603,
    });
    expect(throwing.reports).toHaveLength(1);
    const empty = setUp(by(() => undefined));
    expect(await failure(empty.peer.count({ count: 0 }).next())).toMatchObject({ code: -32_603 });
    let resolve: (result: unknown) => void = () => {};
    const pending = setUp(
      by(() => new Promise((done) => (resolve = done))),
      { streams: 1 },
    );
    const loop = pending.peer.count({ count: 0 });
    void loop.next();
    await quiet(pending.client);
    await loop.return?.();
    await quiet(pending.client);
    // It has its place until the item has come that it was asked for.
    expect(await failure(pending.peer.count({ count: 0 }).next())).toMatchObject({ code: -32_000 });
    resolve({ done: false, value: 1 });
    await quiet(pending.client);
    const next = pending.peer.count({ count: 0 }).next();
    await quiet(pending.client);
    resolve({ done: false, value: 5 });
    expect((await next).value).toBe(5);
  });

  it('by hand may throw in return, in its getter, or reject there: that is reported', async () => {
    const fails = (): never => {
      throw new Error('of return');
    };
    const odd = [
      { return: async () => fails() },
      { return: fails },
      Object.defineProperty({}, 'return', { get: fails }),
    ];
    const { peer, client, reports } = setUp({
      count: ({ count }) => {
        const iterator = Object.create(odd[count]!);
        iterator.next = async () => ({ done: false, value: 1 });
        return { [Symbol.asyncIterator]: () => iterator };
      },
    });
    for (let i = 0; i < odd.length; i++) {
      const loop = peer.count({ count: i });
      await loop.next();
      await loop.return?.();
      await quiet(client);
      expect(reports).toHaveLength(i + 1);
    }
    // Each has given its place back.
    const loops = Array.from({ length: 16 }, () => peer.texts({ length: 1 }));
    for (const loop of loops) expect((await loop.next()).done).toBe(false);
  });

  it('that throws in finally after its last item fails for its reader', async () => {
    const { peer, reports } = setUp({
      async *count() {
        try {
          yield 1;
        } finally {
          // oxlint-disable-next-line no-unsafe-finally -- the subject
          throw new Error('of finally');
        }
      },
    });
    const loop = peer.count({ count: 0 });
    expect((await loop.next()).value).toBe(1);
    expect(await failure(loop.next())).toMatchObject({ code: -32_603 });
    expect(reports).toHaveLength(1);
  });

  it('that hangs in finally holds its own place, and no other', async () => {
    let release: (() => void) | undefined;
    const { peer, client, server, serving } = setUp(
      {
        async *count() {
          try {
            for (;;) yield 1;
          } finally {
            await new Promise<void>((resolve) => (release = resolve));
          }
        },
      },
      { streams: 2 },
    );
    const loop = peer.count({ count: 0 });
    await loop.next();
    await loop.return?.();
    await quiet(client);
    const texts = peer.texts({ length: 1 });
    expect((await texts.next()).value).toBe('x');
    expect(await failure(peer.texts({ length: 1 }).next())).toMatchObject({ code: -32_000 });
    let isServed = false;
    void serving.then(() => (isServed = true));
    await server.close();
    for (let i = 0; i < 20; i++) await turn();
    expect(isServed).toBe(false);
    release!();
    await serving;
  });

  it('that throws a Proxy, or an error with a large message, fails for its reader', async () => {
    const trap = new Proxy(
      {},
      {
        get: throws(new Error('trap')),
      },
    );
    const thrown = [trap, null, 'text', Object.assign(new Error('x'), { code: 'E' })];
    const { peer } = setUp({
      // oxlint-disable-next-line require-yield -- it throws
      async *count({ count }) {
        throw thrown[count];
      },
    });
    for (let i = 0; i < thrown.length; i++) {
      expect(await failure(peer.count({ count: i }).next())).toMatchObject({ code: -32_603 });
    }
  });

  it('that is not asked again keeps its place in the turn of others', async () => {
    const { peer, client } = setUp();
    const stopped = peer.count({ count: 1e9 });
    await stopped.next();
    expect(await collect(peer.count({ count: 5_000 }))).toHaveLength(5_000);
    expect(await peer.echo('a')).toBe('a');
    await turn();
    expect(client.state).toBe('open');
  });
});
