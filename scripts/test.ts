// The README's test command: builds, runs every test, and ends with the plain line `N passed, N failed`.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import process from 'node:process';

const REPORT = '.out/vitest.json';
// scripts/npx-shell.mjs repeats this line after what pnpm says of a failed script.
const LAST_LINE = '.out/last-line.txt';

let child: ChildProcess | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child?.kill(signal));

async function run(command: string, args: readonly string[]): Promise<boolean> {
  // The packages are built for the tests that need it, so those must not be skipped.
  child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, WS_BUILT: '1' } });
  const [code] = await once(child, 'exit');
  return code === 0;
}

interface Report {
  readonly success: boolean;
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

function readReport(): Report {
  try {
    return JSON.parse(readFileSync(REPORT, 'utf8'));
  } catch {
    return { success: false, numPassedTests: 0, numFailedTests: 0, testResults: [] };
  }
}

if (process.argv.includes('--help')) {
  console.log(`usage: pnpm test [file or folder]... [options of vitest run]

Builds the packages, runs every test or those whose path has one of these words in it, and ends with the line
N passed, N failed.`);
  process.exit(0);
}

mkdirSync('.out', { recursive: true });
for (const file of [REPORT, LAST_LINE]) rmSync(file, { force: true });

const built = await run('pnpm', ['--silent', 'run', 'build']);
if (!built) console.error('the build failed');
const ran = await run(process.execPath, [
  'node_modules/vitest/vitest.mjs',
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${REPORT}`,
  ...process.argv.slice(2),
]);

const report = readReport();
for (const { assertionResults } of report.testResults) {
  for (const { status, fullName } of assertionResults) {
    if (status !== 'passed' && status !== 'failed') console.log(`${status}: ${fullName}`);
  }
}
// An error outside a test, and a run that died, leave no failed test behind.
const well = built && ran && report.success;
const failed = well ? 0 : Math.max(1, report.numFailedTests);
const line = `${report.numPassedTests} passed, ${failed} failed`;
if (!well) writeFileSync(LAST_LINE, `${line}\n`);
console.log(line);
process.exitCode = well ? 0 : 1;
