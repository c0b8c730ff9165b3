import { connPair } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { contract, event, method } from '@ws/rpc';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { call, never, quietly, until, useFakeClock } from './pairs.ts';

const Padded = z.object({ n: z.number(), pad: z.string() });
const pings = contract({
  server: { a: event(Padded), ack: event(Padded), poll: method(z.undefined(), z.string()) },
  client: { b: event(Padded) },
});

describe('two ends that await their events', () => {
  it.each([
    [3_000, 5_000],
    [600, 20_000],
  ])('take %i of %i bytes, with all defaults', async (count, size) => {
    const pad = 'x'.repeat(size);
    const got = { a: [] as number[], b: [] as number[], ack: [] as number[] };
    const reports: unknown[] = [];
    const report = (error: unknown) => void reports.push(error);
    const server = await serve(
      { port: 0, host: '127.0.0.1', report },
      pings.serve({
        a: async ({ n }, { peer }) => {
          got.a.push(n);
          await peer.b({ n, pad });
        },
        ack: ({ n }) => void got.ack.push(n),
        poll: never,
      }),
    );
    const conn = await dial(server.url, { report });
    const peer = pings.connect(conn, {
      b: async ({ n }, { peer }) => {
        got.b.push(n);
        await peer.ack({ n, pad });
      },
    });
    const sent = Array.from({ length: count }, (_, n) => n);
    const accepted = Promise.all(sent.map((n) => peer.a({ n, pad })));
    await until(() => expect(got.ack).toHaveLength(count));
    await accepted;
    expect(got).toEqual({ a: sent, b: sent, ack: sent });
    // A process that gets no CPU for 5 s reports that no handler has settled.
    expect(reports.filter((one) => !String(one).includes('has settled'))).toEqual([]);
    await conn.close();
    await server.close();
  });
});

describe('an event', () => {
  it('does not wait behind the 257th request', async () => {
    const [client, server] = connPair();
    let acks = 0;
    quietly(
      pings.serve(
        { a: () => undefined, ack: () => void acks++, poll: never },
        { concurrency: 1_000 },
      )(server),
    );
    const peer = pings.connect(client, { b: () => undefined });
    for (let i = 0; i < 300; i++) peer.poll(undefined, { timeout: false }).catch(() => {});
    await peer.ack({ n: 0, pad: '' });
    await until(() => expect(acks).toBe(1));
    client.terminate();
  });
});

describe('events behind a handler that settles', () => {
  it.each(['synchronous', 'asynchronous'])(
    'reach %s handlers in several turns, also after the end of the connection',
    async (how) => {
      const asks = contract({
        server: { hold: event(z.undefined()), ack: event(z.number()) },
        client: { ask: method(z.undefined(), z.boolean()) },
      });
      const [client, server] = connPair();
      const got: number[] = [];
      let release = () => {};
      const serving = asks.serve(
        {
          hold: (_, { peer }) => {
            // Reading continues while this end waits.
            peer.ask(undefined, { timeout: false }).catch(() => {});
            return new Promise<void>((resolve) => {
              release = resolve;
            });
          },
          ack: how === 'synchronous' ? (n) => void got.push(n) : async (n) => void got.push(n),
        },
        { concurrency: 1 },
      )(server);
      const peer = asks.connect(client, { ask: never });
      void peer.hold();
      const sent = Array.from({ length: 5_000 }, (_, n) => n);
      for (const n of sent) void peer.ack(n);
      await client.close();
      let most = 0;
      release();
      for (let before = 0; got.length < sent.length; before = got.length) {
        await new Promise((resolve) => setImmediate(resolve));
        most = Math.max(most, got.length - before);
      }
      await serving;
      expect(got).toEqual(sent);
      expect(most).toBeLessThan(600);
    },
  );
});

async function turns(): Promise<void> {
  for (let i = 0; i < 100; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A handler of `poll` that ends by its signal. */
const untilAborted = pings.serve(
  {
    a: () => undefined,
    ack: () => undefined,
    poll: (_, { signal }) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(''))),
  },
  { concurrency: 1 },
);

const ack = (length: number): string =>
  JSON.stringify({ jsonrpc: '2.0', method: 'ack', params: { n: 0, pad: 'x'.repeat(length) } });

describe('requests behind a handler that does not settle', () => {
  it('count for maxTotalBufferedAmount after their connections have closed', async () => {
    const TOTAL = 400_000;
    const released = new Deferred<void>();
    const jobs = contract({ server: { job: method(z.string(), z.void()) } });
    let kept = 0;
    const job = async (pad: string): Promise<void> => {
      if (pad !== '') kept += pad.length;
      else await released.promise;
    };
    const limits = { maxTotalBufferedAmount: TOTAL, highWaterMark: 16_384 };
    const server = await serve(
      { port: 0, host: '127.0.0.1', report() {}, ...limits },
      jobs.serve({ job }, { concurrency: 1 }),
    );
    const fill = async (): Promise<void> => {
      const conn = await dial(server.url, { maxBufferedAmount: false });
      const read = conn.discardReads();
      await conn.send(call(1, 'job', ['']));
      for (let id = 2; id < 102; id++) await conn.send(call(id, 'job', ['x'.repeat(10_000)]));
      await conn.close();
      await read;
    };
    for (let i = 0; i < 10; i++) await fill();
    expect(kept).toBe(0);
    released.resolve();
    await server.close();
    expect(kept).toBeGreaterThan(TOTAL - 20_000);
    // Each connection may keep highWaterMark, and the message above its bound.
    expect(kept).toBeLessThan(2 * TOTAL + 10 * (limits.highWaterMark + 10_000));
  });
});

describe('events behind a handler that does not settle', () => {
  useFakeClock();

  it('count for maxTotalBufferedAmount', async () => {
    const server = await serve(
      { port: 0, host: '127.0.0.1', maxTotalBufferedAmount: 100_000, report: () => {} },
      untilAborted,
    );
    const conn = await dial(server.url, { maxBufferedAmount: false });
    const [served] = server.connections;
    void conn.send(call(1, 'poll', undefined));
    // They are far below maxBufferedAmount.
    for (let i = 0; i < 300; i++) void conn.send(ack(10_000)).catch(() => {});
    await until(() => expect(served!.stats.messagesIn).toBeGreaterThan(5));
    await turns();
    expect(served!.stats.messagesIn).toBeLessThan(100);
    const closed = conn.receive(() => {}).catch(() => conn.closed);
    await vi.advanceTimersByTimeAsync(10_100);
    expect(await closed).toMatchObject({ code: 1013 });
    await server.close();
  });

  it('do not end a connection for which another one has left room', async () => {
    const reports: unknown[] = [];
    const server = await serve(
      {
        port: 0,
        host: '127.0.0.1',
        maxTotalBufferedAmount: 100_000,
        report: (error) => void reports.push(error),
      },
      untilAborted,
    );
    const conns = await Promise.all(
      [1, 2].map(() => dial(server.url, { maxBufferedAmount: false })),
    );
    const served = [...server.connections];
    for (const conn of conns) void conn.send(call(1, 'poll', undefined));
    await until(() => expect(served.map(({ stats }) => stats.messagesIn)).toEqual([1, 1]));
    for (let i = 0; i < 300; i++) void conns[0]!.send(ack(10_000)).catch(() => {});
    await until(() => expect(served[0]!.stats.messagesIn).toBeGreaterThan(5));
    await turns();
    await vi.advanceTimersByTimeAsync(4_000);
    for (let i = 0; i < 7; i++) void conns[1]!.send(ack(10_000)).catch(() => {});
    await until(() => expect(served[1]!.stats.messagesIn).toBeGreaterThan(1));
    await turns();
    // The second one has more than its share: reading pauses.
    conns[0]!.terminate();
    await vi.advanceTimersByTimeAsync(5_100);
    await served[0]!.closed;
    await vi.advanceTimersByTimeAsync(5_100);
    await turns();
    expect(served[1]!.state).toBe('open');
    conns[1]!.terminate();
    await server.close();
  });
});
