// Records what README.md and docs/performance.md show: runs the scenarios one after the other, puts their results into
// bench/results, and draws.
//
//     pnpm bench:record                           everything
//     pnpm bench:record compare memory            these
//     pnpm bench:record compare --only '1 KiB'    options go to each of them; some are none to commit
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { RESULTS } from './src/pages/generated.ts';

const SCENARIOS = ['compare', 'codec', 'memory', 'broadcast', 'stream', 'deflate'];

const root = join(import.meta.dirname, '..');
const args = process.argv.slice(2);
const first = args.findIndex((arg) => arg.startsWith('-'));
const named = first < 0 ? args : args.slice(0, first);
const options = first < 0 ? [] : args.slice(first);
const unknown = named.filter((name) => !SCENARIOS.includes(name));

if (unknown.length > 0) {
  console.error(`cannot record ${unknown.join(', ')}; there are ${SCENARIOS.join(', ')}`);
  process.exitCode = 2;
} else if (options.includes('--only') && named.length === 0) {
  console.error('--only: of which scenario? Name it first');
  process.exitCode = 2;
} else {
  for (const name of SCENARIOS) {
    if (named.length > 0 && !named.includes(name)) continue;
    if (record(name)) continue;
    console.error(`${name} failed; what was recorded before it is kept`);
    process.exitCode = 1;
    break;
  }
  execFileSync(process.execPath, ['--import', 'tsx', 'bench/charts.ts'], {
    cwd: root,
    stdio: 'inherit',
  });
}

function record(scenario: string): boolean {
  console.log(`\n== ${scenario}`);
  // A run that fails leaves no half of a result in the place of the one before it.
  const part = `.out/recording/${scenario}.json`;
  mkdirSync(join(root, '.out/recording'), { recursive: true });
  mkdirSync(join(root, RESULTS), { recursive: true });
  const { status } = spawnSync(
    process.execPath,
    ['bench/dist/cli.js', scenario, ...options, '--json', part],
    { cwd: root, stdio: 'inherit' },
  );
  if (status !== 0) return false;
  renameSync(join(root, part), join(root, RESULTS, `${scenario}.json`));
  return true;
}
