import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { Conn } from '../../src/conn.ts';
import { type Wired, wired } from '../wired.ts';

const CLOSE = Uint8Array.of(0x03, 0xe8);
const TURN = 1_000;

/** A connection whose turns the test runs, and that has run its first synchronous part. */
function manual(use: (conn: Conn) => Promise<unknown>): Wired {
  const target = wired('server', {}, 0, new FakePlatform({ automatic: false }));
  use(target.conn).catch(() => {});
  target.platform.runDeferred();
  return target;
}

/** `count` messages of their own number. */
function numbered({ frame }: Wired, count: number): Uint8Array {
  return Buffer.concat(Array.from({ length: count }, (_, i) => frame(1, `${i}`)));
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`);

describe('frames of one turn', () => {
  it('are at most 1,000 over several chunks, and the rest follows in order', async () => {
    const texts: string[] = [];
    const target = manual((conn) => conn.receive((message) => void texts.push(message.text())));
    target.feed(numbered(target, 1_500));
    target.feed(target.frame(1, 'later'), target.frame(9, 'ping'));
    expect(target.conn.stats.framesIn).toBe(TURN);
    target.platform.runDeferred();
    expect(target.conn.stats.framesIn).toBe(TURN);
    expect(target.sent()).toEqual([]);
    target.platform.runYielded();
    expect(texts).toEqual([...numbers(1_500), 'later']);
    await target.platform.settle();
    expect(target.sent()).toEqual(['pong ping']);
  });

  it('are not bounded when they are dropped: the transport is not paused for them', async () => {
    const target = manual((conn) => conn.discardReads());
    target.conn.setReadDeadline(Date.now() - 1);
    await target.platform.advance(100);
    const before = target.conn.stats.framesIn;
    for (let i = 0; i < 10; i++) target.feed(numbered(target, 2_000));
    expect(target.conn.stats.framesIn - before).toBe(20_000);
    expect(target.platform.yielded).toBe(0);
  });

  it('need no later turn when they are fewer', async () => {
    const target = manual((conn) => conn.receive(() => {}));
    for (let i = 0; i < 3; i++) target.feed(numbered(target, TURN - 1));
    expect(target.conn.stats.framesIn).toBe(3 * (TURN - 1));
    expect(target.platform.yielded).toBe(0);
    await target.platform.settle();
  });

  it('count together while a message is incomplete', async () => {
    const target = manual((conn) => conn.receive(() => {}));
    target.feed(target.frame(1, 'x', { fin: false }));
    const fragment = target.frame(0, 'x', { fin: false });
    for (let i = 0; i < 3; i++) target.feed(...Array.from({ length: 600 }, () => fragment));
    expect(target.conn.stats.framesIn).toBe(TURN);
    await target.platform.settle();
    expect(target.conn.stats.framesIn).toBe(1_801);
  });

  it.each<{ way: string; reads: (conn: Conn, texts: string[]) => Promise<unknown> }>([
    {
      way: 'receive',
      reads: (conn, texts) => conn.receive((message) => void texts.push(message.text())),
    },
    {
      way: 'for await',
      reads: async (conn, texts) => {
        for await (const message of conn) texts.push(message.text());
      },
    },
    {
      way: 'nextReader',
      reads: async (conn, texts) => {
        for (;;) texts.push(await (await conn.nextReader()).text());
      },
    },
  ])('come before the close frame or FIN after them ($way)', async ({ reads }) => {
    for (const close of [true, false]) {
      const texts: string[] = [];
      const target = manual((conn) => reads(conn, texts));
      target.feed(numbered(target, 2_500), ...(close ? [target.frame(8, CLOSE)] : []));
      target.transport.feedEnd();
      await target.platform.settle();
      expect(texts).toEqual(numbers(2_500));
      expect(target.sent()).toEqual(close ? ['close 1000'] : []);
      expect(target.transport.ended).toBe(true);
    }
  });

  it('bound a loop of reads too', async () => {
    let read = 0;
    const target = manual(async (conn) => {
      for await (const message of conn) read += message.data.length > 0 ? 1 : 0;
    });
    target.feed(numbered(target, 1_500));
    for (let i = 0; i < 10_000; i++) await Promise.resolve();
    expect([read, target.conn.stats.framesIn]).toEqual([TURN, TURN]);
    await target.platform.settle();
    expect(read).toBe(1_500);
  });

  it.each([TURN - 2, TURN - 1, TURN, TURN + 1])(
    'leave the payload of the frame after %d messages to a loop of reads',
    async (count) => {
      const bye = Buffer.concat([Uint8Array.of(0x0f, 0xa0), Buffer.from('bye')]);
      for (const last of ['ping', 'close']) {
        const target = wired('server');
        let end: unknown;
        const reading = (async () => {
          for await (const _ of target.conn);
        })().catch((error: unknown) => (end = error));
        await target.platform.settle();
        const frame = last === 'ping' ? target.frame(9, 'payload') : target.frame(8, bye);
        target.feed(numbered(target, count), frame);
        await target.platform.settle();
        expect(target.sent()).toEqual([last === 'ping' ? 'pong payload' : 'close 4000']);
        target.conn.terminate();
        await reading;
        if (last === 'close') expect(end).toMatchObject({ closeCode: 4000, reason: 'bye' });
      }
    },
  );

  it('leave the input that comes with the end of the transport to be read', async () => {
    const target = manual(async (conn) => {
      for await (const _ of conn);
    });
    target.feed(numbered(target, TURN));
    for (let i = 0; i < 10_000; i++) await Promise.resolve();
    target.feed(target.frame(1, 'after'), target.frame(8, CLOSE));
    target.transport.sink!.close();
    await target.platform.settle();
    expect(await target.conn.closed).toMatchObject({ code: 1000 });
  });

  it('are all parsed when the transport closes, so that a close frame among them counts', async () => {
    const texts: string[] = [];
    const target = manual((conn) => conn.receive((message) => void texts.push(message.text())));
    target.feed(numbered(target, 2_500), target.frame(8, CLOSE));
    target.transport.break();
    await target.platform.settle();
    expect(texts).toEqual(numbers(2_500));
    expect(await target.conn.closed).toMatchObject({ code: 1000, wasClean: false });
  });

  it('are all parsed at FIN after our close frame, so that the answer to it counts', async () => {
    const target = manual((conn) => conn.receive(() => {}));
    void target.conn.close();
    target.feed(numbered(target, 2_500), target.frame(8, CLOSE));
    target.transport.feedEnd();
    await target.platform.settle();
    target.transport.break();
    expect(await target.conn.closed).toMatchObject({ code: 1000, wasClean: true });
  });
});
