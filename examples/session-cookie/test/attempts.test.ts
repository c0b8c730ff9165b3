import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Attempts } from '../attempts.ts';

describe('the login attempts of examples/session-cookie', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('are bounded for each address and minute', () => {
    const attempts = new Attempts(2);
    expect([1, 2, 3].map(() => attempts.take('a'))).toEqual([true, true, false]);
    expect(attempts.take('b')).toBe(true);
    vi.advanceTimersByTime(60_000);
    expect(attempts.take('a')).toBe(true);
  });

  it('are bounded for all addresses together', () => {
    const attempts = new Attempts(1);
    const taken = Array.from({ length: 11 }, (_, i) => attempts.take(`address ${i}`));
    expect(taken.filter(Boolean)).toHaveLength(10);
  });
});
