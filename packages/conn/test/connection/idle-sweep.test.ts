import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { broadcast } from '../../src/broadcast.ts';
import { connectionOf } from '../../src/conn.ts';
import {
  ACTIVE,
  idleSweepOf,
  RECEIVER,
  type SweepTarget,
  UNLISTED,
} from '../../src/connection/idle-sweep.ts';
import { wired } from '../wired.ts';

/** In ms. Two periods of the sweep, and a slice of it. */
const SWEPT = 40;

describe('an idle connection', () => {
  it.each([
    { says: 'no read is pending', reads: false },
    { says: 'receive is pending', reads: true },
  ])('drops its sides and works on when $says', async ({ reads }) => {
    const { conn, platform, feed, frame, sent } = wired('server');
    const got: string[] = [];
    if (reads) void conn.receive((message) => void got.push(message.text())).catch(() => {});
    await conn.send('before');
    if (reads) feed(frame(1, 'first'));
    await platform.settle();
    const connection = connectionOf(conn);
    const sides = [connection.readSide, connection.writer];
    await platform.advance(SWEPT);
    expect(platform.timers).toBe(0);
    feed(frame(1, 'second'));
    await conn.send('after');
    await platform.settle();
    expect(sides).not.toContain(connection.readSide);
    expect(sides).not.toContain(connection.writer);
    if (!reads) got.push((await conn.readMessage()).text());
    expect(got).toEqual(reads ? ['first', 'second'] : ['second']);
    expect(sent()).toEqual(['text before', 'text after']);
    conn.terminate();
    expect(platform.timers).toBe(0);
  });

  it('keeps its write side for the next broadcast, and drops it when none comes', async () => {
    const { conn, platform } = wired('server');
    await platform.advance(SWEPT);
    broadcast([conn], 'first');
    await platform.settle();
    const connection = connectionOf(conn);
    const { writer } = connection;
    await platform.advance(10 * SWEPT);
    expect(connection.writer).toBe(writer);
    await platform.advance(40 * SWEPT);
    expect(connection.writer).not.toBe(writer);
    conn.terminate();
    expect(platform.timers).toBe(0);
  });

  it('gives a message to the read that was pending when the sides were dropped', async () => {
    const { conn, platform, feed, frame } = wired('client');
    const read = conn.readMessage();
    await platform.advance(SWEPT);
    feed(frame(1, 'late'));
    expect((await read).text()).toBe('late');
    conn.terminate();
  });

  it('ends a read that was pending when the sides were dropped', async () => {
    const { conn, platform } = wired('client');
    const read = conn.readMessage();
    const received = wired('server');
    const receiving = received.conn.receive(() => {});
    await platform.advance(SWEPT);
    await received.platform.advance(SWEPT);
    conn.terminate();
    received.conn.terminate();
    await expect(read).rejects.toMatchObject({ closeCode: 1006 });
    await expect(receiving).rejects.toMatchObject({ closeCode: 1006 });
  });
});

describe('a connection without a turn', () => {
  it('keeps messages that wait for a read', async () => {
    const { conn, platform, feed, frame } = wired('server');
    feed(frame(1, 'kept'));
    await platform.advance(SWEPT);
    expect(platform.timers).toBe(0);
    expect((await conn.readMessage()).text()).toBe('kept');
    conn.terminate();
  });

  it('keeps a message that is not complete', async () => {
    const { conn, platform, feed, frame } = wired('server');
    const whole = frame(1, 'in two parts');
    feed(whole.subarray(0, 9));
    await platform.advance(SWEPT);
    feed(whole.subarray(9));
    expect((await conn.readMessage()).text()).toBe('in two parts');
    conn.terminate();
  });

  it('keeps an open writer and the writes that wait for it', async () => {
    const { conn, platform, sent, transport } = wired('server');
    const writer = await conn.nextWriter(1);
    await writer.write('one');
    await platform.advance(SWEPT);
    const queued = conn.send('three');
    await platform.advance(SWEPT);
    await writer.close();
    await queued;
    await platform.settle();
    expect(sent().at(-1)).toBe('text three');
    expect(transport.bufferedAmount).toBe(0);
    conn.terminate();
  });

  it('keeps a handler that is at work', async () => {
    const { conn, platform, feed, frame } = wired('server');
    const got: string[] = [];
    let finish = (): void => {};
    const receiving = conn.receive((message) => {
      got.push(message.text());
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    });
    feed(frame(1, 'one'), frame(1, 'two'));
    await platform.advance(SWEPT);
    finish();
    await platform.settle();
    expect(got).toEqual(['one', 'two']);
    conn.terminate();
    finish();
    await expect(receiving).rejects.toMatchObject({ closeCode: 1006 });
  });
});

/** A target that counts its drops. */
class Target implements SweepTarget {
  activity: SweepTarget['activity'] = UNLISTED;
  drops = 0;

  dropIdleParts(): void {
    this.drops++;
  }
}

/** A sweep with `count` listed targets. Visits of more than 256 take several turns. */
function sweepOf(count: number) {
  const platform = new FakePlatform();
  const sweep = idleSweepOf(platform);
  const targets = Array.from({ length: count }, () => new Target());
  for (const target of targets) sweep.add(target, ACTIVE);
  return { platform, sweep, targets };
}

describe('the sweep', () => {
  it('drops the parts of each of many connections once, and clears its timer', async () => {
    const { platform, targets } = sweepOf(1_000);
    await platform.advance(SWEPT);
    expect(targets.map(({ drops }) => drops)).toEqual(targets.map(() => 1));
    expect(platform.timers).toBe(0);
  });

  it('keeps the parts of a connection that is active in every period', async () => {
    const { platform, sweep, targets } = sweepOf(2);
    for (let ms = 0; ms < 10 * SWEPT; ms += 10) {
      await platform.advance(10);
      sweep.add(targets[0]!, ACTIVE);
    }
    expect(targets.map(({ drops }) => drops)).toEqual([0, 1]);
  });

  it('keeps the parts of a receiver through other activity', async () => {
    const { platform, sweep, targets } = sweepOf(1);
    sweep.add(targets[0]!, RECEIVER);
    sweep.add(targets[0]!, ACTIVE);
    await platform.advance(10 * SWEPT);
    expect(targets[0]!.drops).toBe(0);
    await platform.advance(40 * SWEPT);
    expect(targets[0]!.drops).toBe(1);
    expect(platform.timers).toBe(0);
  });

  it('visits no connection that has ended', async () => {
    const { platform, sweep, targets } = sweepOf(3);
    sweep.remove(targets[1]!);
    sweep.remove(targets[1]!);
    await platform.advance(SWEPT);
    expect(targets.map(({ drops }) => drops)).toEqual([1, 0, 1]);
    expect(platform.timers).toBe(0);
  });

  it('clears its timer when the last connection ends', () => {
    const { platform, sweep, targets } = sweepOf(300);
    expect(platform.timers).toBe(1);
    for (const target of targets) sweep.remove(target);
    expect(platform.timers).toBe(0);
  });
});
