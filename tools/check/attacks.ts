// Runs the attacks and writes docs/attacks.md from their bounds. With --check it fails when the
// page differs.
// --report=FILE takes the JSON report of a test run that is done already.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { bin, node, runAll } from '../run.ts';
import { attacksPage, type Survived } from './attacks-page.ts';

const PAGE = 'docs/attacks.md';
const FOLDER = 'tests/attacks';
/** Test files with attacks, and one elsewhere. */
const FILTERS = [FOLDER, 'fuzz/laws/split-invariance.test.ts'];
/** Attacks on the harness itself. */
const HARNESS_TEST = `${FOLDER}/survives.test.ts`;

interface Report {
  readonly testResults: readonly {
    /** Absolute path of the test file. */
    readonly name: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly meta: { readonly attacks?: readonly Survived['bound'][] };
    }[];
  }[];
}

const { values } = parseArgs({
  options: { check: { type: 'boolean' }, report: { type: 'string' } },
});
const report = values.report === undefined ? await runAttacks() : readReport(values.report);
const survived: Survived[] = [];
const faults: string[] = [];
const files = new Set<string>();
for (const { name, assertionResults } of report.testResults) {
  const file = relative(process.cwd(), name).replaceAll('\\', '/');
  files.add(file);
  if (file === HARNESS_TEST) continue;
  for (const { fullName, status, meta } of assertionResults) {
    const isAttack = file.startsWith(`${FOLDER}/`);
    if (isAttack && status !== 'passed') faults.push(`${file}: "${fullName}" is ${status}`);
    for (const bound of meta.attacks ?? []) survived.push({ file, bound });
  }
}
for (const name of readdirSync(FOLDER)) {
  const needed = name.endsWith('.test.ts') && !name.endsWith('.long.test.ts');
  if (needed && !files.has(`${FOLDER}/${name}`)) faults.push(`${FOLDER}/${name} did not run`);
}

const page = attacksPage(survived);
if (faults.length === 0) {
  if (!values.check) writeFileSync(PAGE, page);
  else if (!existsSync(PAGE) || readFileSync(PAGE, 'utf8') !== page) {
    faults.push(`${PAGE} differs from the tests; run: node --import tsx tools/check/attacks.ts`);
  }
}
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exitCode = 1;

async function runAttacks(): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), 'attacks-'));
  try {
    const file = join(folder, 'report.json');
    const reporters = ['--reporter=dot', '--reporter=json', `--outputFile.json=${file}`];
    const args = ['run', ...FILTERS, '--maxWorkers=1', ...reporters];
    await runAll([node(bin('vitest'), ...args)]);
    return readReport(file);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readReport(file: string): Report {
  if (!existsSync(file))
    throw new Error(`${file} is missing: run the whole of \`pnpm test\` first`);
  return JSON.parse(readFileSync(file, 'utf8')) as Report;
}
