import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ContestResult } from '../src/harness/runner.ts';
import { rowsWithoutResult } from '../src/report/contest-tables.ts';
import { documentText } from '../src/report/document-text.ts';
import { type Scenario, tablesOf } from '../src/scenarios/scenario.ts';
import type { Recorded } from './documents.ts';

/** The rest of a scenario takes longer to measure than a few rows again. */
const MOST_TIMES = 2;

/** Measures a scenario. Returns whether its result is in `file`, relative to the root. */
export type Measure = (scenario: string, file: string, ...options: readonly string[]) => boolean;

/**
 * Measures each row of a result again whose base has two modes or whose readings scatter, at most
 * twice, and puts the new reading into the result.
 *
 * @param file - The result, relative to the root.
 */
export function measureDoubtful(
  root: string,
  scenario: Pick<Scenario, 'name' | 'tables'>,
  file: string,
  measure: Measure,
): void {
  const part = `.out/again/${scenario.name}.json`;
  mkdirSync(join(root, dirname(part)), { recursive: true });
  const read = (path: string): Recorded =>
    JSON.parse(readFileSync(join(root, path), 'utf8')) as Recorded;
  for (let time = 0; time < MOST_TIMES; time++) {
    for (const row of doubtfulRows(read(file))) {
      if (!measure(scenario.name, part, '--only', row)) continue;
      const document = withRow(scenario, read(file), read(part), row);
      writeFileSync(join(root, file), documentText(document));
    }
  }
}

function doubtfulRows({ tables, contests = [], warnings = [] }: Recorded): string[] {
  const lines = [...rowsWithoutResult(tables), ...warnings];
  const rows = lines.flatMap((line) => rowOf(line, contests) ?? []);
  return [...new Set(rows)];
}

/** The contest that a label or a warning is about: the name of one may be the begin of another. */
function rowOf(line: string, contests: readonly ContestResult[]): string | undefined {
  const names = contests.map(({ name }) => name).filter((name) => line.startsWith(name));
  return names.toSorted((a, b) => b.length - a.length)[0];
}

/** A result with one row of another one. */
function withRow(
  scenario: Pick<Scenario, 'tables'>,
  document: Recorded,
  part: Recorded,
  row: string,
): Recorded {
  const { contests = [], warnings = [], measuredAgain = [] } = document;
  const measured = part.contests?.find(({ name }) => name === row);
  if (measured === undefined) return document;
  const merged = contests.map((one) => (one.name === row ? measured : one));
  const isNew = (line: string): boolean => {
    const about = rowOf(line, contests);
    return (about === undefined && !warnings.includes(line)) || about === row;
  };
  return {
    ...document,
    tables: tablesOf(scenario, merged),
    contests: merged,
    warnings: [
      ...warnings.filter((line) => rowOf(line, contests) !== row),
      ...(part.warnings ?? []).filter(isNew),
    ],
    measuredAgain: [...new Set([...measuredAgain, row])],
  };
}
