// `pnpm long`: the suites that are too slow for the test command. `.ci/run` runs the bounded part
// (`--ci`).
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { bin, type Command, list, node, pnpm, runTasks, source, type Task } from './run.ts';

const vitest = bin('vitest');

function suite(filter: string): Task['commands'] {
  return [node(vitest, 'run', '--config', '.config/vitest.long.ts', filter)];
}

/** Stryker needs Node 22 or newer, and a vitest of the workspace's version. */
function stryker(name: string): Command {
  const { version } = JSON.parse(readFileSync('node_modules/vitest/package.json', 'utf8')) as {
    version: string;
  };
  const versions = [
    'node@24.21.0',
    '@stryker-mutator/core@10.1.1',
    '@stryker-mutator/vitest-runner@10.1.1',
    `vitest@${version}`,
  ];
  const packages = versions.flatMap((version) => ['-p', version]);
  return ['npx', '-y', ...packages, 'stryker', 'run', `tests/mutation/${name}.mjs`];
}

const LONG: Readonly<Record<string, Task>> = {
  slow: {
    what: 'tests that start programs and browsers: examples, conformance, snippets, proxies, …',
    commands: [
      pnpm('--silent', 'run', 'build'),
      node(vitest, 'run', '--config', '.config/vitest.slow.ts'),
    ],
  },
  poison: {
    what: 'tests again with poisoned pools',
    commands: [node(vitest, 'run', '--config', '.config/vitest.poison.ts')],
  },
  soak: { what: 'a server for hours: --minutes 10', commands: [source('tests/soak/run.ts')] },
  'soak-planted': { what: 'the soak reports planted leaks', commands: suite('tests/soak') },
  chaos: {
    what: 'faults over real sockets: --minutes 10',
    commands: [source('tests/chaos/cli.ts')],
  },
  pairs: {
    what: 'random sequences of operations against a model: --minutes 10',
    commands: [source('tests/pairs/cli.ts')],
  },
  laws: {
    what: 'property tests with more runs: --runs 1000000',
    commands: [source('fuzz/run.ts', 'laws')],
  },
  'mutation-codec': { what: 'mutation tests of codec', commands: [stryker('codec')] },
  'mutation-conn': { what: 'mutation tests of conn', commands: [stryker('conn')] },
  attacks: { what: 'attacks with all their repetitions', commands: suite('tests/attacks') },
  'fuzz-planted': { what: 'the fuzzer finds planted bugs', commands: suite('fuzz/') },
  'conformance-ws': {
    what: 'the conformance suite against ws, in both roles',
    commands: suite('packages/conformance'),
  },
  compression: { what: 'every pair of compression settings', commands: suite('tests/compression') },
  gibibyte: { what: 'a message of 1 GiB', commands: suite('tests/end-to-end') },
  'rename-scope': {
    what: 'the packages under another scope install, type-check and run',
    commands: suite('tools/test/rename-scope'),
  },
};

/** The bounded part. */
const IN_CI: readonly (readonly [name: string, ...args: string[]])[] = [
  ['slow'],
  [
    'poison',
    'packages/codec',
    'packages/conn',
    'tests/compression',
    'tests/pairs',
    'tests/pool-poison',
  ],
  ['soak', '--minutes', '1'],
  ['chaos', '--minutes', '1'],
  ['pairs', '--minutes', '1'],
];

const [name, ...args] = process.argv.slice(2);
if (name === '--ci') {
  for (const [each, ...rest] of IN_CI) await run(each, rest);
} else if (name === undefined || name === '--help') {
  console.log(`usage: pnpm long <name> [options]\n\n${list(LONG)}`);
} else await run(name, args);

/** Runs one row, with `rest` appended to its last command. */
async function run(row: string, rest: readonly string[]): Promise<void> {
  const task = LONG[row];
  if (task === undefined) return runTasks(LONG, [row]);
  const commands = task.commands.map((command, i): Task['commands'][number] =>
    i === task.commands.length - 1 ? [...command, ...rest] : command,
  );
  const before = process.exitCode;
  await runTasks({ [row]: { ...task, commands } }, [row]);
  process.exitCode = before === undefined || before === 0 ? process.exitCode : before;
}
