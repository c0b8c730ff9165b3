import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import type { Command, Values } from '../command-line/command.ts';
import { workspaceRoot } from '../recorded/workspace.ts';
import { annotationsOf, compareCommits, type Round, tableOf } from './compare-commits.ts';

const run = promisify(execFile);
const CODEC = 'packages/codec/src/index.ts';
const SOURCE = 'bench/src/commits';

const SUMMARY = 'compares the codec of the working tree with that of an earlier commit';

const HELP = `ws-bench commits: ${SUMMARY}

usage: ws-bench commits [COMMIT] [--quick]

Builds both codecs from their sources, the earlier one in a temporary worktree, and measures them in
alternation. A slower codec is a warning, not a failure, because machines are noisy.

  COMMIT   default: HEAD~1

options
  --quick  three rounds instead of seven
`;

/** `ws-bench commits`. */
export const commits: Command = {
  summary: SUMMARY,
  help: HELP,
  options: {},
  common: ['quick'],
  words: { name: 'commit', least: 0, most: 1 },
  run: compare,
};

async function compare(values: Values, [named]: readonly string[]): Promise<number> {
  const root = workspaceRoot();
  const base = named ?? 'HEAD~1';
  const commit = await git(root, 'rev-parse', '--verify', '--quiet', '--short', `${base}^{commit}`)
    // A shallow clone lacks the commit before HEAD. That is no failure.
    .catch(() => undefined);
  if (commit === undefined) {
    print(`there is no commit ${base} to compare with`);
    return named === undefined ? 0 : 2;
  }
  await compareWith(root, commit, values['quick'] === true ? 3 : 7);
  return 0;
}

async function compareWith(root: string, commit: string, rounds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ws-commits-'));
  const tree = join(folder, 'tree');
  // Ctrl-C ends the process that measures. This one still removes its worktree.
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort();
  process.on('SIGINT', stop).on('SIGTERM', stop);
  try {
    await git(root, 'worktree', 'add', '--quiet', '--detach', tree, commit);
    const built = await buildAll(root, folder, tree).catch((error: unknown) => {
      print(`the codec of ${commit} cannot be measured: ${String(error)}`);
    });
    if (built) report(await measure(folder, rounds, interrupt.signal), commit);
  } finally {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    if (existsSync(tree)) await git(root, 'worktree', 'remove', '--force', tree);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Bundles both codecs and the worker into single files without dependencies. */
async function buildAll(root: string, folder: string, tree: string): Promise<true> {
  await bundle(root, folder, 'old', 'subjects.ts', tree);
  await bundle(root, folder, 'new', 'subjects.ts', root);
  await bundle(root, folder, 'worker', 'commits-worker.ts', root);
  return true;
}

async function bundle(
  root: string,
  folder: string,
  name: string,
  entry: string,
  tree: string,
): Promise<void> {
  // Imported here: no other command needs the bundler.
  const { build } = await import('tsup');
  await build({
    config: false,
    entry: { [name]: join(root, SOURCE, entry) },
    outDir: folder,
    format: 'esm',
    outExtension: () => ({ js: '.mjs' }),
    target: 'node20',
    platform: 'node',
    noExternal: [/./],
    splitting: false,
    treeshake: false,
    silent: true,
    esbuildOptions(options) {
      options.alias = { '@ws/codec': join(tree, CODEC) };
    },
  });
}

/** Runs each round in a new process, until `signal` aborts. */
async function measure(folder: string, rounds: number, signal: AbortSignal): Promise<Round[]> {
  const [worker, before, after] = ['worker', 'old', 'new'].map((name) =>
    join(folder, `${name}.mjs`),
  ) as [string, string, string];
  const measured: Round[] = [];
  while (measured.length < rounds && !signal.aborted) {
    process.stderr.write(`round ${measured.length + 1} of ${rounds}\n`);
    // Alternates the first codec: a process is warmer for the second one.
    const first = measured.length % 2 === 0 ? 'old' : 'new';
    const { stdout } = await run(process.execPath, [worker, before, after, first]);
    measured.push(JSON.parse(stdout) as Round);
  }
  return measured;
}

function report(measured: readonly Round[], commit: string): void {
  if (measured.length === 0) return;
  const changes = compareCommits(measured);
  process.stdout.write(tableOf(changes, commit));
  const annotations = annotationsOf(changes, commit);
  if (process.env['GITHUB_ACTIONS'] === 'true') for (const line of annotations) print(line);
  print(`${annotations.length} of ${changes.length} slower than ${commit}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function git(root: string, ...args: string[]): Promise<string> {
  const { stdout } = await run('git', args, { cwd: root });
  return stdout.trim();
}
