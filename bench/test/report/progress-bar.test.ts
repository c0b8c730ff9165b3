import { describe, expect, it } from 'vitest';
import { timeLeft } from '../../src/report/progress-bar.ts';

describe('timeLeft', () => {
  it.each([
    [0, 100, 'time left not known yet'],
    [0.04, 10_000, 'time left not known yet'],
    [0.05, 10_000, 'about 4 min left'],
    [0.5, 58_000, 'about 60 s left'],
    [0.5, 100_000, 'about 2 min left'],
    [0.999, 60_000, 'about 5 s left'],
  ])('after %d of the work in %d ms: %s', (share, elapsed, text) => {
    expect(timeLeft(share, elapsed)).toBe(text);
  });
});
