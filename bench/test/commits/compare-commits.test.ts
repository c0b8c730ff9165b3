import { describe, expect, it } from 'vitest';
import {
  annotationsOf,
  compareCommits,
  type Round,
  tableOf,
} from '../../src/commits/compare-commits.ts';

/** One round for each speed of `decode`, which took 10 ns before. */
function roundsOf(...speeds: number[]): Round[] {
  return speeds.map((speed) => ({
    decode: { old: 10, new: 10 / speed },
    encode: { old: 20, new: 20 },
  }));
}

const slower = (...speeds: number[]): string[] =>
  compareCommits(roundsOf(...speeds))
    .filter((change) => change.slower)
    .map(({ name }) => name);

describe('compareCommits', () => {
  it('returns the median and the range of the rounds', () => {
    const rounds: Round[] = [
      { decode: { old: 10, new: 20 } },
      { decode: { old: 30, new: 30 } },
      { decode: { old: 12, new: 16 } },
    ];
    expect(compareCommits(rounds)).toEqual([
      {
        name: 'decode',
        old: 12,
        new: 20,
        speed: { median: 0.75, least: 0.5, most: 1 },
        slower: false,
      },
    ]);
  });

  it.each([
    { says: 'a tenth slower and more in every round', speeds: [0.8, 0.85, 0.7], found: ['decode'] },
    { says: 'hardly slower', speeds: [0.95, 0.91, 0.92], found: [] },
    { says: 'faster', speeds: [2, 2, 2], found: [] },
    { says: 'as fast in one round of a few', speeds: [0.5, 0.5, 1], found: [] },
    { says: 'as fast in one round of many', speeds: [0.5, 0.5, 1, 0.5, 0.5], found: ['decode'] },
    { says: 'as fast in two rounds of many', speeds: [0.5, 0.96, 1, 0.5, 0.5], found: [] },
  ])('judges a codec that is $says', ({ speeds, found }) => {
    expect(slower(...speeds)).toEqual(found);
  });

  it('rejects rounds with different subjects', () => {
    expect(compareCommits([])).toEqual([]);
    expect(() => compareCommits([...roundsOf(1), { decode: { old: 1, new: 1 } }])).toThrow(
      'a round lacks encode',
    );
  });

  it('has a table', () => {
    const lines = tableOf(compareCommits(roundsOf(0.5, 0.5, 0.8)), 'abc1234').split('\n');
    expect(lines[0]).toMatch(/^codec +abc1234 ns +now ns +speed +rounds/);
    expect(lines[2]).toMatch(/^decode +10\.0 +20\.0 +0\.50 +0\.50-0\.80 +SLOWER$/);
    expect(lines[3]).toMatch(/^encode +20\.0 +20\.0 +1\.00 +1\.00-1\.00$/);
  });

  it('has a GitHub warning for each slower subject', () => {
    expect(annotationsOf(compareCommits(roundsOf(0.5, 0.5, 0.8)), 'abc1234')).toEqual([
      '::warning title=codec slower::decode: 0.50 times as fast as abc1234 (0.50-0.80)',
    ]);
    expect(annotationsOf(compareCommits(roundsOf(1, 1, 1)), 'abc1234')).toEqual([]);
  });
});
