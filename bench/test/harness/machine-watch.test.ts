import { describe, expect, it } from 'vitest';
import {
  parseStat,
  scatterOf,
  warningsBefore,
  warningsDuring,
} from '../../src/harness/machine-watch.ts';

describe('warningsBefore', () => {
  const quiet = { cores: 2, load: 2, busy: 0.05 };

  it.each([
    ['CPU in use', { busy: 0.4 }, '40 % of its CPU is in use'],
    ['a load average', { load: 4 }, 'load average 4.0 on 2 cores'],
  ])('names %s', (_, more, text) => {
    expect(warningsBefore({ ...quiet, ...more })).toEqual([expect.stringContaining(text)]);
  });

  it('says nothing of a quiet machine', () => {
    expect(warningsBefore(quiet)).toEqual([]);
  });
});

describe('warningsDuring', () => {
  const quiet = { cores: 2, others: 0.1, stolen: 0.01, scatter: 0.1 };

  it.each([
    ['other programs', { others: 1.25 }, 'other programs used 1.3 of 2 cores'],
    ['steal', { stolen: 0.12 }, '12 % of the CPU to other machines (steal)'],
    ['scattered readings', { scatter: 0.5 }, 'usually differ by 50 %'],
  ])('names %s', (_, more, text) => {
    expect(warningsDuring({ ...quiet, ...more })).toEqual([expect.stringContaining(text)]);
  });

  it('says nothing of a quiet machine', () => {
    expect(warningsDuring(quiet)).toEqual([]);
    expect(warningsDuring({ ...quiet, others: undefined })).toEqual([]);
  });
});

describe('scatterOf', () => {
  it('is the usual range of the windows of a process', () => {
    const readings = {
      a: {
        us: [
          [1, 1.5, 2],
          [2, 2, 2],
        ],
      },
      b: { us: [[4, 5, 6]] },
      c: { us: [[1]] },
    };
    expect(scatterOf([{ name: 'one', masks: {}, readings }])).toBe(0.4);
    expect(scatterOf([])).toBe(0);
  });
});

describe('parseStat', () => {
  it('reads the line of all cores, in ms', () => {
    const stat = 'cpu  100 20 30 4000 50 6 7 80 9 0\ncpu0 1 1 1 1 1 1 1 1 1 1\n';
    expect(parseStat(stat)).toEqual({ busy: 1500, idle: 40_630, steal: 800 });
  });
});
