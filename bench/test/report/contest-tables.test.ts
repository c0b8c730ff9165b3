import { describe, expect, it } from 'vitest';
import type { ContestResult } from '../../src/harness/runner.ts';
import { metricTable, ratioTable, transposed } from '../../src/report/contest-tables.ts';
import { markdownOf, textOf } from '../../src/report/table.ts';

/** In this result `receive` is 8 times as fast as `ws`. Its load used more than 90 % of a core. */
const small: ContestResult = {
  name: '64 x 16 x 16 B',
  masks: {},
  readings: {
    receive: { us: [[1], [2], [1]], busy: [[0.97], [0.95], [0.8]] },
    ws: { us: [[8], [14], [10]], busy: [[0.2], [0.2], [0.2]] },
  },
};
const columns = { title: 'Echo', unit: 'times', note: 'More is better.', results: [small] };

describe('ratioTable', () => {
  it('marks a ratio whose load was busy, says so, and shows the busiest', () => {
    const text = textOf(ratioTable(columns, 'ws', 'us'));
    expect(text).toMatch(/^Echo: times\nMore is better\. \*: the load used more than 90 %/);
    expect(text).toMatch(/^64 x 16 x 16 B +8\.00\* \(7\.00-10\.0\) +1\.00 +95\.0$/m);
  });

  it('has no column of a load that was not measured', () => {
    const { receive } = small.readings;
    const quiet = { ...small, readings: { receive: { us: receive!['us']! } } };
    const { series } = ratioTable({ ...columns, results: [quiet] }, 'receive', 'us');
    expect(series.map(({ name }) => name)).toEqual(['receive']);
  });
});

describe('metricTable', () => {
  const other = { ...small, name: 'b', readings: { raw: { us: [[3]] } } };
  const table = metricTable({ ...columns, results: [small, other] }, 'us', 10);

  it('has every contender of every contest', () => {
    expect(markdownOf(table)).toContain('| b | - | - | 30.0 (30.0 to 30.0) |');
  });

  it('can swap rows and columns', () => {
    const { labels, series } = transposed(table);
    expect(labels).toEqual(['receive', 'ws', 'raw']);
    expect(series[1]).toMatchObject({ name: 'b', values: [null, null, { median: 30 }] });
  });
});
