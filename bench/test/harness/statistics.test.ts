import { describe, expect, it } from 'vitest';
import { percentile, spreadOf } from '../../src/harness/statistics.ts';

describe('spreadOf', () => {
  it('returns the median, independent of outliers', () => {
    expect(spreadOf([900, 2, 10])).toEqual({ median: 10, least: 2, most: 900 });
  });

  it('returns the mean of the two middle readings', () => {
    expect(spreadOf([4, 1, 2, 100]).median).toBe(3);
  });

  it.each([[[]], [[1, Number.NaN]]])('rejects %j', (readings) => {
    expect(() => spreadOf(readings)).toThrow(RangeError);
  });
});

describe('percentile', () => {
  const sorted = Array.from({ length: 1000 }, (_, i) => i + 1);

  it.each([
    [0.5, 500],
    [0.99, 990],
    [0.999, 999],
    [1, 1000],
  ])('finds the value at %d', (share, value) => {
    expect(percentile(sorted, share)).toBe(value);
  });

  it('is NaN without values', () => {
    expect(percentile([], 0.5)).toBeNaN();
  });
});
