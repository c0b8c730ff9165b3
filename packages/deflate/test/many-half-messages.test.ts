// Many compressed messages that are not complete, or that are unread. Inflaters are bounded.

import { Conn } from '@ws/conn';
import {
  identityPlatform,
  inflatingPlatform,
  NO_TAKEOVER,
  naiveDecode,
  naiveEncode,
  RepeatingInflater,
  TestTransport,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';

const MASK = { mask: 0x01020304 };
const RSV1 = 0x40;

function connected(platform = identityPlatform()) {
  const transport = new TestTransport();
  const conn = new Conn(transport, {
    role: 'server',
    heartbeat: false,
    platform,
    compression: true,
    deflate: NO_TAKEOVER,
  });
  const feed = (opcode: number, payload: string, options: object = {}): void => {
    transport.feed(naiveEncode(opcode, Buffer.from(payload), { ...MASK, ...options }));
  };
  /** Payloads of the pongs sent so far. */
  const pongs = (): string[] =>
    naiveDecode(transport.sent, 'client')
      .frames.filter(({ opcode }) => opcode === 10)
      .map(({ payload }) => Buffer.from(payload).toString());
  return { conn, transport, platform, feed, pongs };
}

/** Connections that have received half of a compressed message each. */
async function half(platform: ReturnType<typeof identityPlatform>, count: number) {
  const all = Array.from({ length: count }, () => connected(platform));
  for (const { conn } of all) conn.receive(() => {}).catch(() => {});
  await platform.settle();
  for (const { feed } of all) feed(2, 'half', { fin: false, rsv: RSV1 });
  await platform.settle();
  return all;
}

describe('compressed messages that half have arrived on 300 connections', () => {
  it('leave the pongs of another connection whose handler is at work', async () => {
    const platform = identityPlatform();
    const others = await half(platform, 300);
    const { conn, feed, pongs, transport } = connected(platform);
    const got: string[] = [];
    let finish = (): void => {};
    const working = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const reading = conn.receive(async (message) => {
      got.push(message.text());
      await working;
    });
    await platform.settle();
    feed(1, 'first');
    feed(2, 'com', { fin: false, rsv: RSV1 });
    await platform.settle();
    feed(9, 'within');
    await platform.settle();
    expect(pongs()).toEqual(['within']);
    feed(0, 'pressed');
    feed(9, 'behind');
    await platform.settle();
    expect(pongs()).toEqual(['within', 'behind']);
    finish();
    await platform.settle();
    expect(got).toEqual(['first', 'compressed']);
    for (const one of [...others, { transport }]) one.transport.break();
    await expect(reading).rejects.toThrow('1006');
  });

  it('are delivered when they are complete', async () => {
    const platform = identityPlatform();
    const all = Array.from({ length: 300 }, () => connected(platform));
    const got: string[] = [];
    for (const { conn } of all) {
      conn.receive((message) => void got.push(message.text())).catch(() => {});
    }
    await platform.settle();
    for (const text of ['one ', 'two ']) {
      for (const { feed } of all)
        feed(text === 'one ' ? 1 : 0, text, {
          fin: false,
          rsv: text === 'one ' ? RSV1 : 0,
        });
      await platform.settle();
    }
    expect(got).toEqual([]);
    for (const { feed } of all) feed(0, 'three');
    await platform.settle();
    expect(got).toEqual(all.map(() => 'one two three'));
    for (const { transport } of all) transport.break();
  });
});

describe('unread large compressed messages on 300 connections', () => {
  it('hold at most 256 inflaters, and the others continue by themselves', async () => {
    const inflaters = { open: 0, most: 0 };
    const platform = inflatingPlatform(() => {
      inflaters.most = Math.max(inflaters.most, ++inflaters.open);
      return Object.assign(new RepeatingInflater(1), { close: () => void inflaters.open-- });
    });
    const all = Array.from({ length: 300 }, () => connected(platform));
    await platform.settle();
    for (const { feed } of all) {
      feed(2, 'x'.repeat(100_000), { rsv: RSV1 });
      feed(9, 'behind');
    }
    await platform.settle();
    expect(inflaters.most).toBe(256);
    const last = all.at(-1)!;
    expect(last.pongs()).toEqual([]);
    // A read is served without a free inflater, by one more.
    expect((await last.conn.readMessage()).data.length).toBe(100_000);
    expect(inflaters.most).toBe(257);
    // A small message that waits for an inflater, and a ping behind it.
    const small = connected(platform);
    await platform.settle();
    small.feed(2, 'small', { rsv: RSV1 });
    small.feed(9, 'small');
    await platform.settle();
    expect(small.pongs()).toEqual([]);
    // Reads of the first connections free their inflaters.
    for (const { conn } of all.slice(0, 45)) await conn.readMessage();
    await platform.settle();
    expect(small.pongs()).toEqual(['small']);
    expect((await small.conn.readMessage()).text()).toBe('small');
    for (const { transport } of [...all, small]) transport.break();
  });
});
