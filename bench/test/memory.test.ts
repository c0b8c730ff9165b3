import { describe, expect, it } from 'vitest';
import { openFilesLimit } from '../src/report/setting.ts';
import { possible, reduced } from '../src/scenarios/memory.ts';

describe('connections of the memory scenario', () => {
  it('are as many as were asked for, without a word about it', () => {
    expect(possible(1)).toBe(1);
    expect(reduced(1, 1)).toEqual([]);
  });

  it('are fewer where the limit of open files is in the way, and the report says so', () => {
    const limit = openFilesLimit();
    expect(possible(Number.POSITIVE_INFINITY)).toBe(limit - 100);
    expect(reduced(5000, 824)).toEqual([
      '5000 were asked for: the limit of open files (ulimit -n) allows 824',
    ]);
  });

  it('cannot be none', () => {
    expect(() => possible(1, Number.POSITIVE_INFINITY)).toThrow('allows no connection');
  });
});
