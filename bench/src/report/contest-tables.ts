import { type ContestResult, spreadOver, timesBase } from '../harness/runner.ts';
import type { Spread } from '../harness/statistics.ts';
import { MARK_NOTE, type Table, type Value } from './table.ts';

/** Name of the column with the CPU share of the load. */
export const BUSY_COLUMN = 'load busy, %';

/** CPU share of the load from which it limits the server. */
export const BUSY = 0.9;

/** A column of a table, for each contender that was measured. */
interface Columns {
  readonly title: string;
  readonly unit: string;
  readonly note?: string;
  readonly results: readonly ContestResult[];
  readonly labels?: readonly string[];
}

/** Medians of the processes of a base that are this many times apart are two modes. */
const TWO_MODES = 1.5;
/** The end of the label of a row whose base has two modes. */
const NO_RESULT = ': two modes, no result';

/** A table with a column for each contender, in the order of the first results that have it. */
export function contenderTable(
  { title, unit, note, results, labels = results.map(({ name }) => name) }: Columns,
  valueOf: (result: ContestResult, contender: string) => Spread | undefined,
): Table {
  const names = [...new Set(results.flatMap(({ readings }) => Object.keys(readings)))];
  const values = new Map(
    names.map((name) => [
      name,
      results.map((result): Value => {
        const value = valueOf(result, name);
        if (value === undefined) return null;
        return isBusy(result, name) ? { ...value, marked: true } : value;
      }),
    ]),
  );
  const marked = [...values.values()].flat().some((one) => (one as { marked?: boolean })?.marked);
  const notes = [note, marked ? MARK_NOTE : undefined].filter((one) => one !== undefined);
  return {
    title,
    unit,
    note: notes.length === 0 ? undefined : notes.join(' '),
    labels,
    series: [...values].map(([name, column]) => ({ name, values: column })),
  };
}

/**
 * A ratio to a base, `metric` being a cost. A row whose base has two modes has no values: its ratios
 * would be a matter of chance.
 */
export function ratioTable(columns: Columns, base: string, metric: string): Table {
  const { results, labels = results.map(({ name }) => name) } = columns;
  const split = results.map((result) => hasTwoModes(result, base, metric));
  const table = contenderTable(
    { ...columns, labels: labels.map((label, row) => (split[row] ? label + NO_RESULT : label)) },
    (result, name) =>
      split[results.indexOf(result)] ? undefined : timesBase(result, name, base, metric),
  );
  return { ...table, series: [...table.series, ...busyColumn(results)] };
}

function hasTwoModes(result: ContestResult, base: string, metric: string): boolean {
  const processes = result.readings[base]?.[metric] ?? [];
  if (processes.length < 2) return false;
  const { least, most } = spreadOver(result, base, metric)!;
  return most > TWO_MODES * least;
}

/** The labels of the rows whose base has two modes. */
export function rowsWithoutResult(tables: readonly Table[]): string[] {
  return tables.flatMap(({ labels }) => labels.filter((label) => label.endsWith(NO_RESULT)));
}

/** A metric, multiplied by `factor`. */
export function metricTable(columns: Columns, metric: string, factor = 1): Table {
  return contenderTable(columns, (result, name) =>
    mapped(spreadOver(result, name, metric), (value) => value * factor),
  );
}

/** A spread of another unit. A decreasing function swaps the ends. */
export function mapped(
  spread: Spread | undefined,
  change: (value: number) => number,
): Spread | undefined {
  if (spread === undefined) return undefined;
  const [a, b] = [change(spread.least), change(spread.most)];
  return { median: change(spread.median), least: Math.min(a, b), most: Math.max(a, b) };
}

function isBusy(result: ContestResult, name: string): boolean {
  return (spreadOver(result, name, 'busy')?.median ?? 0) > BUSY;
}

/** The largest CPU share of the load in each contest, in per cent. */
function busyColumn(results: readonly ContestResult[]): Table['series'] {
  const values = results.map((result) => {
    const shares = Object.keys(result.readings).flatMap(
      (name) => spreadOver(result, name, 'busy')?.median ?? [],
    );
    return shares.length === 0 ? null : Math.round(100 * Math.max(...shares));
  });
  return values.every((value) => value === null) ? [] : [{ name: BUSY_COLUMN, values }];
}
