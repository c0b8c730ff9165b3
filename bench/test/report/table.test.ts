import { describe, expect, it } from 'vitest';
import { type Table, textOf } from '../../src/report/table.ts';

const TABLE: Table = {
  title: 'Echo',
  unit: 'times ws',
  labels: ['16 B', '1 KiB', '1 MiB'],
  series: ['receive', 'loop', 'ws'].map((name, i) => ({
    name,
    values: [1, 2, 3].map((value) => ({ median: value + i, least: value, most: value + 2 })),
  })),
};

describe('textOf', () => {
  it('has a column for each series where they fit', () => {
    expect(textOf(TABLE, 80).split('\n')).toEqual([
      'Echo: times ws',
      '',
      '                receive              loop                ws',
      '-----  ----------------  ----------------  ----------------',
      '16 B   1.00 (1.00-3.00)  2.00 (1.00-3.00)  3.00 (1.00-3.00)',
      '1 KiB  2.00 (2.00-4.00)  3.00 (2.00-4.00)  4.00 (2.00-4.00)',
      '1 MiB  3.00 (3.00-5.00)  4.00 (3.00-5.00)  5.00 (3.00-5.00)',
      '',
    ]);
  });

  it('has the series as rows, in parts that fit a narrow terminal', () => {
    expect(textOf(TABLE, 45).split('\n')).toEqual([
      'Echo: times ws',
      '',
      '                     16 B             1 KiB',
      '-------  ----------------  ----------------',
      'receive  1.00 (1.00-3.00)  2.00 (2.00-4.00)',
      'loop     2.00 (1.00-3.00)  3.00 (2.00-4.00)',
      'ws       3.00 (1.00-3.00)  4.00 (2.00-4.00)',
      '',
      '                    1 MiB',
      '-------  ----------------',
      'receive  3.00 (3.00-5.00)',
      'loop     4.00 (3.00-5.00)',
      'ws       5.00 (3.00-5.00)',
      '',
    ]);
  });

  it('gives each part a column, however narrow the terminal is', () => {
    expect(textOf(TABLE, 10).match(/^-+ /gm)).toHaveLength(3);
  });
});
