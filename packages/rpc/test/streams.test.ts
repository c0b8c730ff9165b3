import { connPair } from '@ws/conn';
import { contract, stream } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { settled } from './pairs.ts';
import { collect, DONE, numbers, setUp } from './stream-pairs.ts';

describe('a stream', () => {
  it('gives all items of a generator to a loop, in both directions', async () => {
    const { peer, toClient, log } = setUp();
    expect(await collect(peer.count({ count: 1_000 }))).toEqual(numbers(1_000));
    expect(await collect(toClient.count({ count: 1_000 }))).toEqual(numbers(1_000));
    expect(log).toMatchObject({ made: 2_000, ended: 2, reasons: [] });
  });

  it('sends its request with the first next', async () => {
    const { peer, client, log } = setUp();
    const loop = peer.count({ count: 3 });
    await settled(client);
    expect(log.made).toBe(0);
    expect(await loop.next()).toEqual({ done: false, value: 0 });
    expect(await collect(loop)).toEqual([1, 2]);
    expect(await loop.next()).toEqual(DONE);
  });

  it('answers two calls of next in order', async () => {
    const { peer } = setUp();
    const loop = peer.count({ count: 2 });
    const results = await Promise.all([loop.next(), loop.next(), loop.next(), loop.next()]);
    expect(results.map(({ value, done }) => (done ? 'done' : value))).toEqual([
      0,
      1,
      'done',
      'done',
    ]);
  });

  it('makes no more items than 64 for a reader that stops', async () => {
    const { peer, client, log } = setUp();
    const loop = peer.count({ count: 10_000 });
    await loop.next();
    await settled(client);
    expect(log.made).toBe(64);
    await loop.return?.();
    await settled(client);
    expect(log.ended).toBe(1);
  });

  it('ends its generator when the loop breaks', async () => {
    const { peer, client, log } = setUp();
    for await (const n of peer.count({ count: 10_000 })) if (n === 5) break;
    await settled(client);
    expect(log).toMatchObject({ ended: 1, reasons: [{ code: -32_800 }] });
  });

  it('takes a ReadableStream at the pace of its reader', async () => {
    let pulled = 0;
    let cancelled = 0;
    const { peer, client } = setUp({
      count: () =>
        new ReadableStream<number>(
          { pull: (to) => to.enqueue(pulled++), cancel: () => void cancelled++ },
          { highWaterMark: 0 },
        ),
    });
    const loop = peer.count({ count: 0 });
    for (let i = 0; i < 100; i++) expect((await loop.next()).value).toBe(i);
    await settled(client);
    expect(pulled).toBeLessThanOrEqual(100 + 64);
    await loop.return?.();
    await settled(client);
    expect(cancelled).toBe(1);
  });

  it.each(['break', 'abort', 'end'] as const)(
    'cancels a quiet ReadableStream at %s',
    async (how) => {
      let cancelled = 0;
      const quiet = new ReadableStream<number>({
        start: (to) => to.enqueue(1),
        cancel: () => void cancelled++,
      });
      // Some engines have no such method.
      Object.defineProperty(quiet, Symbol.asyncIterator, { value: undefined });
      const { peer, client, serving } = setUp({ count: () => quiet });
      const control = new AbortController();
      const loop = peer.count({ count: 0 }, { signal: control.signal });
      await loop.next();
      await settled(client);
      if (how === 'break') await loop.return?.();
      else if (how === 'abort') control.abort();
      else {
        await client.close();
        await serving;
      }
      await settled(client).catch(() => {});
      expect(cancelled).toBe(1);
    },
  );

  it('passes undefined and null', async () => {
    const odd = contract({
      server: { all: stream(z.undefined(), z.union([z.null(), z.number()]).optional()) },
    });
    const [client, server] = connPair();
    const serving = odd.serve({
      async *all() {
        yield* [undefined, null, 1];
      },
    })(server);
    expect(await collect(odd.connect(client, {}).all())).toEqual([null, null, 1]);
    await client.close();
    await serving;
  });

  it('works with asynchronous schemas, in order', async () => {
    const Late = z.number().refine(async (n) => {
      if (n % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      return true;
    });
    const late = contract({
      server: {
        all: stream(
          z.number().refine(async () => true),
          Late,
        ),
      },
    });
    const [client, server] = connPair();
    void late.serve({
      async *all(count) {
        yield* numbers(count);
      },
    })(server);
    const loop = late.connect(client, {}).all(300);
    const results = await Promise.all(numbers(302).map(() => loop.next()));
    expect(results.map(({ value }) => value)).toEqual([...numbers(300), undefined, undefined]);
    await client.close();
  });
});
