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
import { scriptArguments } from './src/script-arguments.ts';

const SCENARIOS = ['compare', 'codec', 'memory', 'broadcast', 'stream', 'deflate'];

const root = join(import.meta.dirname, '..');
const HELP = `Records what README.md and docs/performance.md show: builds, runs the scenarios one after the other, puts their
results into ${RESULTS}, and draws.

usage: pnpm bench:record [SCENARIO]... [options of the scenarios]

  SCENARIO  ${SCENARIOS.join(', ')}; default: all of them

options
  --help    this text; every other option goes to each scenario: see pnpm bench SCENARIO --help
`;

scriptArguments(HELP, { strict: false });
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
} else if (!build()) {
  console.error('what is measured could not be built');
  process.exitCode = 1;
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

/** Here and not before this script: what is wrong with the command line is told at once. */
function build(): boolean {
  const { status } = spawnSync('pnpm', ['--filter', '@ws/bench...', 'run', 'build'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  return status === 0;
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
