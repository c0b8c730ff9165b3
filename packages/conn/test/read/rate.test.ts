// The token bucket of a connection, for each way of reading and each way to exceed it.
import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { type Conn, ProtocolError, type RateLimit } from '../../src/index.ts';
import { checkAutoResponse, checkRate, limitRate, setAutoResponse } from '../../src/internal.ts';
import { wired } from '../wired.ts';

function limited(rate: RateLimit, settings: object = {}) {
  const reported: unknown[] = [];
  const end = wired('server', { report: (error) => void reported.push(error), ...settings });
  limitRate(end.conn, checkRate(rate));
  return { ...end, reported };
}

/** Reads texts until the connection ends. */
const readers: Record<string, (conn: Conn, got: string[]) => Promise<unknown>> = {
  receive: (conn, got) => conn.receive((message) => void got.push(message.text())),
  async readMessage(conn, got) {
    for (;;) got.push((await conn.readMessage()).text());
  },
  async 'for await'(conn, got) {
    for await (const message of conn) got.push(message.text());
  },
  async nextReader(conn, got) {
    for (;;) got.push(await (await conn.nextReader()).text());
  },
};

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);

describe.each(Object.entries(readers))('rate with %s', (_name, read) => {
  it('delivers a flood of one chunk at the rate, in order and whole', async () => {
    const { conn, platform, frame, feed } = limited({ messages: 5, burst: 10 });
    const got: string[] = [];
    void read(conn, got).catch(() => {});
    await platform.settle();
    const texts = numbers(30);
    feed(...texts.map((text) => frame(1, text)));
    await platform.settle();
    expect(got.length).toBeGreaterThanOrEqual(10);
    expect(got.length).toBeLessThanOrEqual(11);
    const first = got.length;
    await platform.advance(1_100);
    expect(got.length - first).toBeGreaterThanOrEqual(5);
    expect(got.length - first).toBeLessThanOrEqual(6);
    await platform.advance(4_000);
    expect(got).toEqual(texts);
    expect(platform.timers).toBe(0);
    conn.terminate();
  });

  it('stops the transport when the read-ahead is full, and resumes it', async () => {
    const { conn, platform, frame, transport } = limited({ bytes: 1_000 });
    const got: string[] = [];
    void read(conn, got).catch(() => {});
    await platform.settle();
    const text = 'x'.repeat(500);
    let fed = 0;
    while (!transport.paused && fed < 1_000) {
      transport.feed(Buffer.concat([frame(1, text), frame(1, text)]));
      fed += 2;
      await platform.settle();
    }
    // 64 KiB of read-ahead, and one chunk.
    expect(fed * 500).toBeLessThan(70_000);
    await platform.advance(200_000);
    expect(transport.paused).toBe(false);
    expect(got).toHaveLength(fed);
    conn.terminate();
  });

  it('closes with 1008', async () => {
    const { conn, platform, frame, feed, sent } = limited({ messages: 3, over: 'close' });
    const got: string[] = [];
    const reading = read(conn, got).catch((error: unknown) => error);
    await platform.settle();
    feed(...numbers(5).map((text) => frame(1, text)));
    await platform.settle();
    expect(got.slice(0, 3)).toEqual(['0', '1', '2']);
    expect(sent()).toEqual(['close 1008 more than 3 messages in 1000 ms']);
    expect(await reading).toBeInstanceOf(ProtocolError);
    conn.terminate();
  });
});

describe('rate', () => {
  it('counts bytes, and a message above the burst waits until the bucket is full', async () => {
    const { conn, platform, frame, feed } = limited({ bytes: 100 });
    const got: number[] = [];
    void conn.receive((message) => void got.push(message.length));
    feed(frame(2, Buffer.alloc(60)), frame(2, Buffer.alloc(400)), frame(2, Buffer.alloc(1)));
    await platform.settle();
    expect(got).toEqual([60]);
    await platform.advance(600);
    expect(got).toEqual([60, 400]);
    await platform.advance(2_900);
    expect(got).toEqual([60, 400]);
    await platform.advance(300);
    expect(got).toEqual([60, 400, 1]);
    conn.terminate();
  });

  it('refills up to the burst, and never above it', async () => {
    const { conn, platform, frame, feed } = limited({ messages: 2, per: 100, burst: 4 });
    let got = 0;
    void conn.receive(() => void got++);
    await platform.advance(60_000);
    feed(...numbers(20).map((text) => frame(1, text)));
    await platform.settle();
    expect(got).toBe(4);
    conn.terminate();
  });

  it('counts while messages are discarded, and what it answers itself', async () => {
    for (const auto of [false, true]) {
      const { conn, platform, frame, feed } = limited({ messages: 2, over: 'close' });
      if (auto) setAutoResponse(conn, checkAutoResponse({ request: 'ping', response: 'pong' }));
      void conn.discardReads().catch(() => {});
      feed(...numbers(3).map(() => frame(1, 'ping')));
      await platform.settle();
      expect(conn.state).not.toBe('open');
      conn.terminate();
    }
  });

  it('calls the function for each message above the rate, and obeys its result', async () => {
    const calls: Conn[] = [];
    let verdict: unknown;
    const { conn, platform, frame, feed, sent } = limited({
      messages: 2,
      over: (over) => {
        calls.push(over);
        return verdict;
      },
    });
    const got: string[] = [];
    void conn.receive((message) => void got.push(message.text())).catch(() => {});
    feed(...numbers(5).map((text) => frame(1, text)));
    await platform.settle();
    expect(got).toEqual(numbers(5));
    expect(calls).toEqual([conn, conn, conn]);
    verdict = 'wait';
    feed(frame(1, '5'));
    await platform.settle();
    expect(got).toHaveLength(5);
    await platform.advance(600);
    expect(got).toHaveLength(6);
    expect(calls).toHaveLength(4);
    verdict = 'close';
    feed(frame(1, '6'));
    await platform.settle();
    expect(got).toHaveLength(6);
    expect(sent().at(-1)).toContain('close 1008');
    conn.terminate();
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('mine');
      },
    ],
    ['rejects', () => Promise.reject(new Error('mine'))],
  ])('closes with 1011 when the function %s, and reports the error', async (_name, over) => {
    const { conn, platform, frame, feed, sent, reported } = limited({ messages: 1, over });
    void conn.receive(() => {}).catch(() => {});
    feed(frame(1, '0'), frame(1, '1'));
    await platform.settle();
    expect(reported).toEqual([new Error('mine')]);
    expect(sent()[0]).toContain('close 1011');
    conn.terminate();
  });

  it('handles a close frame behind held messages in order', async () => {
    const { conn, platform, frame, feed, sent } = limited({ messages: 10 });
    const got: string[] = [];
    void conn.receive((message) => void got.push(message.text()));
    feed(...numbers(15).map((text) => frame(1, text)), frame(8, Uint8Array.of(3, 0xe8)));
    await platform.settle();
    expect(got).toHaveLength(10);
    await platform.advance(700);
    expect(got).toEqual(numbers(15));
    expect(sent()).toEqual(['close 1000']);
    conn.terminate();
  });

  it('drops what is held when the transport has closed, and keeps no timer', async () => {
    const { conn, platform, frame, feed, transport } = limited({ messages: 1, per: 60_000 });
    const ended = conn.receive(() => {}).catch((error: unknown) => error);
    feed(...numbers(9).map((text) => frame(1, text)));
    await platform.settle();
    expect(platform.timers).toBe(1);
    transport.break();
    await ended;
    await platform.settle();
    expect(platform.timers).toBe(0);
    expect(conn.stats.messagesDropped).toBe(8);
  });

  it('lets our own close pass held messages within closeTimeout', async () => {
    const { conn, platform, frame, feed, transport } = limited({ messages: 1, per: 60_000 });
    void conn.receive(() => {}).catch(() => {});
    feed(...numbers(9).map((text) => frame(1, text)));
    await platform.settle();
    const closing = conn.close(1000);
    feed(frame(8, Uint8Array.of(3, 0xe8)));
    await platform.advance(6_000);
    transport.break();
    await platform.settle();
    expect(['closed', 'closing']).toContain(conn.state);
    expect((await closing).code).toBeGreaterThan(0);
    expect(platform.timers).toBe(0);
  });

  it('does not let the idle timeout end a connection whose peer waits', async () => {
    const { conn, platform, frame, feed } = limited(
      { messages: 1, per: 60_000 },
      { readAhead: 1, idleReadTimeout: 1_000 },
    );
    const got: string[] = [];
    void (async () => {
      for await (const message of conn) got.push(message.text());
    })().catch(() => {});
    feed(frame(1, '0'), frame(1, '1'));
    feed(frame(1, '2'));
    await platform.advance(61_000);
    expect(conn.state).toBe('open');
    expect(got).toEqual(['0', '1']);
    conn.terminate();
  });

  it.each([
    [5, 'rate: expected { messages, bytes, per, burst, over }, got number; write { messages: 5 }'],
    [{}, 'rate: expected messages, bytes or both'],
    [{ messages: 0 }, 'rate.messages: expected a whole number of 1 or more, got 0'],
    [{ bytes: 1, burst: 0.5 }, 'rate.burst: expected a whole number of 1 or more, got 0.5'],
    [{ messages: 1, per: 0 }, 'rate.per: expected a whole number of 1 or more, got 0'],
    [
      { messages: 1, over: 'drop' },
      "rate.over: expected 'wait', 'close' or a function, got \"drop\"",
    ],
    [{ messages: 1, window: 5 }, 'rate: unknown option window'],
  ])('rejects %j', (value, message) => {
    expect(() => checkRate(value)).toThrow(message);
  });
});
