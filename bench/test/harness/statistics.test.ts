import { describe, expect, it } from 'vitest';
import { ratios, spreadOf, turns } from '../src/statistics.ts';

describe('spreadOf', () => {
  it('takes the middle reading, however large the others are', () => {
    expect(spreadOf([900, 2, 10])).toEqual({ median: 10, least: 2, most: 900 });
  });

  it('takes the mean of the two in the middle', () => {
    expect(spreadOf([4, 1, 2, 100]).median).toBe(3);
  });

  it.each([[[]], [[1, Number.NaN]]])('refuses %j', (readings) => {
    expect(() => spreadOf(readings)).toThrow(RangeError);
  });
});

describe('ratios', () => {
  it('divides within each round', () => {
    expect(ratios([10, 40], [5, 10])).toEqual([2, 4]);
  });

  it('refuses rounds that only one side has', () => {
    expect(() => ratios([1, 2], [1])).toThrow(RangeError);
  });
});

describe('turns', () => {
  it('begins each round with another name', () => {
    const names = ['a', 'b', 'c'];
    expect([0, 1, 2, 3].map((round) => turns(names, round).join(''))).toEqual([
      'abc',
      'bca',
      'cab',
      'abc',
    ]);
  });
});
