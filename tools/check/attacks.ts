// Runs the attacks and writes tests/attacks/README.md from their bounds. With --check it fails when
// the page differs.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { bin, node, runAll } from '../run.ts';
import { attacksPage, type Survived } from './attacks-page.ts';

const FOLDER = 'tests/attacks';
const PAGE = `${FOLDER}/README.md`;
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
  options: { check: { type: 'boolean' } },
});
const report = await runAttacks();
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
    const reporters = ['default', 'json', './tools/count-reporter.ts'].map(
      (name) => `--reporter=${name}`,
    );
    // Also a failure that belongs to no attack, for example an unhandled error, fails the command.
    const ok = await runAll([
      node(bin('.', 'vitest'), 'run', ...FILTERS, ...reporters, `--outputFile.json=${file}`),
    ]);
    if (!ok) process.exitCode = 1;
    return JSON.parse(readFileSync(file, 'utf8')) as Report;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
