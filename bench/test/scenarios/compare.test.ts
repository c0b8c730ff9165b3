import { describe, expect, it } from 'vitest';
import type { ContestResult, Readings } from '../../src/harness/runner.ts';
import { textOf } from '../../src/report/table.ts';
import { compare } from '../../src/scenarios/compare.ts';

function result(name: string, metrics: Readings): ContestResult {
  return { name, masks: {}, readings: { receive: metrics, 'ws, corked': metrics } };
}

describe('the tables of compare', () => {
  const single = result('64 x 1 x 16 B', { us: [[9]], wire: [[18]], resident: [[2 ** 26]] });

  it('begin with one message in flight, and what each contender costs then', () => {
    const [echo, cost] = compare.tables([single]);
    expect(echo!.labels).toEqual(['64 x 1 x 16 B']);
    const rows = textOf(cost!).split('\n').slice(5, 8);
    expect(rows.map((row) => row.replaceAll(/ {2,}/g, ' | '))).toEqual([
      'CPU of a message, µs | 9.00 | 9.00',
      'bytes of a reply on the wire | 18.0 | 18.0',
      'memory of the server, MiB | 64.0 | 64.0',
    ]);
  });

  it('have the rows of the measured contests alone', () => {
    const titles = (results: ContestResult[]): string[] =>
      compare.tables(results).map(({ title }) => title);
    expect(titles([single])).toContain('One message in flight');
    const other = { ...single, name: '64 x 16 x 16 B' };
    expect(titles([other])).not.toContain('One message in flight');
  });
});
