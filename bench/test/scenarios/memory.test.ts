import { describe, expect, it } from 'vitest';
import { openFileLimit } from '../../src/report/setting.ts';
import {
  allowedConnections,
  inRounds,
  limitNote,
  memoryRounds,
} from '../../src/scenarios/memory.ts';

describe('allowedConnections', () => {
  it('returns the requested number below the limit, without a note', () => {
    expect(allowedConnections(1)).toBe(1);
    expect(limitNote(1, 1)).toEqual([]);
  });

  it('returns fewer at the limit of open files, with a note', () => {
    const limit = openFileLimit();
    expect(allowedConnections(Number.POSITIVE_INFINITY)).toBe(limit - 100);
    expect(limitNote(5000, 824)).toEqual([
      'the limit of open files (ulimit -n) allows 824 of 5000 connections',
    ]);
  });

  it('throws when the limit allows none', () => {
    expect(() => allowedConnections(1, Number.POSITIVE_INFINITY)).toThrow('allows no connection');
  });
});

describe('inRounds', () => {
  it('measures each subject once a round and rotates the first one', async () => {
    const seen = await inRounds(['a', 'b', 'c'], 3, (name) => Promise.resolve(name));
    expect(seen.join('')).toBe('abcbcacab');
  });
});

describe('memoryRounds', () => {
  it('is three by default, one with --quick, or the value of --rounds', () => {
    expect(memoryRounds({})).toBe(3);
    expect(memoryRounds({ quick: true })).toBe(1);
    expect(memoryRounds({ quick: true, rounds: '5' })).toBe(5);
  });
});
