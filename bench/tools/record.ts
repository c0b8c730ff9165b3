import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { RECORDED } from '../src/command-line/run.ts';
import { UsageError } from '../src/command-line/usage-error.ts';
import { commitOf } from '../src/report/commit.ts';
import { outdated, writePages } from './charts.ts';
import { currentSet, RESULTS, type Recorded, readSet } from './documents.ts';
import { type Measure, measureDoubtful } from './doubtful-rows.ts';
import { doubtsOf, hasChart } from './sections.ts';

/** Results of a run that is not complete, in a folder for each Node. */
const UNFINISHED = '.out/recording';
const PREVIEW = '.out/preview';

export const RECORD_HELP = `record: records results, then writes the charts and the tables of the pages

usage: pnpm bench record [SCENARIO...] [--quick]
       pnpm bench record --again SCENARIO

Runs all scenarios, or those that are named, one after the other with their default options. The
minutes of each on two quiet cores:
${minutesOf(RECORDED.map(({ name }) => name))}
When all of them have succeeded, their results replace those of this Node, in ${RESULTS}/node-*.
Each names its commit, so it needs a checkout without changes. A run after a failure
measures only what is missing, on the same commit and Node.

A row whose base has medians of processes more than 1.5 apart is no result. Such rows, and those whose
readings scatter, are measured again, at most twice in a run. Rows that no chart shows may have them.

options
  --quick  a preview in ${PREVIEW} that replaces nothing
  --again  measures the rows of the chart of SCENARIO a second time, and prints each figure as a
           multiple of the recorded one. The exit code is 1 if one is more than 10 % away
`;

/** Measures by the built command, in the checkout `root`. */
export function measureIn(root: string): Measure {
  return (scenario, file, ...options) => {
    const command = ['bench/dist/cli.js', scenario, ...options, '--json', file];
    return spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' }).status === 0;
  };
}

/**
 * The scenarios of these names, or all of them without a name.
 *
 * @throws UsageError for an unknown name.
 */
export function chosenScenarios(names: readonly string[]): readonly string[] {
  const known = RECORDED.map(({ name }) => name);
  for (const name of names) {
    if (!known.includes(name)) {
      throw new UsageError(`'${name}' is not recorded; expected ${known.join(', ')}`);
    }
  }
  return names.length === 0 ? known : known.filter((name) => names.includes(name));
}

/** Measures a first impression of these scenarios. Returns the exit code. */
export function preview(root: string, names: readonly string[], measure: Measure): number {
  const quick: Measure = (scenario, file) => measure(scenario, file, '--quick');
  return measureAll(root, names, `${PREVIEW}/${currentSet()}`, quick) ? 0 : 1;
}

/**
 * Measures the scenarios whose result is missing. Replaces their results of this Node when all are
 * there.
 *
 * @returns The exit code.
 * @throws UsageError for a checkout with changes.
 */
export async function record(
  root: string,
  names: readonly string[],
  measure: Measure,
): Promise<number> {
  const commit = cleanCommit(root);
  const set = currentSet();
  const isOurs = ({ head }: Recorded): boolean =>
    head.commit === commit && head.versions['node'] === process.versions.node;
  // A page with a wrong marker fails now instead of after the measurement.
  await outdated(root);
  const folder = `${UNFINISHED}/${set}`;
  const lacking = (): [name: string, why: string][] => {
    const { results } = readSet(root, UNFINISHED, set);
    return names.flatMap((name): [string, string][] => {
      const document = results.get(name);
      if (document === undefined || !isOurs(document)) return [[name, 'no result']];
      const { rows } = doubtsOf(document);
      return rows.length === 0 ? [] : [[name, rows.join(', ')]];
    });
  };
  const settled: Measure = (name, file) => {
    const known = readSet(root, UNFINISHED, set).results.get(name);
    const isKnown = known !== undefined && isOurs(known);
    if (!isKnown && !measure(name, file)) return false;
    const scenario = RECORDED.find((one) => one.name === name)!;
    if (hasChart(name)) measureDoubtful(root, scenario, file, measure);
    return true;
  };
  measureAll(
    root,
    lacking().map(([name]) => name),
    folder,
    settled,
  );
  const failed = lacking();
  if (failed.length > 0) {
    const reasons = failed.map(([name, why]) => `${name}: ${why}\n`);
    process.stderr.write(
      `${reasons.join('')}Nothing was replaced; ${folder} has the other results of ${commit}.\n` +
        'The same command measures only what is missing.\n',
    );
    return 1;
  }
  const target = join(root, RESULTS, set);
  if (names.length === RECORDED.length) rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const name of names) {
    renameSync(join(root, folder, `${name}.json`), join(target, `${name}.json`));
  }
  await writePages(root);
  return 0;
}

/** @returns Whether all succeeded. */
function measureAll(
  root: string,
  names: readonly string[],
  folder: string,
  measure: Measure,
): boolean {
  mkdirSync(join(root, folder), { recursive: true });
  process.stdout.write(`minutes at full length: ${minutesOf(names)}\n`);
  const succeeded = names.map((name, index) => {
    process.stdout.write(`\n== ${name}, ${index + 1} of ${names.length}\n`);
    return measure(name, `${folder}/${name}.json`);
  });
  return succeeded.every(Boolean);
}

/** `compare 16, client 4: 20 in all`. */
function minutesOf(names: readonly string[]): string {
  const chosen = RECORDED.filter(({ name }) => names.includes(name));
  const sum = chosen.reduce((total, { minutes }) => total + minutes, 0);
  return `${chosen.map(({ name, minutes }) => `${name} ${minutes}`).join(', ')}: ${sum} in all`;
}

/** A reader must be able to check out what was measured. */
function cleanCommit(root: string): string {
  const commit = commitOf(join(root, 'bench'));
  if (commit !== undefined && !commit.endsWith('+changes')) return commit;
  const changed = execFileSync('git', ['status', '--short', '-uno'], {
    cwd: root,
    encoding: 'utf8',
  });
  throw new UsageError(`commit your changes first; a result must name a commit:\n${changed}`);
}
