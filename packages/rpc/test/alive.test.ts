// The request by which a page finds out that its connection is dead.
import { connPair } from '@ws/conn';
import { checkRate, limitRate } from '@ws/conn/internal';
import { contract, event, method } from '@ws/rpc';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { inHub } from './in-hub.ts';
import { until, useFakeClock } from './pairs.ts';

useFakeClock();

const jobs = contract({
  server: { job: method(z.number(), z.null()), stroke: event(z.number()) },
});
const QUESTION = '{"jsonrpc":"2.0","id":"$/alive","method":"$/alive"}';

function setUp(
  way: 'serve' | 'listener',
  stroke: (i: number) => unknown = () => {},
  rate?: Parameters<typeof checkRate>[0],
  concurrency = 1,
) {
  // 300 requests are more than a quarter of it, so reading pauses.
  const [raw, ours] = connPair({ report: () => {}, maxBufferedAmount: 100_000 });
  if (rate !== undefined) limitRate(ours, checkRate(rate));
  const handlers = { job: () => new Promise<null>(() => {}), stroke };
  if (way === 'serve') void jobs.serve(handlers, { concurrency })(ours);
  else inHub(ours, jobs.listener(handlers, { concurrency }) as never);
  const got: unknown[] = [];
  void raw.receive((message) => void got.push(message.json()));
  let id = 0;
  const job = (): void =>
    void raw.writeJSON({ jsonrpc: '2.0', id: ++id, method: 'job', params: [1] });
  return { raw, got, job };
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

const answer = { jsonrpc: '2.0', id: '$/alive', result: null };

describe.each(['serve', 'listener'] as const)('the question $/alive, through %s', (way) => {
  it('has its answer beside a slow handler, and before requests that wait', async () => {
    const { raw, got, job } = setUp(way);
    for (let i = 0; i < 100; i++) job();
    void raw.send(QUESTION);
    await until(() => expect(got).toEqual([answer]));
    raw.terminate();
  });

  it('has its answer at the bound of requests that wait', async () => {
    const { raw, got, job } = setUp(way);
    for (let i = 0; i < 400; i++) job();
    void raw.send(QUESTION);
    // Reading pauses for 10 s.
    await turns();
    await vi.advanceTimersByTimeAsync(11_000);
    await until(() => expect(got).toContainEqual(answer));
    raw.terminate();
  });

  it('has a sign of life as its answer while reading pauses, when it was asked before', async () => {
    const { raw, got, job } = setUp(way);
    void raw.send(QUESTION);
    await until(() => expect(got).toEqual([answer]));
    for (let i = 0; i < 400; i++) job();
    await turns();
    void raw.send(QUESTION);
    await vi.advanceTimersByTimeAsync(4_000);
    const sign = { jsonrpc: '2.0', method: '$/alive' };
    await until(() => expect(got.slice(1)).toEqual([sign, sign]));
    raw.terminate();
  });
});

const SIGN = { jsonrpc: '2.0', method: '$/alive' };
const strokeText = (i: number, pad = ''): string =>
  JSON.stringify({ jsonrpc: '2.0', method: 'stroke', params: [i], pad });

describe.each(['serve', 'listener'] as const)(
  'H2 a server that has read no question, %s',
  (way) => {
    /** Sends `count` events at once. Returns the longest time in ms without a message of the server. */
    async function longestSilence(
      { raw, got }: ReturnType<typeof setUp>,
      send: () => void,
      isDone: () => boolean,
    ): Promise<number> {
      send();
      await turns();
      let longest = 0;
      for (let silence = 0, seen = 0; !isDone(); silence += 100) {
        await vi.advanceTimersByTimeAsync(100);
        await turns();
        if (got.length > seen) {
          silence = 0;
        }
        seen = got.length;
        longest = Math.max(longest, silence);
      }
      expect(got).toEqual(got.map(() => SIGN));
      raw.terminate();
      return longest;
    }

    it('sends signs of life while events wait for a slow handler, in their order', async () => {
      const handled: number[] = [];
      const wait = (i: number): Promise<void> =>
        new Promise((resolve) => setTimeout(() => resolve(void handled.push(i)), 30));
      const server = setUp(way, wait);
      const silence = await longestSilence(
        server,
        () => Array.from({ length: 600 }, (_, i) => void server.raw.send(strokeText(i))),
        // The other 256 have been read: a question behind them has its answer at once.
        () => handled.length >= 344,
      );
      expect(handled).toEqual(handled.map((_, i) => i));
      expect(silence).toBeLessThan(2_500);
    });

    it('sends signs of life while reading pauses for a handler that does not settle', async () => {
      const server = setUp(way);
      const start = performance.now();
      const silence = await longestSilence(
        server,
        () => Array.from({ length: 300 }, () => server.job()),
        () => performance.now() - start > 9_000,
      );
      expect(silence).toBeLessThan(2_500);
    });

    it('sends signs of life while the rate holds messages back', async () => {
      let handled = 0;
      const server = setUp(way, () => void handled++, { messages: 5, over: 'wait' });
      const silence = await longestSilence(
        server,
        () => Array.from({ length: 300 }, (_, i) => void server.raw.send(strokeText(i))),
        () => handled === 300,
      );
      expect(silence).toBeLessThan(2_500);
    });

    it('sends signs of life while a long message holds the next one back for a minute', async () => {
      let handled = 0;
      const server = setUp(way, () => void handled++, { bytes: 1_000, over: 'wait' });
      const silence = await longestSilence(
        server,
        () => {
          void server.raw.send(strokeText(0, 'x'.repeat(60_000)));
          void server.raw.send(strokeText(1));
        },
        () => handled === 2,
      );
      expect(silence).toBeLessThan(2_500);
    });

    it('sends no sign of life while nothing waits', async () => {
      let handled = 0;
      const { raw, got } = setUp(way, () => void handled++);
      for (let i = 0; i < 100; i++) {
        void raw.send(strokeText(i));
        await vi.advanceTimersByTimeAsync(100);
      }
      await until(() => expect(handled).toBe(100));
      expect(got).toEqual([]);
      raw.terminate();
    });
  },
);

it('H2 a client sends no signs of life', async () => {
  const [client, raw] = connPair({ report: () => {} });
  const names = contract({ client: { told: event(z.number()) } });
  names.connect(client, { told: () => new Promise(() => {}) });
  const got: unknown[] = [];
  void raw.receive((message) => void got.push(message.json()));
  for (let i = 0; i < 300; i++) {
    void raw.writeJSON({ jsonrpc: '2.0', method: 'told', params: [i] });
  }
  await turns();
  await vi.advanceTimersByTimeAsync(5_000);
  await turns();
  expect(got).toEqual([expect.objectContaining({ method: '$/hello' })]);
  raw.terminate();
});
