import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { Command } from '../command-line/command.ts';
import { UsageError } from '../command-line/usage-error.ts';
import { commitOf } from '../report/commit.ts';
import { writePages } from './charts.ts';
import { RESULTS } from './documents.ts';
import { workspaceRoot } from './workspace.ts';

/** New results are written here first: a failed run keeps the results before it. */
const UNFINISHED = '.out/recording';

const SUMMARY = 'records the results of all scenarios, then writes the tables of the pages';

/** `ws-bench record`, for these scenarios. */
export function recordCommand(scenarios: readonly string[]): Command {
  return {
    summary: SUMMARY,
    help: `ws-bench record: ${SUMMARY}

usage: ws-bench record [--quick]

Runs ${scenarios.join(', ')} one after the other with their default options, which
takes about an hour. When all of them have succeeded, it replaces the results in ${RESULTS} and writes
the tables of the pages. It needs a checkout without changes, and two cores of its own.

options
  --quick  a preview in ${UNFINISHED} that replaces nothing
`,
    options: {},
    common: ['quick'],
    run: (values) => record(workspaceRoot(), scenarios, values['quick'] === true),
  };
}

async function record(root: string, scenarios: readonly string[], quick: boolean): Promise<number> {
  if (!quick) checkClean(root);
  mkdirSync(join(root, UNFINISHED), { recursive: true });
  for (const name of scenarios) {
    process.stdout.write(`\n== ${name}\n`);
    const options = [...(quick ? ['--quick'] : []), '--json', `${UNFINISHED}/${name}.json`];
    const { status } = spawnSync(process.execPath, ['bench/dist/cli.js', name, ...options], {
      cwd: root,
      stdio: 'inherit',
    });
    if (status === 0) continue;
    process.stderr.write(`${name} failed; no result was replaced\n`);
    return 1;
  }
  if (quick) return 0;
  mkdirSync(join(root, RESULTS), { recursive: true });
  for (const name of scenarios) {
    renameSync(join(root, UNFINISHED, `${name}.json`), join(root, RESULTS, `${name}.json`));
  }
  await writePages(root);
  return 0;
}

/** A reader must be able to check out what was measured. */
function checkClean(root: string): void {
  const commit = commitOf(join(root, 'bench'));
  if (commit === undefined || commit.endsWith('+changes')) {
    const changed = execFileSync('git', ['status', '--short', '-uno'], {
      cwd: root,
      encoding: 'utf8',
    });
    throw new UsageError(`commit your changes first; a result must name a commit:\n${changed}`);
  }
}
