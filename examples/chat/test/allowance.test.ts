import { describe, expect, it } from 'vitest';
import { Allowance } from '../allowance.ts';

describe('Allowance', () => {
  it('allows a burst, then perSecond actions a second, and saves at most a burst', () => {
    const allowance = new Allowance(3, 2, 0);
    const take = (now: number): boolean => allowance.take(now);
    expect([0, 0, 0, 0].map(take)).toEqual([true, true, true, false]);
    expect([400, 500, 500, 1_000].map(take)).toEqual([false, true, false, true]);
    expect([60_000, 60_000, 60_000, 60_000].map(take)).toEqual([true, true, true, false]);
  });
});
