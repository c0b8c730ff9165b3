// `pnpm check`: every check except the tests, in one table, two at once. `.ci/run` runs all rows, two of them in `pnpm long`.
import { resolve } from 'node:path';
import process from 'node:process';
import { allowClosedOutput, bin, list, node, pnpm, runTasks, source, type Task } from './run.ts';
import { smokes } from './smoke.ts';

const vitest = bin('.', 'vitest');

const CHECKS: Readonly<Record<string, Task>> = {
  build: {
    time: '1 min',
    what: 'tsup',
    commands: [pnpm('--silent', 'run', 'build')],
  },
  types: {
    time: '20 s',
    what: 'tsc',
    commands: [node(bin('tools', 'typescript-7', 'tsc'), '-b')],
  },
  format: {
    time: '5 s',
    what: 'biome: formatting',
    commands: [node(bin('.', '@biomejs/biome', 'biome'), 'ci', '.')],
  },
  lint: {
    time: '25 s',
    what: 'oxlint',
    commands: [node(bin('tools', 'oxlint'), '--config', '.config/oxlint.json')],
    // It looks for its part that knows types in the root only.
    env: { OXLINT_TSGOLINT_PATH: resolve('tools/node_modules/.bin/tsgolint') },
  },
  direction: {
    time: '10 s',
    what: 'dependency-cruiser: which package and which folder may import which',
    commands: [
      node(
        bin('tools', 'dependency-cruiser', 'depcruise'),
        '--config',
        '.config/dependency-cruiser.mjs',
        'packages',
        'bench',
        'conformance',
        'tests',
        'fuzz',
        'examples',
      ),
    ],
  },
  counts: {
    time: '1 s',
    what: 'files, lines, interfaces and internal names of each package, against their bounds; verbs',
    commands: [source('tools/check/counts.ts'), source('tools/check/verbs.ts')],
  },
  unused: {
    time: '8 s',
    what: 'knip: unused files, exports and dependencies',
    commands: [node(bin('tools', 'knip'), '--config', '.config/knip.json')],
  },
  docs: {
    time: '25 s',
    what: 'typedoc: the API reference (after types); figures on pages are those of the records; the age of each record',
    after: 'types',
    commands: [
      node(bin('docs', 'typedoc'), '--options', 'docs/typedoc.json'),
      source('bench/tools/run.ts', 'charts', '--check'),
      source('tools/check/records.ts'),
    ],
  },
  release: {
    time: '1 s',
    what: 'no record is more than 200 commits of the core old. Only when it is named',
    commands: [source('tools/check/records.ts', '--release')],
  },
  api: {
    time: '2 s',
    what: 'the public surface of each package is that of api/*.md; pnpm api writes them (after types)',
    after: 'types',
    commands: [source('tools/check/api.ts')],
  },
  packages: {
    time: '30 s',
    what: 'the tarballs: publint, attw, licenses, their sizes, a fresh installation (after build)',
    after: 'build',
    commands: [
      source('tools/check/packages.ts'),
      node(vitest, 'run', ...long('tools/test/install')),
    ],
  },
  runtimes: {
    time: '25 s',
    what: 'built packages on the oldest, the LTS and the newest Node, Bun and Deno, against docs/runtimes.md (after build)',
    after: 'build',
    commands: [...smokes(['20.19.0', '24.21.0', '26.10.0']), source('tools/check/runtimes.ts')],
  },
  size: {
    time: '3 s',
    what: 'size-limit: bundles (after build)',
    after: 'build',
    commands: [pnpm('--silent', '--dir', 'tools', 'exec', 'size-limit')],
  },
};

/** With `--ci` they are left to `pnpm long --ci`: beside the slow tests, which mostly wait as they do. */
const BESIDE_SLOW = ['packages', 'runtimes'];

/** Arguments of vitest for a suite that is not part of the test command. */
function long(filter: string): string[] {
  return ['--config', '.config/vitest.long.ts', '--project', 'minutes', filter];
}

allowClosedOutput();
const names = process.argv.slice(2);
if (names.includes('--help')) {
  console.log(
    `usage: pnpm check [name]...\n\nRuns the named checks, or all of them. Times are about those of two idle cores.\n\n${list(CHECKS)}`,
  );
} else {
  const isCi = names.includes('--ci');
  const left = isCi ? ['release', ...BESIDE_SLOW] : ['release'];
  const all = Object.keys(CHECKS).filter((name) => !left.includes(name));
  await runTasks(CHECKS, isCi || names.length === 0 ? all : names, 2);
}
