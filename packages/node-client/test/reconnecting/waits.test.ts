import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type ReconnectingOptions } from '../../src/index.ts';
import { type Reply } from '../servers.ts';
import {
  accepts,
  acceptsAndDrops,
  answers,
  connected,
  drop,
  drops,
  iterate,
  refuses,
  turn,
} from './iterating.ts';

describe('the waits of reconnecting', () => {
  const waits = async (replies: Reply[], options: ReconnectingOptions): Promise<number[]> => {
    const server = await answers(...replies, refuses(404));
    const seen: number[] = [];
    const iterator = iterate(server.url, {
      ...options,
      retry: (_, { delay }) => void seen.push(delay),
    });
    await expect(iterator.next()).rejects.toMatchObject({ status: 404 });
    return seen;
  };

  it('double from minDelay to maxDelay', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    onTestFinished(() => void vi.restoreAllMocks());
    const replies = Array<Reply>(5).fill(drops);
    const seen = await waits(replies, { minDelay: 2, maxDelay: 20 });
    expect(seen.slice(0, 5)).toEqual([4, 8, 16, 20, 20]);
  });

  it('grow while a server accepts and drops at once, and restart after a connection that lasts', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    onTestFinished(() => void vi.restoreAllMocks());
    const server = await answers(drops, acceptsAndDrops, drops, accepts, drops, refuses(403));
    const seen: number[] = [];
    const tries: number[] = [];
    const iterator = iterate(server.url, {
      minDelay: 20,
      maxDelay: 100,
      retry: (_, next) => {
        tries.push(next.tries);
        seen.push(next.delay);
      },
    });
    const short = await connected(iterator);
    now += 99;
    await short.closed;
    const long = await connected(iterator);
    now += 100;
    drop(server);
    await long.closed;
    await expect(iterator.next()).rejects.toMatchObject({ status: 403 });
    expect(tries).toEqual([1, 3, 1, 2]);
    expect(seen).toEqual([0, 50, 40, 50]);
  });

  it.each([
    ['2', 60_000, [2_010, 2_020]],
    ['2', 20, [2_000, 2_000]],
    ['0', 20, [10, 20]],
    ['whenever', 20, [10, 20]],
    ['3600', 20, [60_000, 60_000]],
    ['3600', 90_000, [90_000, 90_000]],
    [new Date(Date.now() + 3_600_000).toUTCString(), 20, [60_000, 60_000]],
    // More than a number can be: the longest wait, and no end.
    ['9'.repeat(400), 20, [60_000, 60_000]],
  ] as const)(
    'are longer by Retry-After: %s, up to 60 s or maxDelay: %i',
    async (value, maxDelay, [least, most]) => {
      const controller = new AbortController();
      const server = await answers(refuses(503, `Retry-After: ${value}\r\n`));
      let delay = 0;
      vi.spyOn(Math, 'random').mockReturnValue(0.5);
      onTestFinished(() => void vi.restoreAllMocks());
      const iterator = iterate(server.url, {
        minDelay: 10,
        maxDelay,
        signal: controller.signal,
        retry: (_, next) => {
          delay = next.delay;
          setImmediate(() => controller.abort());
        },
      });
      await iterator.next();
      expect(delay).toBeGreaterThanOrEqual(least);
      expect(delay).toBeLessThanOrEqual(most);
    },
  );

  it('keep the process alive', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    const set = vi.spyOn(globalThis, 'setTimeout');
    const cleared = vi.spyOn(globalThis, 'clearTimeout');
    onTestFinished(() => void vi.restoreAllMocks());
    const server = await answers(refuses(503));
    const iterator = iterate(server.url, { minDelay: 61_234, maxDelay: 61_234 });
    const next = iterator.next();
    const waits = (): number => set.mock.calls.findIndex(([, ms]) => ms === 61_234);
    while (waits() < 0) await turn();
    const timer = set.mock.results[waits()]!.value as NodeJS.Timeout;
    expect(timer.hasRef()).toBe(true);
    await iterator.return?.();
    await next;
    expect(cleared).toHaveBeenCalledWith(timer);
  });
});

describe('the first wait of reconnecting', () => {
  it('is spread from 0 to twice minDelay, for the clients of a restarted server', async () => {
    onTestFinished(() => void vi.restoreAllMocks());
    const delays: number[] = [];
    for (const chance of [0, 0.25, 0.5, 1]) {
      vi.spyOn(Math, 'random').mockReturnValue(chance);
      const server = await answers(drops);
      const iterator = iterate(server.url, {
        minDelay: 100,
        maxDelay: 1000,
        retry: (_, { delay }) => {
          delays.push(delay);
          return false;
        },
      });
      await expect(iterator.next()).rejects.toThrow('broke');
    }
    expect(delays).toEqual([0, 50, 100, 200]);
  });
});

describe('retry', () => {
  it('ends the iteration with the error by false', async () => {
    const server = await answers(refuses(503));
    await expect(iterate(server.url, { retry: () => false }).next()).rejects.toMatchObject({
      status: 503,
    });
    expect(server.sockets).toHaveLength(1);
  });

  it('continues by true after a permanent failure', async () => {
    const server = await answers(refuses(401), refuses(404), accepts);
    const conn = await connected(iterate(server.url, { retry: () => true }));
    expect(conn.state).toBe('open');
  });

  it.each([
    [1, 'number'],
    ['yes', 'string'],
    [null, 'null'],
    [{}, 'Object'],
  ])('that returns %j is a TypeError, whose cause is the failure', async (result, got) => {
    const server = await answers(refuses(503));
    const retry = () => result as never;
    await expect(iterate(server.url, { retry }).next()).rejects.toMatchObject({
      name: 'TypeError',
      message: `retry: expected true, false or undefined, got ${got}`,
      cause: { status: 503 },
    });
  });

  it.each([
    ['resolves', () => Promise.resolve(true)],
    ['rejects', () => Promise.reject(new Error('it has no listener'))],
  ])(
    'that returns a promise which %s is a TypeError, whose cause is the failure',
    async (_, retry) => {
      const server = await answers(refuses(503));
      await expect(iterate(server.url, { retry: retry as never }).next()).rejects.toMatchObject({
        name: 'TypeError',
        message: 'retry: expected true, false or undefined, got a promise; it must be synchronous',
        cause: { status: 503 },
      });
      await turn();
    },
  );

  it('gets tries from 1 on after a connection that lasted', async () => {
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    onTestFinished(() => void vi.restoreAllMocks());
    const server = await answers(accepts, drops, drops, drops, refuses(403));
    const tries: number[] = [];
    const iterator = iterate(server.url, { retry: (_, next) => void tries.push(next.tries) });
    const conn = await connected(iterator);
    now += 1000;
    drop(server);
    await conn.closed;
    await expect(iterator.next()).rejects.toMatchObject({ status: 403 });
    expect(tries).toEqual([1, 2, 3, 4]);
  });

  it('ends the iteration with its error', async () => {
    const server = await answers(refuses(503));
    const error = new Error('mine');
    const iterator = iterate(server.url, {
      retry: () => {
        throw error;
      },
    });
    await expect(iterator.next()).rejects.toBe(error);
    expect(await iterator.next()).toMatchObject({ done: true });
  });
});
