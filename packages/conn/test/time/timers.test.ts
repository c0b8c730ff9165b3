import { FakeHost } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import { type Alarm, Timers, timersOf } from '../src/timers.ts';

function alarm(ring: () => void): Alarm {
  return { tick: undefined, ring };
}

describe('Timers', () => {
  it('ring never early, short times to the millisecond', async () => {
    const host = new FakeHost();
    const timers = new Timers(host);
    const rung: [number, number][] = [];
    for (const ms of [1, 5, 999, 1_000, 1_001, 20_000]) {
      timers.set(
        alarm(() => rung.push([ms, host.now()])),
        ms,
      );
    }
    await host.advance(30_000);
    expect(rung.map(([ms]) => ms)).toEqual([1, 5, 999, 1_000, 1_001, 20_000]);
    for (const [ms, at] of rung) {
      expect(at).toBeGreaterThanOrEqual(ms);
      expect(at - ms).toBeLessThanOrEqual(ms < 1_000 ? 1 : 65);
    }
    expect(host.timers).toBe(0);
  });

  it('ask the platform for no more than it takes', async () => {
    const host = new FakeHost();
    const asked: number[] = [];
    host.now = () => 1.5;
    host.setTimer = (ms) => {
      asked.push(ms);
      return () => {};
    };
    const timers = new Timers(host);
    timers.set(
      alarm(() => {}),
      2 ** 31 - 1,
    );
    // Node would run a longer one at once, and again, until its time has come.
    expect(asked).toEqual([2 ** 31 - 1]);
  });

  it('share one timer of the platform', () => {
    const host = new FakeHost();
    const timers = new Timers(host);
    for (let i = 0; i < 10_000; i++)
      timers.set(
        alarm(() => {}),
        20_000 + i,
      );
    expect(host.timers).toBe(1);
  });

  it('forget what is cleared', async () => {
    const host = new FakeHost();
    const timers = new Timers(host);
    let rung = 0;
    const alarms = Array.from({ length: 10 }, () => alarm(() => rung++));
    for (const one of alarms) timers.set(one, 2_000);
    for (const one of alarms) timers.clear(one);
    for (const one of alarms) timers.clear(one);
    expect(host.timers).toBe(0);
    await host.advance(5_000);
    expect(rung).toBe(0);
  });

  it('let a ring set, move and clear others', async () => {
    const host = new FakeHost();
    const timers = new Timers(host);
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
    await host.advance(100);
    expect(order).toEqual(['first']);
    await host.advance(50);
    expect(order).toEqual(['first', 'again', 'third']);
  });

  it('ring the others when one throws, of its tick and of later ones, each once', async () => {
    const host = new FakeHost();
    const timers = new Timers(host);
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
    const now = host.now.bind(host);
    host.now = () => now() + 10;
    await expect(host.advance(100)).rejects.toThrow('a bug');
    expect(rung).toEqual(['bad']);
    await host.advance(1);
    expect(rung).toEqual(['bad', 'same tick', 'due as well']);
    await host.advance(5_000);
    expect(rung).toEqual(['bad', 'same tick', 'due as well', 'later']);
    expect([bad.tick, host.timers]).toEqual([undefined, 0]);
  });

  it('ring one that sets itself anew at once in the next wake', async () => {
    const host = new FakeHost();
    const timers = new Timers(host);
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
    await host.advance(100);
    expect(rung).toEqual(['again', 'other']);
    await host.advance(1);
    expect(rung).toEqual(['again', 'other', 'again']);
  });

  it('take an earlier one before a later one', async () => {
    const host = new FakeHost();
    const timers = new Timers(host);
    const order: number[] = [];
    timers.set(
      alarm(() => order.push(2)),
      500,
    );
    timers.set(
      alarm(() => order.push(1)),
      100,
    );
    await host.advance(100);
    expect(order).toEqual([1]);
    await host.advance(400);
    expect(order).toEqual([1, 2]);
  });

  it('are one for each host', () => {
    const host = new FakeHost();
    expect(timersOf(host)).toBe(timersOf(host));
    expect(timersOf(host)).not.toBe(timersOf(new FakeHost()));
  });

  it('keep the earliest when a later one is set or taken back', async () => {
    const host = new FakeHost();
    const timers = new Timers(host);
    const rung: string[] = [];
    const late = alarm(() => rung.push('late'));
    timers.set(
      alarm(() => rung.push(`early at ${host.now()}`)),
      100,
    );
    timers.set(late, 500);
    timers.clear(late);
    expect(host.timers).toBe(1);
    await host.advance(1_000);
    expect(rung).toEqual(['early at 100']);
    expect(host.timers).toBe(0);
  });

  it('of one tick ring on when one of them is taken back', async () => {
    const host = new FakeHost();
    const timers = new Timers(host);
    const rung: string[] = [];
    const second = alarm(() => rung.push('second'));
    timers.set(
      alarm(() => rung.push('first')),
      100,
    );
    timers.set(second, 100);
    timers.clear(second);
    await host.advance(100);
    expect(rung).toEqual(['first']);
  });

  it('move an alarm that is set again', async () => {
    const host = new FakeHost();
    const timers = new Timers(host);
    const rung: number[] = [];
    const moved = alarm(() => rung.push(host.now()));
    timers.set(moved, 100);
    timers.set(moved, 300);
    timers.set(moved, 200);
    await host.advance(1_000);
    expect(rung).toEqual([200]);
    expect(moved.tick).toBeUndefined();
  });

  it('ring in the order of their times, also when the platform was late', async () => {
    const host = new FakeHost();
    const timers = new Timers(host);
    const rung: number[] = [];
    let wake = (): void => {};
    host.setTimer = (_ms, callback) => {
      wake = callback;
      return () => {};
    };
    for (const ms of [30, 10, 50, 20]) {
      timers.set(
        alarm(() => rung.push(ms)),
        ms,
      );
    }
    await host.advance(40);
    wake();
    expect(rung).toEqual([10, 20, 30]);
    await host.advance(10);
    wake();
    expect(rung).toEqual([10, 20, 30, 50]);
  });

  it('set the platform’s timer anew only when the earliest has changed', async () => {
    const host = new FakeHost();
    const asked: number[] = [];
    let cancelled = 0;
    host.setTimer = (ms) => {
      asked.push(ms);
      return () => cancelled++;
    };
    const timers = new Timers(host);
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

  it('ring together when they are long and near each other', async () => {
    const host = new FakeHost();
    const timers = new Timers(host);
    const rung: number[] = [];
    for (const ms of [999, 1_000, 1_020]) {
      timers.set(
        alarm(() => rung.push(host.now())),
        ms,
      );
    }
    await host.advance(2_000);
    expect(rung).toEqual([999, 1_024, 1_024]);
  });

  it('look for the next one only when the platform’s timer rings', async () => {
    const host = new FakeHost();
    const setTimer = host.setTimer.bind(host);
    let asked = 0;
    host.setTimer = (ms, callback) => {
      asked++;
      return setTimer(ms, callback);
    };
    const timers = new Timers(host);
    const rung: number[] = [];
    const first = alarm(() => rung.push(30));
    timers.set(first, 30);
    timers.set(
      alarm(() => rung.push(50)),
      50,
    );
    timers.clear(first);
    expect(asked).toBe(1);
    await host.advance(100);
    expect([asked, rung]).toEqual([2, [50]]);
  });
});
