// Compares the codec of the working tree with that of an earlier commit: both are built from their sources and measured
// in turns, in several processes. It warns of what has become slower and never fails for it, since machines are noisy.
//
//     pnpm bench:commits            with HEAD~1
//     pnpm bench:commits v1.2.0     with that commit
//     pnpm bench:commits --quick    three rounds instead of seven
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { build } from 'tsup';
import {
  annotationsOf,
  compareCommits,
  type Round,
  tableOf,
} from './src/commits/compare-commits.ts';
import { scriptArguments } from './src/script-arguments.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..');
const source = join(import.meta.dirname, 'src/commits');
const CODEC = 'packages/codec/src/index.ts';

const HELP = `Measures the codec of the working tree next to that of an earlier commit, in turns.

usage: pnpm bench:commits [COMMIT] [--quick]

Both are built from their sources, the earlier one in a temporary worktree. What has become slower is told; that is no
failure, since machines are noisy.

  COMMIT   HEAD~1

options
  --quick  three rounds instead of seven
  --help   this text
`;

const { values, positionals } = scriptArguments(HELP, {
  options: { quick: { type: 'boolean', default: false } },
  allowPositionals: true,
});
if (positionals.length > 1) {
  console.error(`unexpected: ${positionals.slice(1).join(' ')}; see --help`);
  process.exit(2);
}
const base = positionals[0] ?? 'HEAD~1';
const rounds = values.quick ? 3 : 7;

// Ctrl-C ends the process that measures; then everything is put away.
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => (interrupted = true));

const commit = await git('rev-parse', '--verify', '--quiet', '--short', `${base}^{commit}`).catch(
  () => undefined,
);
if (commit === undefined) {
  console.log(`there is no commit ${base} to compare with`);
  if (positionals.length > 0) process.exitCode = 2;
} else {
  await compareWith(commit);
}

async function compareWith(commit: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'ws-commits-'));
  const tree = join(folder, 'tree');
  try {
    await git('worktree', 'add', '--quiet', '--detach', tree, commit);
    const built = await buildAll(folder, tree).catch((error: unknown) => {
      console.log(`the codec of ${commit} cannot be measured: ${String(error)}`);
    });
    if (built) await report(folder, commit);
  } finally {
    if (existsSync(tree)) await git('worktree', 'remove', '--force', tree);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Both builds and the worker, as single files that need nothing else. */
async function buildAll(folder: string, tree: string): Promise<true> {
  await bundle(folder, 'old', 'subjects.ts', tree);
  await bundle(folder, 'new', 'subjects.ts', root);
  await bundle(folder, 'worker', 'commits-worker.ts', root);
  return true;
}

async function bundle(folder: string, name: string, entry: string, tree: string): Promise<void> {
  await build({
    config: false,
    entry: { [name]: join(source, entry) },
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

async function report(folder: string, commit: string): Promise<void> {
  const [worker, before, after] = ['worker', 'old', 'new'].map((name) =>
    join(folder, `${name}.mjs`),
  ) as [string, string, string];
  const measured: Round[] = [];
  while (measured.length < rounds && !interrupted) {
    process.stderr.write(`round ${measured.length + 1} of ${rounds}\n`);
    // Another one goes first each time, so that no place is always the warm one.
    const first = measured.length % 2 === 0 ? 'old' : 'new';
    const { stdout } = await run(process.execPath, [worker, before, after, first]);
    measured.push(JSON.parse(stdout) as Round);
  }
  if (measured.length === 0) return;
  const changes = compareCommits(measured);
  process.stdout.write(tableOf(changes, commit));
  const annotations = annotationsOf(changes, commit);
  if (process.env['GITHUB_ACTIONS'] === 'true') for (const line of annotations) console.log(line);
  console.log(`${annotations.length} of ${changes.length} slower than ${commit}`);
}

async function git(...args: string[]): Promise<string> {
  const { stdout } = await run('git', args, { cwd: root });
  return stdout.trim();
}
