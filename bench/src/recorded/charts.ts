import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command, Values } from '../command-line/command.ts';
import { faults, outdated, RESULTS } from './outdated.ts';
import { workspaceRoot } from './workspace.ts';

const SUMMARY = 'draws the charts and tables of the pages from recorded results';

const HELP = `ws-bench charts: ${SUMMARY}

usage: ws-bench charts [--check]

Writes docs/charts/*.svg and the tables of README.md and docs/performance.md from ${RESULTS}/*.json.

options
  --check  write nothing; fail for a chart or a table that differs from its result, for a figure
           outside the generated tables, and for a result of a partial run
`;

/** `ws-bench charts`. */
export const charts: Command = {
  summary: SUMMARY,
  help: HELP,
  options: { check: { type: 'boolean' } },
  common: [],
  run,
};

async function run(values: Values): Promise<number> {
  const root = workspaceRoot();
  if (values['check'] === true) return check(root);
  await writeCharts(root);
  return 0;
}

async function check(root: string): Promise<number> {
  const files = await outdated(root);
  const lines = files.map(({ path }) => `${path} differs from ${RESULTS}`);
  if (lines.length > 0) lines.push('run pnpm bench charts');
  lines.push(...faults(root));
  for (const line of lines) process.stderr.write(`${line}\n`);
  return lines.length > 0 ? 1 : 0;
}

/** Writes every chart and page that differs from its result. */
export async function writeCharts(root: string): Promise<void> {
  for (const { path, content } of await outdated(root)) {
    const file = join(root, path);
    if (content === undefined) rmSync(file);
    else {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, content);
    }
    process.stdout.write(`${content === undefined ? 'removed' : 'wrote'} ${path}\n`);
  }
  for (const fault of faults(root)) process.stderr.write(`${fault}\n`);
}
