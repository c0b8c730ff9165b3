import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { lookWithin, turns } from '../src/turns.ts';

describe('turns', () => {
  it('looks without a pause first, then after doubled times, and reads no clock', () => {
    const waits: number[] = [];
    const clock = vi.spyOn(performance, 'now');
    const wait = turns(2, (ms) => waits.push(ms))();
    for (let i = 0; i < 12; i++) wait.next(() => {});
    expect(waits).toEqual([0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 250, 250]);
    expect(clock).not.toHaveBeenCalled();
    clock.mockRestore();
  });

  it('counts the looks of each wait', () => {
    const waits: number[] = [];
    const make = turns(1, (ms) => waits.push(ms));
    for (const wait of [make(), make()]) {
      wait.next(() => {});
      wait.next(() => {});
    }
    expect(waits).toEqual([0, 1, 0, 1]);
  });
});

describe('lookWithin', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('has one timer for all looks of a time', () => {
    const seen: number[] = [];
    for (let i = 0; i < 100; i++) lookWithin(16, () => seen.push(i));
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(16);
    expect(seen).toHaveLength(100);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('starts a new time for a look during a look', () => {
    let looks = 0;
    const again = (): void => {
      if (++looks < 3) lookWithin(4, again);
    };
    lookWithin(4, again);
    vi.advanceTimersByTime(4);
    expect(looks).toBe(1);
    vi.advanceTimersByTime(8);
    expect(looks).toBe(3);
  });
});
