import { describe, expect, it } from 'vitest';
import { ratioTable, rowsWithoutResult } from '../../src/report/contest-tables.ts';
import { verdictOf } from '../../src/report/verdict.ts';

const COLUMNS = { title: 'Echo', unit: 'times ws', note: 'More is better.' };

/** A contest of `loop`, at 10 µs, next to the windows of each process of `ws`. */
function contest(name: string, ...ws: number[][]) {
  const loop = ws.map((windows) => windows.map(() => 10));
  return { name, masks: {}, readings: { loop: { us: loop }, ws: { us: ws } } };
}

describe('ratioTable', () => {
  it('has no values in a row whose base has two modes', () => {
    const results = [
      contest('level', [5, 5, 9], [7, 7, 1], [6, 6, 6]),
      contest('split', [5, 5, 9], [8, 8, 1], [6, 6, 6]),
    ];
    const table = ratioTable({ ...COLUMNS, results }, 'ws', 'us');
    expect(table.labels).toEqual(['level', 'split: two modes, no result']);
    const [loop] = table.series;
    expect(loop!.values).toEqual([{ median: 0.6, least: 0.5, most: 0.7 }, null]);
    expect(rowsWithoutResult([table])).toEqual(['split: two modes, no result']);
    // Nobody is ahead or behind in a row without a result.
    expect(verdictOf(table).join()).not.toMatch(/split|other rows/);
  });

  it('does not look for modes in one process', () => {
    const table = ratioTable({ ...COLUMNS, results: [contest('row', [5, 50])] }, 'ws', 'us');
    expect(rowsWithoutResult([table])).toEqual([]);
  });
});
