// Compares what the runtimes did (`.out/runtimes`, of `pnpm check runtimes`) with the results that
// docs/runtimes.md shows. With `--write`, it replaces them.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { isDeepStrictEqual } from 'node:util';
import { sorted, type Tried, withTable } from './runtimes-table.ts';

const FOUND = '.out/runtimes';
const RESULTS = 'docs/runtimes.json';
const PAGE = 'docs/runtimes.md';

/** Versions change with every update of a runtime; the outcomes must not. */
const outcomes = ({ runtime, parts }: Tried): unknown => [runtime.replace(/\..*/, ''), parts];

const found = sorted(
  readdirSync(FOUND).map((name) => JSON.parse(readFileSync(`${FOUND}/${name}`, 'utf8')) as Tried),
);
if (process.argv.includes('--write')) {
  writeFileSync(RESULTS, `${JSON.stringify(found, null, 2)}\n`);
  writeFileSync(PAGE, withTable(readFileSync(PAGE, 'utf8'), found));
} else {
  const shown = (JSON.parse(readFileSync(RESULTS, 'utf8')) as Tried[]).map(outcomes);
  for (const each of found) {
    if (shown.some((one) => isDeepStrictEqual(one, outcomes(each)))) continue;
    console.error(`${RESULTS} has other outcomes for ${each.runtime}; run pnpm long runtimes`);
    process.exitCode = 1;
  }
}
