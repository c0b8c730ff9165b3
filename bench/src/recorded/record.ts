import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { Command } from '../command-line/command.ts';
import { UsageError } from '../command-line/usage-error.ts';
import { commitOf } from '../report/commit.ts';
import type { Scenario } from '../scenarios/scenario.ts';
import { outdated, writePages } from './charts.ts';
import { currentSet, RESULTS, type Recorded } from './documents.ts';
import { workspaceRoot } from './workspace.ts';

/** Results of a run that is not complete, in a folder for each Node. */
const UNFINISHED = '.out/recording';
const PREVIEW = '.out/preview';

const SUMMARY = 'records the results of all scenarios, then writes the tables of the pages';

type Recording = Pick<Scenario, 'name' | 'minutes'>;

/** Measures a scenario. Returns whether its result is in `file`, relative to the root. */
type Measure = (scenario: string, file: string) => boolean;

/** `ws-bench record`, for these scenarios. */
export function recordCommand(scenarios: readonly Recording[]): Command {
  return {
    summary: SUMMARY,
    help: `ws-bench record: ${SUMMARY}

usage: ws-bench record [--quick]

Runs ${scenarios.map(({ name }) => name).join(', ')}
one after the other with their default options, which takes about ${minutesOf(scenarios)} minutes on two quiet cores.
When all of them have succeeded, it replaces the results of this Node, in ${RESULTS}/node-*,
and writes the tables of the pages. It needs a checkout without changes. A run after a failure measures
only what is missing, on the same commit and Node.

options
  --quick  a preview in ${PREVIEW} that replaces nothing
`,
    options: {},
    common: ['quick'],
    run: async ({ quick }) => {
      // Each scenario is a process for which this one waits without its event loop: a signal ends both.
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeAllListeners(signal);
      const root = workspaceRoot();
      if (quick !== true) return record(root, scenarios, (...one) => runScenario(root, ...one));
      const preview: Measure = (...one) => runScenario(root, ...one, '--quick');
      return measureAll(root, scenarios, `${PREVIEW}/${currentSet()}`, preview) ? 0 : 1;
    },
  };
}

function runScenario(root: string, name: string, file: string, ...options: string[]): boolean {
  const command = ['bench/dist/cli.js', name, ...options, '--json', file];
  return spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' }).status === 0;
}

/**
 * Measures the scenarios whose result is missing. Replaces the results of this Node when all are
 * there.
 *
 * @returns The exit code.
 */
async function record(
  root: string,
  scenarios: readonly Recording[],
  measure: Measure,
): Promise<number> {
  const commit = cleanCommit(root);
  // A page with a wrong marker fails now instead of after the measurement.
  await outdated(root);
  const set = currentSet();
  const folder = `${UNFINISHED}/${set}`;
  const missing = (): readonly Recording[] =>
    scenarios.filter(({ name }) => !isResultOf(commit, join(root, folder, `${name}.json`)));
  measureAll(root, missing(), folder, measure);
  const failed = missing().map(({ name }) => name);
  if (failed.length > 0) {
    process.stderr.write(
      `no result of ${commit}: ${failed.join(', ')}. Nothing was replaced; ${folder} has the others:\n` +
        'the same command measures only what is missing\n',
    );
    return 1;
  }
  const target = join(root, RESULTS, set);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const { name } of scenarios) {
    renameSync(join(root, folder, `${name}.json`), join(target, `${name}.json`));
  }
  await writePages(root);
  return 0;
}

/** @returns Whether all succeeded. */
function measureAll(
  root: string,
  scenarios: readonly Recording[],
  folder: string,
  measure: Measure,
): boolean {
  mkdirSync(join(root, folder), { recursive: true });
  const plan = scenarios.map(({ name, minutes }) => `${name} ${minutes}`).join(', ');
  process.stdout.write(`minutes at full length: ${plan}\n`);
  const succeeded = scenarios.map(({ name }, index) => {
    const left = minutesOf(scenarios.slice(index));
    const place = `${index + 1} of ${scenarios.length}`;
    process.stdout.write(`\n== ${name}, ${place}; at full length ${left} minutes are left\n`);
    return measure(name, `${folder}/${name}.json`);
  });
  return succeeded.every(Boolean);
}

function minutesOf(scenarios: readonly Recording[]): number {
  return scenarios.reduce((sum, { minutes }) => sum + minutes, 0);
}

/** Whether a file is a result of this commit and of this Node. */
function isResultOf(commit: string, file: string): boolean {
  if (!existsSync(file)) return false;
  const { head } = JSON.parse(readFileSync(file, 'utf8')) as Recorded;
  return head.commit === commit && head.versions['node'] === process.versions.node;
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
