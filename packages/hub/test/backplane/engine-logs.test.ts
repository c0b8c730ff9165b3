import { describe, expect, it } from 'vitest';
import { EngineLogs } from '../../src/backplane/engine-logs.ts';

const KEEP = { size: 10, ttl: 1_000 };
const bytes = (length: number): Uint8Array => new Uint8Array(length);

function logs(maxAnswer?: number) {
  const clock = { now: 0 };
  return { clock, logs: new EngineLogs(() => clock.now, maxAnswer) };
}

const offsets = ({ messages }: ReturnType<EngineLogs['read']>): number[] =>
  messages.map(({ offset }) => offset);

describe('EngineLogs', () => {
  it('reads the messages after a position, or the last ones', () => {
    const { logs: all } = logs();
    const positions = Array.from({ length: 5 }, () => all.add('a', bytes(1), KEEP));
    expect(positions.map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5]);
    const since = positions[1];
    const read = all.read('a', since, 2);
    expect(offsets(read)).toEqual([3, 4]);
    expect(read).toMatchObject({ follows: true, complete: false, more: false, last: 5 });
    expect(all.read('a', since, 9)).toMatchObject({ follows: true, complete: true });
    expect(offsets(all.read('a', undefined, 2))).toEqual([4, 5]);
    expect(all.read('a', undefined, 9)).toMatchObject({ complete: true });
    expect(all.read('a', undefined, 2)).toMatchObject({ complete: false });
  });

  it('is not complete for a position of another epoch, or ahead of the room', () => {
    const { logs: all } = logs();
    const { epoch } = all.add('a', bytes(1), KEEP);
    const other = all.read('a', { epoch: 'other', offset: 1 }, 9);
    expect(offsets(other)).toEqual([1]);
    expect(other).toMatchObject({ complete: false, follows: false, epoch });
    expect(all.read('a', { epoch, offset: 7 }, 9)).toMatchObject({
      messages: [],
      complete: false,
      follows: false,
    });
  });

  it('has an answer of the largest size, with at least one message', () => {
    const { logs: all } = logs(100);
    const { epoch } = all.add('a', bytes(200), KEEP);
    for (let i = 0; i < 3; i++) all.add('a', bytes(40), KEEP);
    const part = (offset: number) => all.read('a', { epoch, offset }, 9);
    expect(offsets(part(0))).toEqual([1]);
    expect(part(0)).toMatchObject({ more: true, complete: false, follows: true });
    expect(offsets(part(1))).toEqual([2, 3]);
    expect(part(1)).toMatchObject({ more: true });
    expect(part(3)).toMatchObject({ more: false, complete: true });
    // The last three in two parts.
    expect(offsets(all.read('a', undefined, 3))).toEqual([2, 3]);
    expect(all.read('a', undefined, 3)).toMatchObject({ more: true });
    expect(all.read('a', { epoch, offset: 0 }, 1)).toMatchObject({ more: false });
  });

  it('keeps at most `size` messages and `bytes` bytes, and always the last one', () => {
    const { logs: all } = logs();
    for (let i = 0; i < 30; i++) all.add('a', bytes(1), KEEP);
    expect(offsets(all.read('a', undefined, 99))).toEqual([21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
    for (let i = 0; i < 30; i++) all.add('b', bytes(30), { ...KEEP, bytes: 100 });
    expect(offsets(all.read('b', undefined, 99))).toEqual([28, 29, 30]);
    all.add('b', bytes(500), { ...KEEP, bytes: 100 });
    expect(offsets(all.read('b', undefined, 99))).toEqual([31]);
  });

  it('keeps at most `total` bytes, and drops the messages of the quietest channel first', () => {
    const { logs: all } = logs();
    const keep = { ...KEEP, total: 10 * (256 + 100) };
    for (let i = 0; i < 5; i++) all.add('quiet', bytes(100), keep);
    for (let i = 0; i < 8; i++) all.add('busy', bytes(100), keep);
    expect(offsets(all.read('quiet', undefined, 99))).toEqual([4, 5]);
    expect(offsets(all.read('busy', undefined, 99))).toHaveLength(8);
    for (let i = 0; i < 50; i++) all.add(`room ${i}`, bytes(100), keep);
    expect(all.read('busy', undefined, 99)).toMatchObject({ messages: [], last: 8 });
    expect(offsets(all.read('room 49', undefined, 99))).toEqual([1]);
  });

  it('drops the messages after `ttl`, and the epoch later', () => {
    const { logs: all, clock } = logs();
    const { epoch } = all.add('a', bytes(1), KEEP);
    clock.now = 999;
    expect(offsets(all.read('a', undefined, 9, KEEP))).toEqual([1]);
    clock.now = 1_000;
    const read = all.read('a', { epoch, offset: 1 }, 9, KEEP);
    expect(read).toMatchObject({ messages: [], epoch, complete: true, last: 1 });
    clock.now = 1_000 + 2 * (1_000 + 5_000);
    expect(all.read('a', undefined, 9, KEEP).epoch).not.toBe(epoch);
  });

  it('forgets the channels that have expired', () => {
    const { logs: all, clock } = logs();
    const first = all.read('a', undefined, 1, KEEP).epoch;
    for (let i = 0; i < 1_000; i++) all.read(`${i}`, undefined, 1, KEEP);
    clock.now = 20_000;
    expect(all.read('b', undefined, 1, KEEP).epoch).not.toBe(first);
    expect(all.size).toBe(1);
  });

  describe('B1 a bound of the number', () => {
    const MOST = 100_000;
    /** More than one time all places are given away. */
    const MORE = MOST + 20_000;

    it('keeps at most 100,000 logs, however many channels come and go', () => {
      const { logs: all } = logs();
      for (let i = 0; i < MOST; i++) all.read(`${i}`, undefined, 1, KEEP);
      expect(all.size).toBe(MOST);
      let most = 0;
      for (let i = 0; i < MOST / 2; i++) {
        all.read(`r${i}`, undefined, 1, KEEP);
        all.add(`a${i}`, bytes(1), KEEP);
        most = Math.max(most, all.size);
      }
      expect(most).toBeLessThanOrEqual(MOST);
      expect(all.size).toBeGreaterThan(MOST - 1_000);
    });

    it('drops channels that never had a message first, then one whose messages are gone, then quiet ones', () => {
      const { logs: all, clock } = logs();
      const long = { size: 10, ttl: 1e9 };
      const gone = all.add('gone', bytes(1), { ...KEEP, ttl: 1 });
      const quiet = all.add('quiet', bytes(1), long);
      const busy = all.add('busy', bytes(1), long);
      const isKept = (channel: string, since: typeof busy): boolean =>
        all.read(channel, since, 9, long).epoch === since.epoch;
      clock.now = 1;
      // Its messages have expired, its epoch has not.
      expect(all.read('gone', gone, 9, long)).toMatchObject({ complete: true, messages: [] });
      for (let i = 0; i < MORE; i++) all.read(`${i}`, undefined, 1, long);
      expect(isKept('gone', gone)).toBe(true);
      // These take the places of the channels without a message.
      let added = 0;
      while (all.size < MOST || added < MOST - 3) all.add(`a${added++}`, bytes(1), long);
      all.add('busy', bytes(1), long);
      expect([isKept('gone', gone), isKept('quiet', quiet)]).toEqual([true, true]);
      all.add('takes the place of `gone`', bytes(1), long);
      expect([isKept('quiet', quiet), all.size]).toEqual([true, MOST]);
      all.add('takes the place of `quiet`', bytes(1), long);
      expect(all.read('busy', busy, 9, long)).toMatchObject({ epoch: busy.epoch, complete: true });
      const again = all.read('quiet', quiet, 9, long);
      expect(again).toMatchObject({ messages: [], complete: false, follows: false });
      expect(again.epoch).not.toBe(quiet.epoch);
    });

    it('keeps the channel that was read last', () => {
      const { logs: all } = logs();
      const { epoch } = all.read('read again', undefined, 1, KEEP);
      for (let i = 0; i < MORE; i++) {
        all.read(`${i}`, undefined, 1, KEEP);
        if (i % 1_000 === 0) all.read('read again', undefined, 1, KEEP);
      }
      expect(all.read('read again', undefined, 1, KEEP).epoch).toBe(epoch);
    });

    it('counts no bytes of a channel that it has dropped', () => {
      const { logs: all } = logs();
      const keep = { ...KEEP, total: MOST * (256 + 1) };
      for (let i = 0; i < MOST + 50; i++) all.add(`${i}`, bytes(1), keep);
      expect(offsets(all.read('100', undefined, 1, KEEP))).toEqual([1]);
    });
  });
});
