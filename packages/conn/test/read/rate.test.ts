// The token bucket of a connection, for each way of reading and each way to exceed it.
import { Buffer } from 'node:buffer';
import { formatCloseMessage } from '@ws/codec';
import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { type Conn, MessageReader, ProtocolError, type RateLimit } from '../../src/index.ts';
import { checkRate, limitRate } from '../../src/internal.ts';
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
    const { conn, platform, frame, deliver } = limited({ messages: 5, burst: 10 });
    const got: string[] = [];
    void read(conn, got).catch(() => {});
    await platform.settle();
    const texts = numbers(30);
    await deliver(...texts.map((text) => frame(1, text)));
    expect(got.length).toBeGreaterThanOrEqual(10);
    expect(got.length).toBeLessThanOrEqual(11);
    const first = got.length;
    await platform.advance(1_100);
    expect(got.length - first).toBeGreaterThanOrEqual(5);
    expect(got.length - first).toBeLessThanOrEqual(6);
    await platform.advance(4_000);
    expect(got).toEqual(texts);
    expect(platform.timers).toBe(0);
  });

  it('stops the transport when the read-ahead is full, and resumes it', async () => {
    const { conn, platform, transport, frame } = limited({ bytes: 1_000 });
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
  });

  it('handles the control frames after messages that wait', async () => {
    const { conn, platform, transport, feed, frame, sent, deliver } = limited({ messages: 5 });
    const got: string[] = [];
    void read(conn, got).catch(() => {});
    await platform.settle();
    const texts = numbers(10);
    await deliver(...texts.map((text) => frame(1, text)), frame(9, 'still there?'));
    expect(got).toHaveLength(5);
    expect(sent()).toEqual(['pong still there?']);
    expect(transport.paused).toBe(false);
    feed(frame(8, Uint8Array.of(3, 0xe8)));
    await platform.advance(900);
    expect(got).toHaveLength(9);
    expect(sent()).toHaveLength(1);
    await platform.advance(200);
    expect(got).toEqual(texts);
    await platform.advance(1_000);
    expect(sent()[1]).toBe('close 1000');
    expect(platform.timers).toBeLessThanOrEqual(1);
    transport.break();
    await platform.settle();
    expect(platform.timers).toBe(0);
    expect(conn.stats.messagesDropped).toBe(0);
  });

  it('answers a close frame within half of closeTimeout', async () => {
    const { conn, platform, transport, frame, feed, sent } = limited(
      { messages: 1, per: 60_000 },
      { closeTimeout: 2_000 },
    );
    const got: string[] = [];
    void read(conn, got).catch(() => {});
    await platform.settle();
    feed(frame(1, '0'), frame(1, '1'), frame(1, '2'), frame(8, Uint8Array.of(3, 0xe8)));
    await platform.advance(990);
    expect(sent()).toEqual([]);
    await platform.advance(60);
    expect(sent()).toEqual(['close 1000']);
    transport.break();
    await platform.settle();
    expect(await conn.closed).toMatchObject({ code: 1000, wasClean: true });
    expect(got).toEqual(['0']);
    expect(conn.stats.messagesDropped).toBe(2);
    expect(platform.timers).toBe(0);
  });

  it.each<RateLimit>([{ messages: 50 }, { bytes: 100 }])(
    'passes 50 of 10,000 messages of 2 bytes in one chunk with %j, also when the peer has gone',
    async (rate) => {
      const { conn, platform, transport, frame, deliver } = limited(rate);
      const got: string[] = [];
      const reading = read(conn, got).catch((error: unknown) => error);
      await platform.settle();
      await deliver(...numbers(10_000).map(() => frame(1, 'ab')));
      expect(got).toHaveLength(50);
      transport.feedEnd();
      transport.break();
      await platform.settle();
      await reading;
      expect(got).toHaveLength(50);
      expect(platform.timers).toBe(0);
    },
  );

  it('ends a read that waits for a token with the connection', async () => {
    const { conn, platform, transport, frame, deliver } = limited({ messages: 1, per: 60_000 });
    const got: string[] = [];
    const reading = read(conn, got).catch((error: unknown) => error);
    await platform.settle();
    await deliver(frame(1, '0'), frame(1, '1'));
    transport.break(new Error('reset'));
    await platform.settle();
    expect(await reading).toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    expect(got).toEqual(['0']);
    expect(conn.stats.messagesDropped).toBe(1);
    expect(platform.timers).toBe(0);
  });

  it('closes with 1013', async () => {
    const { conn, platform, frame, sent, deliver } = limited({ messages: 3, over: 'close' });
    const got: string[] = [];
    const reading = read(conn, got).catch((error: unknown) => error);
    await platform.settle();
    await deliver(...numbers(5).map((text) => frame(1, text)));
    expect(got.slice(0, 3)).toEqual(['0', '1', '2']);
    expect(sent()).toEqual(['close 1013 more than 3 messages in 1000 ms']);
    expect(await reading).toBeInstanceOf(ProtocolError);
  });
});

describe('C15 rate with a clock that is set back by an hour', () => {
  class SettableClock extends FakePlatform {
    back = 0;
    override now(): number {
      return super.now() - this.back;
    }
  }

  it.each(['wait', 'close'] as const)('keeps its tokens, and adds more: %s', async (over) => {
    const platform = new SettableClock({ now: 7_200_000 });
    const { conn, frame, deliver, sent } = wired('server', {}, 0, platform);
    limitRate(conn, checkRate({ messages: 10, burst: 10, over }));
    const got: string[] = [];
    void conn.receive((message) => void got.push(message.text())).catch(() => {});
    await deliver(...numbers(5).map((text) => frame(1, text)));
    platform.back = 3_600_000;
    // Uses all tokens, which looks at the clock.
    await deliver(...numbers(5).map((text) => frame(1, text)));
    expect([got.length, sent()]).toEqual([10, []]);
    await platform.advance(500);
    await deliver(...numbers(5).map((text) => frame(1, text)));
    expect([got.length, sent()]).toEqual([15, []]);
    await deliver(frame(1, 'too much'));
    expect(got.length).toBe(15);
    if (over === 'close') expect(sent()).toEqual(['close 1013 more than 10 messages in 1000 ms']);
    else await platform.advance(200);
    expect(got.length).toBe(over === 'close' ? 15 : 16);
  });
});

describe('rate', () => {
  it('counts bytes, and lets the next message pay for one above the bytes that are left', async () => {
    const { conn, platform, frame, deliver } = limited({ bytes: 100 });
    const got: number[] = [];
    void conn.receive((message) => void got.push(message.length));
    await deliver(
      frame(2, Buffer.alloc(60)),
      frame(2, Buffer.alloc(400)),
      frame(2, Buffer.alloc(1)),
    );
    expect(got).toEqual([60, 400]);
    await platform.advance(3_500);
    expect(got).toEqual([60, 400]);
    await platform.advance(200);
    expect(got).toEqual([60, 400, 1]);
  });

  it('gives a message that waited to nextReader as a stream', async () => {
    const { conn, platform, feed, frame } = limited({ messages: 1, per: 100 });
    feed(frame(1, 'one'), frame(1, 'two'), frame(1, 'three'));
    expect((await conn.readMessage()).text()).toBe('one');
    const pending = conn.nextReader();
    await platform.advance(100);
    const reader = await pending;
    expect(reader).toBeInstanceOf(MessageReader);
    const pieces: string[] = [];
    for await (const piece of reader) pieces.push(Buffer.from(piece).toString());
    expect(pieces).toEqual(['two']);
    const next = conn.readMessage();
    await platform.advance(100);
    expect((await next).text()).toBe('three');
  });

  it('lets the pieces of a stream wait, and handles a ping between them', async () => {
    const { platform, feed, frame, output, stream } = limited({ bytes: 100 });
    await platform.settle();
    const reader = await stream(frame(1, 'a'.repeat(100), { fin: false }));
    const into = new Uint8Array(1_000);
    expect(await reader.read(into)).toBe(100);
    let read = 0;
    const second = reader.read(into).then((size) => {
      read = size;
    });
    feed(frame(0, 'b'.repeat(50), { fin: false }), frame(9, 'p'), frame(0, 'c'.repeat(50)));
    expect(await output()).toEqual(['pong p']);
    await platform.advance(900);
    expect(read).toBe(0);
    await platform.advance(200);
    await second;
    expect(Buffer.from(into.subarray(0, read)).toString()).toBe(
      `${'b'.repeat(50)}${'c'.repeat(50)}`,
    );
    expect(await reader.read(into)).toBe(0);
  });

  it('lets the next message pay for the later pieces of a stream', async () => {
    const { conn, platform, feed, frame } = limited({ bytes: 100 });
    const next = conn.nextReader();
    await platform.settle();
    feed(frame(1, 'a'.repeat(50), { fin: false }));
    const text = (await next).text();
    await platform.settle();
    feed(frame(0, 'b'.repeat(50)), frame(1, 'c'));
    expect(await text).toHaveLength(100);
    let got: string | undefined;
    void conn.readMessage().then((message) => {
      got = message.text();
    });
    await platform.settle();
    expect(got).toBe(undefined);
    await platform.advance(20);
    expect(got).toBe('c');
  });

  it('does not charge the rest of a message that its reader drops', async () => {
    const { conn, platform, feed, frame, deliver } = limited({ bytes: 100 });
    const next = conn.nextReader();
    await platform.settle();
    feed(frame(1, 'a'.repeat(50), { fin: false }));
    await next;
    let got: string | undefined;
    void conn.readMessage().then((message) => {
      got = message.text();
    });
    await deliver(frame(0, 'b'.repeat(50)), frame(1, 'c'));
    expect(got).toBe('c');
  });

  it('lets a stream go on when its bytes are paid, before the next message has a token', async () => {
    const { platform, feed, frame, stream } = limited({ messages: 1, bytes: 6_000, per: 60_000 });
    await platform.settle();
    const reader = await stream(frame(1, 'a'.repeat(6_000), { fin: false }));
    let length = 0;
    void reader.text().then((text) => {
      length = text.length;
    });
    await platform.settle();
    feed(frame(0, 'b'.repeat(100)));
    await platform.advance(900);
    expect(length).toBe(0);
    await platform.advance(200);
    expect(length).toBe(6_100);
  });

  it('gives a stream the bytes that take more than the bucket has, and holds those after them', async () => {
    const { platform, frame, stream } = limited({ bytes: 1_000 });
    await platform.settle();
    const reader = await stream(frame(1, 'a'.repeat(5_000), { fin: false }), frame(0, 'b'));
    const into = new Uint8Array(10_000);
    expect(await reader.read(into)).toBe(5_000);
    let rest = -1;
    void reader.read(into).then((n) => (rest = n));
    await platform.advance(3_900);
    expect(rest).toBe(-1);
    await platform.advance(1_000);
    expect(rest).toBe(1);
  });

  it('counts the pieces of a message that never ends', async () => {
    const { conn, platform, feed, frame, sent, deliver } = limited({ bytes: 1_000, over: 'close' });
    const next = conn.nextReader();
    await platform.settle();
    feed(frame(1, 'a'.repeat(600), { fin: false }));
    const text = (await next).text().catch((error: unknown) => error);
    await deliver(frame(0, 'b'.repeat(600), { fin: false }));
    expect(await text).toBeInstanceOf(ProtocolError);
    expect(sent().at(-1)).toMatch(/^close 1013/);
  });

  it('bounds no messages that wait when the connection has ended', async () => {
    const { conn, platform, frame, feed, transport } = limited({ messages: 2 });
    await platform.settle();
    feed(...numbers(5).map((text) => frame(1, text)), frame(8, formatCloseMessage(1000)));
    transport.feedEnd();
    await platform.settle();
    const got: string[] = [];
    for await (const message of conn) got.push(message.text());
    expect(got).toEqual(numbers(5));
    expect(conn.stats.messagesDropped).toBe(0);
  });

  it('ends a stream that waits with the error of the connection', async () => {
    const { platform, transport, frame, stream } = limited({ bytes: 100, per: 60_000 });
    await platform.settle();
    const reader = await stream(
      frame(1, 'a'.repeat(100), { fin: false }),
      frame(0, 'b'.repeat(100), { fin: false }),
    );
    const text = reader.text().catch((error: unknown) => error);
    await platform.settle();
    transport.break(new Error('reset'));
    await platform.settle();
    expect(await text).toMatchObject({ code: 'WS_ERR_TRANSPORT' });
    expect(platform.timers).toBe(0);
  });

  it('streams a large message that waited, before all of it has arrived', async () => {
    const { conn, platform, feed, frame, deliver } = limited({ messages: 1, per: 100 });
    const first = conn.nextReader();
    await platform.settle();
    feed(frame(1, 'one'));
    expect(await (await first).text()).toBe('one');
    const next = conn.nextReader();
    await deliver(frame(1, 'two', { fin: false }));
    await platform.advance(100);
    const reader = await next;
    const text = reader.text();
    feed(frame(0, ', end'));
    expect(await text).toBe('two, end');
  });

  it('slows a peer down whose messages are discarded', async () => {
    const { conn, platform, transport, frame, deliver } = limited({ messages: 10 });
    void conn.discardReads();
    await platform.settle();
    let fed = 0;
    for (; !transport.paused && fed < 5_000; fed += 10) {
      await deliver(...numbers(10).map((text) => frame(1, text)));
    }
    expect(fed).toBeLessThan(300);
    await platform.advance(60_000);
    expect(transport.paused).toBe(false);
    expect(conn.stats).toMatchObject({ messagesIn: fed, messagesDropped: 0 });
  });

  it('charges what nextReader has begun in the middle of a message', async () => {
    const { conn, platform, feed, frame, deliver } = limited({ bytes: 100 });
    await deliver(frame(1, 'x'.repeat(200), { fin: false }));
    const reader = await conn.nextReader();
    let got: string | undefined;
    void reader.text().then((text) => {
      got = text;
    });
    feed(frame(0, ''));
    await platform.advance(900);
    expect(got).toBe(undefined);
    await platform.advance(200);
    expect(got).toHaveLength(200);
  });

  it('gives the end of a message to a reader that asks for it after its debt began', async () => {
    const { conn, platform, frame, deliver } = limited({ bytes: 100 });
    await deliver(frame(1, 'x'.repeat(200), { fin: false }));
    const reader = await conn.nextReader();
    const into = new Uint8Array(300);
    expect(await reader.read(into)).toBe(200);
    await deliver(frame(0, ''));
    const end = reader.read(into);
    await platform.advance(1_200);
    expect(await end).toBe(0);
  });

  it('counts the bytes of a message once, however much of it was read', async () => {
    const { conn, platform, feed, frame, sent } = limited({ bytes: 1_000, over: 'close' });
    const next = conn.nextReader();
    await platform.settle();
    feed(frame(1, 'a'.repeat(600), { fin: false }));
    await next;
    const message = conn.readMessage();
    await platform.settle();
    feed(frame(0, 'b'.repeat(100)), frame(1, 'c'.repeat(200)));
    expect((await message).text()).toHaveLength(200);
    expect(sent()).toEqual([]);
    feed(frame(1, 'd'.repeat(200)));
    await platform.settle();
    expect(sent()).toEqual(['close 1013 more than 1000 bytes in 1000 ms']);
  });

  it('answers a close frame at once while a read waits for a token', async () => {
    const { conn, platform, feed, frame, output } = limited({ messages: 1, per: 60_000 });
    void conn.receive(() => {});
    await platform.settle();
    feed(frame(1, 'a'));
    feed(frame(8, formatCloseMessage(1000)));
    expect(await output()).toEqual(['close 1000']);
  });

  it('refuses a burst that lets nothing pass', () => {
    expect(() => checkRate({ messages: 100, bytes: 50, burst: 1 })).toThrow('rate.burst');
  });

  it('replaces a rate, and judges what waits by the new one', async () => {
    const { conn, platform, frame, deliver } = limited({ messages: 1, per: 60_000 });
    const got: string[] = [];
    void conn.receive((message) => void got.push(message.text()));
    await deliver(...numbers(5).map((text) => frame(1, text)));
    expect(got).toHaveLength(1);
    limitRate(conn, checkRate({ messages: 3, per: 100 }));
    await platform.settle();
    expect(got).toHaveLength(4);
    await platform.advance(100);
    expect(got).toEqual(numbers(5));
  });

  it('refills up to the burst, and never above it', async () => {
    const { conn, platform, frame, deliver } = limited({ messages: 2, per: 100, burst: 4 });
    let got = 0;
    void conn.receive(() => void got++);
    await platform.advance(60_000);
    await deliver(...numbers(20).map((text) => frame(1, text)));
    expect(got).toBe(4);
  });

  it('closes above what arrives, not above what a handler takes at once', async () => {
    const { conn, platform, feed, frame } = limited({ messages: 3, over: 'close' });
    let free = (): void => {};
    let got = 0;
    void conn.receive(() => {
      got++;
      return got > 1 ? undefined : new Promise<void>((resolve) => (free = resolve));
    });
    for (let i = 0; i < 9; i++) {
      feed(frame(1, 'x'));
      await platform.advance(500);
    }
    free();
    await platform.settle();
    expect([got, conn.state]).toEqual([9, 'open']);
  });

  it('counts while messages are discarded', async () => {
    const { conn, frame, deliver } = limited({ messages: 2, over: 'close' });
    void conn.discardReads().catch(() => {});
    await deliver(...numbers(3).map(() => frame(1, 'ping')));
    expect(conn.state).not.toBe('open');
  });

  it('handles a close frame behind held messages in order', async () => {
    const { conn, platform, frame, sent, deliver } = limited({ messages: 10 });
    const got: string[] = [];
    void conn.receive((message) => void got.push(message.text()));
    await deliver(...numbers(15).map((text) => frame(1, text)), frame(8, Uint8Array.of(3, 0xe8)));
    expect(got).toHaveLength(10);
    await platform.advance(700);
    expect(got).toEqual(numbers(15));
    expect(sent()).toEqual(['close 1000']);
  });

  it.each(['our close', "the peer's close"])(
    'loses nothing for discardReads, after %s',
    async (how) => {
      const { conn, platform, frame, feed, transport } = limited({ messages: 1, per: 60_000 });
      const end = conn.discardReads();
      await platform.settle();
      feed(frame(1, 'one'), frame(1, 'two'), frame(1, 'three'));
      if (how === 'our close') void conn.close();
      await platform.settle();
      feed(frame(8, Buffer.from([3, 232])));
      await platform.advance(60_000);
      transport.feedEnd();
      await platform.advance(1_000);
      await expect(end).resolves.toMatchObject({ code: 1000 });
      expect(conn.stats.messagesDropped).toBe(2);
    },
  );

  it('drops what is held when the transport has closed, and keeps no timer', async () => {
    const { conn, platform, transport, frame, deliver } = limited({ messages: 1, per: 60_000 });
    const ended = conn.receive(() => {}).catch((error: unknown) => error);
    await deliver(...numbers(9).map((text) => frame(1, text)));
    expect(platform.timers).toBe(1);
    transport.break();
    await ended;
    await platform.settle();
    expect(platform.timers).toBe(0);
    expect(conn.stats.messagesDropped).toBe(8);
  });

  it('lets our own close pass held messages within closeTimeout', async () => {
    const { conn, platform, transport, feed, frame, deliver } = limited({
      messages: 1,
      per: 60_000,
    });
    void conn.receive(() => {}).catch(() => {});
    await deliver(...numbers(9).map((text) => frame(1, text)));
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
    const { conn, platform, feed, frame } = limited(
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
  });

  it.each([
    [5, 'rate: expected { messages, bytes, per, burst, over }, got number; write { messages: 5 }'],
    [{}, 'rate: expected messages, bytes or both'],
    [{ messages: 0 }, 'rate.messages: expected a whole number of 1 or more, got 0'],
    [{ bytes: 1, burst: 0.5 }, 'rate.burst: expected a whole number of 1 or more, got 0.5'],
    [{ messages: 1, per: 0 }, 'rate.per: expected a whole number of 1 or more, got 0'],
    [{ messages: 1, over: 'drop' }, "rate.over: expected 'wait' or 'close', got \"drop\""],
    [{ messages: 1, window: 5 }, 'rate: unknown option window'],
  ])('rejects %j', (value, message) => {
    expect(() => checkRate(value)).toThrow(message);
  });
});
