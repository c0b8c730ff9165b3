import { spawnSync } from 'node:child_process';
import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import type { Command, Values } from '../command-line/command.ts';
import { parseCommand } from '../command-line/parse.ts';
import { UsageError } from '../command-line/usage-error.ts';
import { writeCharts } from './charts.ts';
import { RESULTS } from './outdated.ts';
import { workspaceRoot } from './workspace.ts';

/** New results are written here first, so that a failed run keeps the result before it. */
const UNFINISHED = '.out/recording';

const SUMMARY = 'records the results that the pages show, then draws their charts';

/** `ws-bench record`, for these scenarios. */
export function recordCommand(scenarios: Readonly<Record<string, Command>>): Command {
  const names = Object.keys(scenarios);
  return {
    summary: SUMMARY,
    help: `ws-bench record: ${SUMMARY}

usage: ws-bench record [SCENARIO]... [options of the scenarios]

Runs the scenarios one after the other, writes their results to ${RESULTS}, and draws the charts and
tables of README.md and docs/performance.md. Run it as 'pnpm bench record', which builds first.

  SCENARIO  ${names.join(', ')}; default: all

Every option is passed to each scenario: see ws-bench SCENARIO --help.
`,
    options: optionsOf(Object.values(scenarios)),
    common: ['quick'],
    words: { name: 'scenario', least: 0, most: Number.POSITIVE_INFINITY },
    async run(values, words) {
      const unknown = words.filter((name) => !names.includes(name));
      if (unknown.length > 0) {
        throw new UsageError(`cannot record ${unknown.join(', ')}; expected ${names.join(', ')}`);
      }
      if (values['only'] !== undefined && words.length === 0) {
        throw new UsageError('--only: name the scenario, such as record compare --only heap');
      }
      const chosen = names.filter((name) => words.length === 0 || words.includes(name));
      const options = argumentsOf(values);
      // A wrong option is an error before the first measurement, not after it.
      for (const name of chosen) parseCommand(options, scenarios[name]!);
      return record(workspaceRoot(), chosen, options);
    },
  };
}

/** The options of all scenarios, without their defaults. */
function optionsOf(scenarios: readonly Command[]): Command['options'] {
  return Object.fromEntries(
    scenarios.flatMap(({ options }) =>
      Object.entries(options).map(([name, { type }]) => [name, { type }]),
    ),
  );
}

function argumentsOf(values: Values): string[] {
  return Object.entries(values).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : [`--${name}`, String(value)],
  );
}

async function record(
  root: string,
  names: readonly string[],
  options: readonly string[],
): Promise<number> {
  for (const folder of [UNFINISHED, RESULTS]) mkdirSync(join(root, folder), { recursive: true });
  const failed = names.find((name) => !recordOne(root, name, options));
  await writeCharts(root);
  if (failed === undefined) return 0;
  process.stderr.write(`${failed} failed; the results recorded before it are kept\n`);
  return 1;
}

/** @returns Whether the scenario succeeded. */
function recordOne(root: string, name: string, options: readonly string[]): boolean {
  process.stdout.write(`\n== ${name}\n`);
  const file = `${UNFINISHED}/${name}.json`;
  const { status } = spawnSync(
    process.execPath,
    ['bench/dist/cli.js', name, ...options, '--json', file],
    { cwd: root, stdio: 'inherit' },
  );
  if (status === 0) renameSync(join(root, file), join(root, RESULTS, `${name}.json`));
  return status === 0;
}
