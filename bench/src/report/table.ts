import type { Spread } from '../harness/statistics.ts';

/** A table of a report as plain data. The terminal, the pages and the JSON document show it. */
export interface Table {
  readonly title: string;
  /** The meaning of a value. */
  readonly unit: string;
  /** What a reader should know: which direction is better, what a mark means. */
  readonly note?: string | undefined;
  /** The names of the rows. */
  readonly labels: readonly string[];
  /** The columns, with a value for each row. */
  readonly series: readonly { readonly name: string; readonly values: readonly Value[] }[];
}

/** A number, or a median with its range. Null: not measured. */
export type Value = (Spread & { readonly marked?: boolean }) | number | null;

/** Explains {@link Value.marked}. */
export const MARK_NOTE =
  '*: the load used more than 90 % of its core, so the server may be able to do more.';

/**
 * The table as lines of text with aligned columns.
 *
 * @param width - A wider table has the series as rows, in several parts. Default: any width.
 */
export function textOf(table: Table, width = Infinity): string {
  const { title, unit, note } = table;
  const lines = linesOf(table);
  const parts = isWider(lines, width) ? partsOf(transposed(table), width) : [lines];
  return [
    `${title}: ${unit}`,
    ...(note === undefined ? [] : [note]),
    ...parts.flatMap((part) => ['', ...part]),
    '',
  ].join('\n');
}

function isWider(lines: readonly string[], width: number): boolean {
  return lines.some((line) => line.length > width);
}

/** The table in parts that fit, each with at least one column. */
function partsOf(table: Table, width: number): string[][] {
  const parts: string[][] = [];
  let from = 0;
  while (from < table.series.length) {
    let to = from + 1;
    const part = (): string[] => linesOf({ ...table, series: table.series.slice(from, to) });
    let lines = part();
    for (to++; to <= table.series.length; to++) {
      const more = part();
      if (isWider(more, width)) break;
      lines = more;
    }
    parts.push(lines);
    from = to - 1;
  }
  return parts;
}

/** The table with rows and columns swapped, for many contenders. */
export function transposed(table: Table): Table {
  return {
    ...table,
    labels: table.series.map(({ name }) => name),
    series: table.labels.map((name, row) => ({
      name,
      values: table.series.map(({ values }) => values[row] ?? null),
    })),
  };
}

function linesOf({ labels, series }: Table): string[] {
  const head = ['', ...series.map(({ name }) => name)];
  const rows = labels.map((label, row) => [
    label,
    ...series.map(({ values }) => terminalText(values[row])),
  ]);
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [line(head), rule, ...rows.map(line)];
}

/** The table in Markdown. */
export function markdownOf({ title, unit, note, labels, series }: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [
    `**${title}**: ${unit}.${note === undefined ? '' : ` ${note.replaceAll('*', '\\*')}`}`,
    '',
    line(['', ...series.map(({ name }) => name)]),
    `|---|${series.map(() => '---:|').join('')}`,
    ...labels.map((label, row) =>
      line([label, ...series.map(({ values }) => valueText(values[row], ' to '))]),
    ),
  ].join('\n');
}

/** `7.12 (6.80 to 7.40)`: the median, the least and the most. */
export function valueText(value: Value | undefined, to: string): string {
  if (value === null || value === undefined) return '-';
  if (typeof value === 'number') return number(value);
  const { median, least, most, marked } = value;
  return `${number(median)}${marked === true ? '*' : ''} (${number(least)}${to}${number(most)})`;
}

/** As {@link valueText}, without a range that has no width: one reading has none. */
function terminalText(value: Value | undefined): string {
  const text = valueText(value, '-');
  const isPoint = typeof value === 'object' && value?.least === value?.most;
  return isPoint ? text.replace(/ \(.*/, '') : text;
}

/** The middle of a value; undefined when it was not measured. */
export function medianOf(value: Value | undefined): number | undefined {
  return rangeOf(value)?.median;
}

/** A value with its range, which has no width for a number; undefined when it was not measured. */
export function rangeOf(value: Value | undefined): Spread | undefined {
  if (typeof value === 'number') return { median: value, least: value, most: value };
  return value ?? undefined;
}

/** Three significant digits: `7.12`, `43.1`, `1810`. */
export function number(value: number): string {
  if (Number.isNaN(value)) return '-';
  const size = Math.abs(value);
  return value.toFixed(size < 10 ? 2 : size < 100 ? 1 : 0);
}

/** `16 B`, `1 KiB`, `1 MiB`. */
export function bytesName(bytes: number): string {
  if (bytes >= 1048576 && bytes % 1048576 === 0) return `${bytes / 1048576} MiB`;
  if (bytes >= 1024 && bytes % 1024 === 0) return `${bytes / 1024} KiB`;
  return `${bytes} B`;
}
