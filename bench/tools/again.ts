import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { UsageError } from '../src/command-line/usage-error.ts';
import { BUSY_COLUMN } from '../src/report/contest-tables.ts';
import { medianOf, type Table, textOf } from '../src/report/table.ts';
import { currentSet, RESULTS, readSet } from './documents.ts';
import type { Measure } from './doubtful-rows.ts';
import { chartedTable, valueIn } from './sections.ts';

const AGAIN = '.out/again';
/** The most by which a figure may differ from the recorded one, as a factor. */
const MOST = 1.1;

/**
 * Measures the rows of the chart of a scenario a second time, and prints the figures as multiples of
 * the recorded ones.
 *
 * @returns The exit code: 1 if a figure differs by more than a tenth, or was not measured.
 */
export function again(root: string, scenario: string, measure: Measure): number {
  const set = currentSet();
  const document = readSet(root, RESULTS, set).results.get(scenario);
  const recorded = document && chartedTable(document);
  if (recorded === undefined) {
    throw new UsageError(`${RESULTS}/${set} has no chart of ${scenario}`);
  }
  mkdirSync(join(root, AGAIN, set), { recursive: true });
  const tables = recorded.labels.map((label, row) => {
    const name = `${scenario}-${row + 1}`;
    const succeeded = measure(scenario, `${AGAIN}/${set}/${name}.json`, '--only', label);
    return succeeded ? readSet(root, AGAIN, set).results.get(name)?.tables[0] : undefined;
  });
  const { table, isLevel } = againTable(recorded, tables);
  process.stdout.write(`\n${textOf(table, process.stdout.columns ?? 80)}`);
  return isLevel ? 0 : 1;
}

/**
 * The figures of a second measurement as multiples of the recorded ones.
 *
 * @param tables - For each row of `recorded` the table with the new figure.
 */
function againTable(
  recorded: Table,
  tables: readonly (Table | undefined)[],
): { readonly table: Table; readonly isLevel: boolean } {
  const series = recorded.series
    .filter(({ name }) => name !== BUSY_COLUMN)
    .map(({ name, values }) => ({
      name,
      values: recorded.labels.map((label, row) => {
        const before = medianOf(values[row]);
        const table = tables[row];
        const now = table && medianOf(valueIn(table, label, name));
        return before === undefined || now === undefined ? null : now / before;
      }),
    }));
  const isLevel = series.every(({ values }) =>
    values.every((times) => times !== null && Math.max(times, 1 / times) <= MOST),
  );
  const { title, labels } = recorded;
  return {
    table: { title, unit: 'measured again, as a multiple of the recorded figure', labels, series },
    isLevel,
  };
}
