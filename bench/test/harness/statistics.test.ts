import { describe, expect, it } from 'vitest';
import { ratios, rotated, spreadOf } from '../../src/harness/statistics.ts';

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

describe('ratios', () => {
  it('divides within each round', () => {
    expect(ratios([10, 40], [5, 10])).toEqual([2, 4]);
  });

  it('rejects different numbers of rounds', () => {
    expect(() => ratios([1, 2], [1])).toThrow(RangeError);
  });
});

describe('rotated', () => {
  it('starts each round with another name', () => {
    const names = ['a', 'b', 'c'];
    expect([0, 1, 2, 3].map((round) => rotated(names, round).join(''))).toEqual([
      'abc',
      'bca',
      'cab',
      'abc',
    ]);
  });
});
