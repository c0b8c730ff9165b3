import type { Spread } from '../harness/statistics.ts';
import type { BarValue, Chart } from '../report/chart.ts';
import { number } from '../report/table.ts';

/** A Markdown table. The first column is left-aligned, the others are right-aligned. */
export function markdownTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = `|${head.map((_, i) => (i === 0 ? '---' : '---:')).join('|')}|`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

/** `7.12 (6.80 to 7.40)`: the median, the least and the most of the rounds. */
export function spreadText({ median, least, most }: Spread): string {
  return `${number(median)} (${number(least)} to ${number(most)})`;
}

/** The values of a bar chart as a table, one row for each group of bars. Empty for other charts. */
export function chartTable(chart: Chart): string {
  if (chart.kind !== 'bars') return '';
  return markdownTable(
    [chart.unit, ...chart.series.map(({ name }) => name)],
    chart.labels.map((label, row) => [
      label,
      ...chart.series.map(({ values }) => valueText(values[row])),
    ]),
  );
}

function valueText(value: BarValue | undefined): string {
  if (value === null || value === undefined) return '-';
  return typeof value === 'number' ? number(value) : spreadText(value);
}
