import { connPair } from '@ws/conn';
import { type Session } from '@ws/hub';
import { contract, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { inHub } from './in-hub.ts';
import { call, never, settled, setUpRaw, until, useFakeClock } from './pairs.ts';

const MIB = 1024 * 1024;

describe('a flood', () => {
  // Reports come at most once a second of it.
  useFakeClock();

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
      for (let i = 0; i < 800; i++) void client.send(call(id, 'say', { text: '' })).catch(() => {});
      await until(() => expect(serverConn.stats.messagesIn).toBeGreaterThan(30));
      for (let i = 0; i < 200; i++) await new Promise((resolve) => setImmediate(resolve));
      expect(serverConn.bufferedAmount).toBeLessThanOrEqual(2 * MIB);
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

  it('of events without a handler holds nothing', async () => {
    const { client, ask, serverConn, reports } = setUpRaw({ say: never });
    for (let i = 0; i < 2_000; i++) void client.send('{"jsonrpc":"2.0","method":"nothing"}');
    expect(await ask(call(1, 'add', [1, 2]))).toMatchObject({ result: 3 });
    expect([serverConn.stats.messagesOut, reports.length]).toEqual([1, 0]);
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
    else inHub(ours, asks.listener<Session>(handlers));
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
    // Those that arrive after the question run beside its handler, 16 at a time.
    expect(refused.length).toBeLessThanOrEqual(when === 'after' ? 44 : 283);
    for (const { error } of refused) expect(error!.code).toBe(-32_000);
    raw.terminate();
  });
});
