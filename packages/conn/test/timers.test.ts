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
});
