import { nodePlatform } from '@ws/node-io';
import { FakePlatform } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { schedulerOf } from '../../src/scheduler/scheduler.ts';
import type { TimerEntry } from '../../src/scheduler/timers.ts';

function alarm(fire: () => void): TimerEntry {
  return { slot: undefined, fire };
}

describe('Timers', () => {
  const step = fc.record({
    does: fc.constantFrom('set', 'set', 'clear', 'advance'),
    entry: fc.nat(7),
    ms: fc.oneof(fc.nat(100), fc.nat(30_000)),
  });

  it('fire each entry once after its last time, short ones to the millisecond', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const platform = new FakePlatform();
        const { timers } = schedulerOf(platform);
        const due = new Map<number, { readonly at: number; readonly patience: number }>();
        const faults: string[] = [];
        const entries = Array.from({ length: 8 }, (_, i) =>
          alarm(() => {
            const wanted = due.get(i);
            const late = platform.now() - (wanted?.at ?? Infinity);
            if (wanted === undefined || late < 0 || late > wanted.patience) {
              faults.push(`entry ${i} fires ${late} ms late`);
            }
            due.delete(i);
          }),
        );
        for (const { does, entry, ms } of steps) {
          if (does === 'advance') await platform.advance(ms);
          else if (does === 'clear') {
            timers.clear(entries[entry]!);
            due.delete(entry);
          } else {
            timers.set(entries[entry]!, ms);
            due.set(entry, { at: platform.now() + ms, patience: ms < 1_000 ? 1 : 65 });
          }
        }
        await platform.advance(40_000);
        expect([faults, due.size, platform.timers]).toEqual([[], 0, 0]);
      }),
      { numRuns: 200 },
    );
  });

  it('ring for all times that a fake clock passes at once', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const { timers } = schedulerOf(nodePlatform);
    const rung: number[] = [];
    for (const ms of [100, 200]) {
      timers.set(
        alarm(() => rung.push(ms)),
        ms,
      );
    }
    vi.advanceTimersByTime(300);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(rung).toEqual([100, 200]);
  });

  it('request no longer delay than the platform accepts', async () => {
    const platform = new FakePlatform();
    const asked: number[] = [];
    platform.now = () => 1.5;
    platform.setTimer = (ms) => {
      asked.push(ms);
      return () => {};
    };
    const timers = schedulerOf(platform).timers;
    timers.set(
      alarm(() => {}),
      2 ** 31 - 1,
    );
    // Node would run a longer one at once, and again, until its time has come.
    expect(asked).toEqual([2 ** 31 - 1]);
  });

  it('share one timer of the platform', () => {
    const platform = new FakePlatform();
    const timers = schedulerOf(platform).timers;
    for (let i = 0; i < 10_000; i++)
      timers.set(
        alarm(() => {}),
        20_000 + i,
      );
    expect(platform.timers).toBe(1);
  });

  it('can set, move and clear others when they fire', async () => {
    const platform = new FakePlatform();
    const timers = schedulerOf(platform).timers;
    const order: string[] = [];
    const second = alarm(() => order.push('second'));
    const third = alarm(() => order.push('third'));
    const first = alarm(() => {
      order.push('first');
      timers.clear(second);
      timers.set(third, 10);
      timers.set(first2, 5);
    });
    const first2 = alarm(() => order.push('again'));
    timers.set(first, 100);
    timers.set(second, 100);
    timers.set(third, 100);
    await platform.advance(100);
    expect(order).toEqual(['first']);
    await platform.advance(50);
    expect(order).toEqual(['first', 'again', 'third']);
  });

  it('fire the others when one throws, of its slot and of later ones, each once', async () => {
    const platform = new FakePlatform({ automatic: false });
    const timers = schedulerOf(platform).timers;
    const rung: string[] = [];
    const bad = alarm(() => {
      rung.push('bad');
      throw new Error('a bug');
    });
    timers.set(bad, 100);
    for (const [name, ms] of [
      ['same tick', 100],
      ['due as well', 101],
      ['later', 5_000],
    ] as const) {
      timers.set(
        alarm(() => rung.push(name)),
        ms,
      );
    }
    // All of the first three are due when the platform gets to it.
    const now = platform.now.bind(platform);
    platform.now = () => now() + 5;
    await expect(platform.advance(100)).rejects.toThrow('a bug');
    expect(rung).toEqual(['bad']);
    await platform.advance(1);
    expect(rung).toEqual(['bad', 'same tick', 'due as well']);
    await platform.advance(5_000);
    expect(rung).toEqual(['bad', 'same tick', 'due as well', 'later']);
    expect([bad.slot, platform.timers]).toEqual([undefined, 0]);
  });

  it('let a busy process read first, and do not fire if that clears them', async () => {
    const platform = new FakePlatform();
    const timers = schedulerOf(platform).timers;
    const rung: string[] = [];
    const answered = alarm(() => rung.push('answered'));
    timers.set(answered, 100);
    timers.set(
      alarm(() => rung.push('unanswered')),
      100,
    );
    // The process was busy for another second.
    const now = platform.now.bind(platform);
    platform.now = () => now() + 1_000;
    const later = platform.yield.bind(platform);
    platform.yield = (callback) => {
      later(() => {
        timers.clear(answered);
        callback();
      });
    };
    await platform.advance(100);
    await platform.settle();
    expect(rung).toEqual(['unanswered']);
    expect(platform.timers).toBe(0);
  });

  it('fire at their times when a test sets the clock back within a wake-up', async () => {
    const platform = new FakePlatform({ automatic: false, now: 300_000 });
    const timers = schedulerOf(platform).timers;
    const rung: string[] = [];
    timers.set(
      alarm(() => rung.push('of the earlier clock')),
      10,
    );
    const yields: (() => void)[] = [];
    platform.yield = (callback) => void yields.push(callback);
    await platform.advance(10);
    expect(yields).toHaveLength(1);
    let now = 0;
    platform.now = () => now;
    timers.set(
      alarm(() => rung.push('of the new clock')),
      5_000,
    );
    yields.shift()!();
    expect(rung).toEqual([]);
    now = 5_056;
    await platform.advance(5_056);
    yields.shift()!();
    expect(rung).toEqual(['of the new clock']);
  });

  it('fire in the next wake-up when they are reset with no delay', async () => {
    const platform = new FakePlatform();
    const timers = schedulerOf(platform).timers;
    const rung: string[] = [];
    const again = alarm(() => {
      rung.push('again');
      if (rung.length < 3) timers.set(again, 0);
    });
    timers.set(again, 100);
    timers.set(
      alarm(() => rung.push('other')),
      100,
    );
    await platform.advance(100);
    expect(rung).toEqual(['again', 'other']);
    await platform.advance(1);
    expect(rung).toEqual(['again', 'other', 'again']);
  });

  it('reset the platform’s timer only when the earliest entry has changed', async () => {
    const platform = new FakePlatform();
    const asked: number[] = [];
    let cancelled = 0;
    platform.setTimer = (ms) => {
      asked.push(ms);
      return () => cancelled++;
    };
    const timers = schedulerOf(platform).timers;
    const alarms = [50, 70, 30].map((ms) => {
      const one = alarm(() => {});
      timers.set(one, ms);
      return one;
    });
    expect([asked, cancelled]).toEqual([[50, 30], 1]);
    timers.set(alarms[1]!, 30.5);
    expect(asked).toHaveLength(2);
    for (const one of alarms) timers.clear(one);
    expect([asked.length, cancelled]).toEqual([2, 2]);
    timers.set(alarms[0]!, 0);
    expect(asked.at(-1)).toBe(1);
  });

  it('fire together when they are long and close to each other', async () => {
    const platform = new FakePlatform();
    const timers = schedulerOf(platform).timers;
    const rung: number[] = [];
    for (const ms of [999, 1_000, 1_020]) {
      timers.set(
        alarm(() => rung.push(platform.now())),
        ms,
      );
    }
    await platform.advance(2_000);
    expect(rung).toEqual([999, 1_024, 1_024]);
  });

  it('keep the process alive while an entry does that is set', async () => {
    const platform = new FakePlatform();
    const kept: boolean[] = [];
    const setTimer = platform.setTimer.bind(platform);
    platform.setTimer = (ms, callback, keepAlive = false) => {
      kept.push(keepAlive);
      return setTimer(ms, callback);
    };
    const timers = schedulerOf(platform).timers;
    const short = alarm(() => {});
    const [one, other] = [alarm(() => {}), alarm(() => {})];
    timers.set(short, 10);
    timers.set(one, 20, true);
    timers.set(other, 30, true);
    expect(kept).toEqual([false, true]);
    timers.clear(one);
    expect(kept).toEqual([false, true]);
    await platform.advance(15);
    expect(kept).toEqual([false, true, true]);
    timers.set(short, 40);
    timers.clear(other);
    expect(kept).toEqual([false, true, true]);
    await platform.settle();
    expect(kept).toEqual([false, true, true, false]);
    expect(platform.timers).toBe(1);
  });

  it('use the timer that keeps the process alive for the next such entry of the turn', async () => {
    const platform = new FakePlatform();
    const kept: boolean[] = [];
    platform.setTimer = (_ms, _callback, keepAlive = false) => {
      kept.push(keepAlive);
      return () => {};
    };
    const timers = schedulerOf(platform).timers;
    timers.set(
      alarm(() => {}),
      10,
    );
    for (let i = 0; i < 100; i++) {
      const one = alarm(() => {});
      timers.set(one, 20, true);
      if (i % 10 === 0) await platform.settle();
      timers.clear(one);
    }
    expect(kept).toEqual([false, true]);
    await platform.settle();
    expect(kept).toEqual([false, true, false]);
  });

  it('do not keep the process alive after an entry was moved without it', async () => {
    const platform = new FakePlatform();
    const kept: boolean[] = [];
    platform.setTimer = (_ms, _callback, keepAlive = false) => {
      kept.push(keepAlive);
      return () => {};
    };
    const timers = schedulerOf(platform).timers;
    const one = alarm(() => {});
    timers.set(one, 20, true);
    timers.set(one, 20);
    await platform.settle();
    expect(kept).toEqual([true, false]);
  });
});
