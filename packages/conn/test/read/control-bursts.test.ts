// Many control frames at once, on connections with and without a reader.
import { describe, expect, it } from 'vitest';
import type { Conn } from '../../src/index.ts';
import { wired } from '../wired.ts';

const NORMAL = Uint8Array.of(0x03, 0xe8);
const CHUNK = 65_536;

const READS: Readonly<Record<string, (conn: Conn) => unknown>> = {
  'no read': () => {},
  receive: (conn) => conn.receive(() => {}),
  'a handler that never finishes': (conn) => conn.receive(() => new Promise(() => {})),
  'a loop': async (conn) => {
    for await (const message of conn) void message;
  },
  'a read that has ended': (conn) => conn.readMessage(),
};

describe.each([
  { kind: 'pings', opcode: 9, answers: 1 },
  { kind: 'pongs', opcode: 10, answers: 0 },
])('a burst of $kind', ({ opcode, answers }) => {
  const cases = Object.keys(READS).flatMap((read) =>
    [900, 5_000, 20_000, 60_000].map((count) => ({ read, count })),
  );

  it.each(cases)('of $count is handled to its end with $read', async ({ read, count }) => {
    const { conn, platform, transport, feed, frame, deliver } = wired('server');
    void (READS[read]!(conn) as Promise<unknown> | undefined)?.catch(() => {});
    await deliver(frame(1, 'first'));
    const one = frame(opcode, 'x');
    const burst = Buffer.alloc(count * one.length, one);
    for (let at = 0; at < burst.length; at += CHUNK) {
      transport.feed(burst.subarray(at, at + CHUNK));
    }
    await platform.settle();
    expect(transport.paused).toBe(false);
    expect(transport.sent.length).toBe(count * 3 * answers);
    // The close frame and the FIN behind the burst are seen.
    feed(frame(8, NORMAL));
    transport.feedEnd();
    await platform.advance(5_000);
    expect(await conn.closed).toMatchObject({ code: 1000 });
  });
});

describe('pings after unread messages', () => {
  it('are answered while the messages have room', async () => {
    const { conn, platform, transport, frame, sent, deliver } = wired('server');
    await platform.settle();
    await deliver(
      frame(1, 'x'.repeat(30_000)),
      ...Array.from({ length: 15_000 }, () => frame(9, 'x')),
    );
    expect(sent().length).toBe(15_000);
    expect(transport.paused).toBe(false);
    expect((await conn.readMessage()).data.length).toBe(30_000);
  });

  it('wait while the messages have no room, and are answered after a read', async () => {
    const { conn, platform, transport, feed, frame, sent, output } = wired('server');
    await platform.settle();
    feed(frame(1, 'x'.repeat(100_000)), frame(9, 'x'));
    feed(...Array.from({ length: 12_000 }, () => frame(9, 'x')));
    expect(await output()).toEqual([]);
    expect(transport.paused).toBe(true);
    await conn.readMessage();
    await platform.settle();
    expect(sent().length).toBe(12_001);
    expect(transport.paused).toBe(false);
  });
});
