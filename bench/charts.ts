// Shows recorded results: of bench/results/*.json it makes docs/charts/*.svg and what stands between the markers of
// README.md and docs/performance.md. With --check nothing is written, and it fails when a file is not that of its result,
// or when somebody has written a figure by hand.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { faults, outdated, RESULTS } from './src/pages/generated.ts';
import { scriptArguments } from './src/script-arguments.ts';

const HELP = `Makes docs/charts/*.svg, and the tables of README.md and docs/performance.md, of ${RESULTS}/*.json.

usage: pnpm bench:charts

options
  --check  write nothing, and fail for a picture or a table that is not that of its result: pnpm check:charts
  --help   this text
`;

const root = join(import.meta.dirname, '..');
const { values } = scriptArguments(HELP, { options: { check: { type: 'boolean' } } });

if (values.check === true) check();
else draw();

function check(): void {
  const wrong = outdated(root).map(({ path }) => `${path} is not what ${RESULTS} says`);
  if (wrong.length > 0) wrong.push('run pnpm bench:charts');
  wrong.push(...faults(root));
  for (const line of wrong) console.error(line);
  process.exitCode = wrong.length > 0 ? 1 : 0;
}

function draw(): void {
  for (const { path, content } of outdated(root)) {
    const file = join(root, path);
    if (content === undefined) rmSync(file);
    else {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
    console.log(`${content === undefined ? 'removed' : 'wrote'} ${path}`);
  }
  for (const fault of faults(root)) console.error(fault);
}
