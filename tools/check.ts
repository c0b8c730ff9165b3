// `pnpm check`: every check except the tests, in one table, two at once. `.ci/run` calls it too.
import process from 'node:process';
import { bin, list, node, pnpm, runTasks, source, type Task } from './run.ts';

const vitest = bin('vitest');

/** Built packages on one runtime: its command line before the program. */
function smoke(...runtime: [string, ...string[]]): Task['commands'] {
  return [
    [...runtime, 'tools/runtime-smoke.mjs'],
    [...runtime, 'tools/compression-smoke.mjs'],
  ];
}

function npmNode(version: string): Task['commands'] {
  return smoke('npx', '-y', '-p', `node@${version}`, 'node');
}

/** A part of `pnpm long poison`. */
function poison(...args: string[]): Task['commands'][number] {
  return node(vitest, 'run', '--config', '.config/vitest.poison.ts', ...args);
}

const CHECKS: Readonly<Record<string, Task>> = {
  build: { what: 'tsup', commands: [pnpm('--silent', 'run', 'build')] },
  types: { what: 'tsc', commands: [node(bin('typescript', 'tsc'), '-b')] },
  format: {
    what: 'biome: formatting',
    commands: [node(bin('@biomejs/biome', 'biome'), 'ci', '.')],
  },
  lint: { what: 'oxlint', commands: [node(bin('oxlint'), '--config', '.config/oxlint.json')] },
  direction: {
    what: 'dependency-cruiser: which package and which folder may import which',
    commands: [
      node(
        bin('dependency-cruiser', 'depcruise'),
        '--config',
        '.config/dependency-cruiser.mjs',
        'packages',
        'bench',
        'tests',
        'fuzz',
        'examples',
      ),
    ],
  },
  unused: { what: 'knip', commands: [node(bin('knip'), '--config', '.config/knip.json')] },
  docs: {
    what: 'typedoc, vitepress, and the site in a browser, with its links',
    after: 'types',
    commands: [pnpm('--silent', 'run', 'docs'), node(vitest, 'run', ...long('tools/test/site'))],
  },
  packages: {
    what: 'the tarballs: publint, attw, their sizes, a fresh installation (after build)',
    after: 'build',
    commands: [
      source('tools/check/packages.ts'),
      node(vitest, 'run', ...long('tools/test/install')),
    ],
  },
  runtimes: {
    what: 'built packages on Node 20.19 to 26, Bun and Deno (after build)',
    after: 'build',
    commands: [
      ...smoke(process.execPath),
      ...['20.19.0', '22.23.3', '24.21.0', '26.10.0'].flatMap(npmNode),
      ...smoke('npx', '-y', '-p', 'bun@1.4.4', 'bun'),
      ...smoke('npx', '-y', '-p', 'deno@2.9.6', 'deno', 'run', '-A', '--node-modules-dir=manual'),
    ],
  },
  'runtimes-page': {
    what: 'docs/runtimes.md against what the runtimes did',
    after: 'runtimes',
    commands: [source('tools/check/runtimes.ts')],
  },
  size: {
    what: 'size-limit: bundles (after build)',
    after: 'build',
    commands: [node(bin('size-limit'))],
  },
  attacks: {
    what: 'docs/attacks.md against the attacks of the last whole `pnpm test`',
    commands: [source('tools/check/attacks.ts', '--check', '--report=.out/vitest.json')],
  },
  charts: {
    what: 'figures on pages are those of bench/results (after build)',
    after: 'build',
    commands: [node('bench/dist/cli.js', 'charts', '--check')],
  },
  coverage: {
    what: 'test coverage of codec and conn, measured with poisoned pools',
    commands: [
      poison('--coverage', 'packages/codec', 'packages/conn', 'tests/compression', 'tests/pairs'),
      poison('tests/pool-poison'),
    ],
  },
};

/** Arguments of vitest for a suite that is not part of the test command. */
function long(filter: string): string[] {
  return ['--config', '.config/vitest.long.ts', filter];
}

const names = process.argv.slice(2);
if (names.includes('--help')) {
  console.log(
    `usage: pnpm check [name]...\n\nRuns the named checks, or all of them.\n\n${list(CHECKS)}`,
  );
} else {
  await runTasks(CHECKS, names.length > 0 ? names : Object.keys(CHECKS), 2);
}
