// `pnpm check`: every check except the tests, in one table, two at once. `.ci/run` calls it too.
import process from 'node:process';
import { allowClosedOutput, bin, list, node, pnpm, runTasks, source, type Task } from './run.ts';
import { smokes } from './smoke.ts';

const vitest = bin('vitest');

const CHECKS: Readonly<Record<string, Task>> = {
  build: { what: 'tsup', commands: [pnpm('--silent', 'run', 'build')] },
  types: { what: 'tsc', commands: [node(bin('typescript-7', 'tsc'), '-b')] },
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
  counts: {
    what: 'files, lines, interfaces and internal names of each package, against their bounds',
    commands: [source('tools/check/counts.ts')],
  },
  unused: { what: 'knip', commands: [node(bin('knip'), '--config', '.config/knip.json')] },
  docs: {
    what: 'typedoc: the API reference (after types)',
    after: 'types',
    commands: [node(bin('typedoc'), '--options', '.config/typedoc.json')],
  },
  packages: {
    what: 'the tarballs: publint, attw, licenses, their sizes, a fresh installation (after build)',
    after: 'build',
    commands: [
      source('tools/check/packages.ts'),
      node(vitest, 'run', ...long('tools/test/install')),
    ],
  },
  runtimes: {
    what: 'built packages on the oldest, the LTS and the newest Node, Bun and Deno (after build)',
    after: 'build',
    commands: smokes(['20.19.0', '24.21.0', '26.10.0']),
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
  charts: {
    what: 'figures on pages are those of bench/results',
    commands: [source('bench/tools/run.ts', 'charts', '--check')],
  },
  poison: {
    what: 'no frame contains old memory: random frames with poisoned pools',
    commands: [node(vitest, 'run', '--config', '.config/vitest.poison.ts', 'tests/pool-poison')],
  },
};

/** Arguments of vitest for a suite that is not part of the test command. */
function long(filter: string): string[] {
  return ['--config', '.config/vitest.long.ts', filter];
}

allowClosedOutput();
const names = process.argv.slice(2);
if (names.includes('--help')) {
  console.log(
    `usage: pnpm check [name]...\n\nRuns the named checks, or all of them.\n\n${list(CHECKS)}`,
  );
} else {
  await runTasks(CHECKS, names.length > 0 ? names : Object.keys(CHECKS), 2);
}
