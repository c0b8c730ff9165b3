import { describe, expect, it } from 'vitest';
import { call, never, setUpRaw, until, useFakeClock } from './pairs.ts';

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
      if (waits !== 'waits') expect(serverConn.stats.messagesIn).toBeLessThan(200);
      // What exceeds 16 MiB is refused, and these refusals are not read.
      expect(serverConn.state === 'open').toBe(waits !== 'waits');
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
    expect(reports).toEqual([]);
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

  it('of events and of broken messages behind a handler loses none', async () => {
    let handled = 0;
    let release: (() => void) | undefined;
    const { client, reports } = setUpRaw({
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
    // A broken message has its answer at once.
    await until(() => expect([handled, answers]).toEqual([0, 1_000]));
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
