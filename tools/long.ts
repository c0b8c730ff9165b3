// `pnpm long`: the suites that are too slow for the test command. `.ci/run` runs a bounded part of some
// rows (`--ci`): see `bounded`.
import { readFileSync } from 'node:fs';
import process from 'node:process';
import {
  allowClosedOutput,
  bin,
  type Command,
  list,
  node,
  pnpm,
  runAll,
  runTasks,
  source,
  type Task,
} from './run.ts';
import { smokes } from './smoke.ts';

const vitest = bin('.', 'vitest');

/** Runs a project of vitest.long.ts, and the one of its isolated files. */
function project(name: string, ...args: string[]): Command {
  return node(vitest, 'run', '--config', '.config/vitest.long.ts', `--project=*${name}`, ...args);
}

function suite(filter: string): Task['commands'] {
  return [project('minutes', filter)];
}

/** For npm, which asks the Node of this process whether it fits a package that another Node runs. */
const ANY_NODE = { npm_config_engine_strict: 'false' };

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

type Rows = Readonly<Record<string, Task>>;

const SLOW = project('slow');

const HTTP2 = project('http2');

const ATTACKS = source('tools/check/attacks.ts', '--check');

const POISON = project('poison');

const RUNS = process.env['RUNS'] ?? '2000';

/** Tests whose number of random inputs is `RUNS`. */
const RANDOM = [
  'compat/test/traces/random-programs',
  'hub/test/backplane/channel-random',
  'hub/test/rooms/resume-random',
  'conn/test/read/straight-path',
  'conn/test/writing/shared-frames',
  'hub/test/serve-rooms/loops-random',
  'hub/test/serve-rooms/rooms-random',
  'node-io/test/deflate/contract',
  'node-io/test/deflate/verdicts',
  'rpc/test/order-random',
  'rpc/test/stream-model',
  'tests/compression/model',
];

/** Random tests with other variables, and tests that have a part of their tables without FULL_ROUNDS. */
const LAWS = [
  'fuzz/laws',
  'fuzz/test/two-connections',
  'conn/test/writing/settled-bytes',
  'hub/test/presence/presence-random',
  'hub/test/random-faults',
  'hub/test/serve-rooms/state-random',
  'rpc/test/flood-memory',
  'rpc/test/model',
  'rpc/test/stream-bounds',
  'tests/compression/bad-input',
  'tests/end-to-end/unsent-closes',
  'tests/guard-rails/bytes-that-lie',
];

const NODES = ['20.19.0', '20.20.2', '22.23.3', '24.21.0', '26.10.0'];

/** The program of `@ws/fetch`, its tests too, on another Node. The test command has Node 20. */
function fetchOn(version: string): Command {
  const [, ...run] = SLOW;
  const env = ['env', 'FETCH_RUNTIMES=Node', 'npx', '-y', '-p', `node@${version}`, 'node'] as const;
  return [...env, ...run, 'packages/fetch/test/runtimes.slow', 'packages/fetch/test/hostile.slow'];
}

const BUILD = pnpm('--silent', 'run', 'build');

const LONG: Rows = {
  slow: {
    time: '8 min',
    what: 'tests that start programs and browsers: examples, conformance, snippets, proxies, … (CI)',
    commands: [['env', '-u', 'WS_BUILT', ...BUILD], SLOW],
    // The programs that the tests start use what is built. No build starts beside them.
    env: { WS_BUILT: '1', FULL_ROUNDS: '1' },
  },
  attacks: {
    time: '5 min',
    what: 'the attacks, with the list of their README against them (CI), and with all their repetitions',
    commands: [ATTACKS, ...suite('tests/attacks')],
  },
  http2: {
    time: '2 min',
    what: 'attacks on connections again, as streams of HTTP/2 (CI), then a part of them over TLS',
    commands: [HTTP2, ['env', 'HTTP2_TLS=1', ...HTTP2]],
  },
  'data-events': {
    time: '1 min',
    what: 'tests of sockets again, without the read buffer of the thread (CI: a part)',
    commands: [project('data-events')],
  },
  poison: {
    time: '8 min',
    what: 'random frames (CI), then most tests, with poisoned pools; the coverage of codec and conn',
    commands: [[...POISON, '--coverage']],
  },
  pairs: {
    time: '10 min',
    what: 'random sequences of operations against a model (CI: 6 s): --minutes 10',
    commands: [source('tests/pairs/cli.ts')],
  },
  calls: {
    time: '10 s',
    what: 'how many of our functions an echo, an upgrade, a join, a call and other steps call, beside ws, against their bounds (CI): --list echo',
    commands: [source('tools/calls.ts')],
  },
  reproducible: {
    time: '4 min',
    what: 'packs the last commit twice, in other folders, with another time zone, locale, umask and day: the same bytes',
    commands: [source('tools/check/reproducible.ts')],
  },
  random: {
    time: '20 min',
    what: 'the laws and the random tests of the packages with more runs: RUNS=10000',
    commands: [
      source('fuzz/run.ts', 'laws', '--runs', RUNS),
      node(vitest, 'run', '--project=shared', '--testTimeout', '0', ...RANDOM),
    ],
    env: { RUNS },
  },
  exhaustive: {
    time: '15 min',
    what: 'every end of a connection by six events, every pair of compression settings, a message of 1 GiB',
    commands: [
      ...suite('packages/conn/test/connection/every-end'),
      ...suite('tests/compression'),
      ...suite('tests/end-to-end'),
    ],
  },
  raw: {
    time: '10 min',
    what: 'random requests to node:http and to raw upgrades: --cases 10000000 --seed 1',
    commands: [source('packages/node-server/test/raw/cli.ts')],
  },
  soak: {
    time: '10 min',
    what: 'a server for hours: --minutes 10',
    commands: [source('tests/soak/run.ts')],
  },
  chaos: {
    time: '10 min',
    what: 'faults over real sockets: --minutes 10',
    commands: [source('tests/chaos/cli.ts')],
  },
  planted: {
    time: '3 min',
    what: 'the soak and the fuzzer find planted leaks and bugs',
    commands: [...suite('tests/soak'), ...suite('fuzz/')],
  },
  'mutation-codec': {
    time: '1 h',
    what: 'mutation tests of codec',
    commands: [stryker('codec')],
    env: ANY_NODE,
  },
  'mutation-conn': {
    time: '2 h',
    what: 'mutation tests of conn',
    commands: [stryker('conn')],
    env: ANY_NODE,
  },
  hub: {
    time: '12 min',
    what: 'three nodes and 500 members while nodes, Redis, NATS and JetStream are killed, stopped or cut off: HUB_SEEDS=1-20 HUB_ENGINES=redis,nats,jetstream HUB_FAULTS=10; turns of large rooms',
    commands: [[...SLOW, '--testTimeout', '600000', 'killer'], ...suite('packages/hub')],
    env: {
      HUB_SEEDS: process.env['HUB_SEEDS'] ?? '1,2,3',
      HUB_FAULTS: process.env['HUB_FAULTS'] ?? '10',
    },
  },
  proxy: {
    time: '4 min',
    what: '1 GiB past a slow reader, Firefox, and all cases of ws-conform through a proxy',
    commands: [
      ...suite('packages/proxy'),
      ['env', 'PROXY_CASES=*', ...SLOW, 'packages/proxy/test/conformance'],
    ],
  },
  browser: {
    time: '5 min',
    what: 'all cases of ws-conform in Chromium; echoes and awaited writes of a page (Firefox too), compared with a bare WebSocket: --rounds 21',
    commands: [
      pnpm('--silent', '--filter', '@ws/browser', 'run', 'standalone'),
      [
        'env',
        'BROWSER_CASES=1.*,2.*,5.*,6.*,7.*,9.*,10.*',
        ...SLOW,
        'packages/browser/test/conformance',
      ],
      source('packages/browser/test/page-speed.ts'),
    ],
  },
  'conformance-ws': {
    time: '5 min',
    what: 'the whole conformance suite against ws and naive peers, in both roles',
    commands: suite('conformance'),
  },
  compat: {
    time: '4 min',
    what: 'packages around ws with ws swapped; installs some of them from npm',
    commands: [BUILD, [...SLOW, 'packages/compat'], ...suite('packages/compat')],
  },
  examples: {
    time: '6 min',
    what: 'the examples with more wrong ports, and the programs of docs/frameworks.md; installs Next and Nitro from npm',
    commands: [
      BUILD,
      ['env', 'NO_PORTS=http,65536,-1', ...SLOW, 'examples/', 'tests/frameworks'],
      ...suite('tests/frameworks'),
    ],
  },
  bench: {
    time: '5 min',
    what: 'every scenario of ws-bench, briefly; its load generator, and how it stops',
    commands: [
      BUILD,
      [
        'env',
        'BENCH_SCENARIOS=compare,client,compat,micro,handshakes,http2,hub,rpc',
        ...SLOW,
        'bench/test/cli',
      ],
      ...suite('bench/'),
    ],
  },
  bounds: {
    time: '2 min',
    what: 'memory, and p99 of others, with 1,000 clients that do not read, and with a flood above its rate',
    commands: [BUILD, node('tools/bounds.mjs')],
  },
  runtimes: {
    time: '6 min',
    what: 'Node 20.19 to 26, Bun and Deno; writes the table of docs/runtimes.md. The program of @ws/fetch on each Node. Bundles: one file, one executable, Electron, React Native',
    commands: [
      BUILD,
      ...smokes(NODES),
      ...NODES.map(fetchOn),
      source('tools/check/runtimes.ts', '--write'),
      source('tools/check/bundles.ts'),
    ],
  },
  site: {
    time: '2 min',
    what: 'the site of the docs: its links, llms.txt and docs.txt',
    commands: [pnpm('--silent', 'run', 'docs'), ...suite('tools/test/site')],
  },
};

const BROWSERS = ['tests/browsers'];

/** What a row needs beside what the tests need: arguments of `tools/ready.mjs`. An empty list is everything. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
  '--ci': [],
  slow: [],
  examples: [],
  hub: ['packages/hub/test'],
  proxy: BROWSERS,
  browser: BROWSERS,
  compat: ['packages/compat/test', 'tools'],
  bench: ['bench...'],
  runtimes: [...BROWSERS, 'tools/runtimes'],
};

allowClosedOutput();
const [name, ...args] = process.argv.slice(2);
const needs = NEEDS[name ?? ''];
if (needs !== undefined && !(await runAll([node('tools/ready.mjs', ...needs)]))) process.exit(1);
if (name === '--ci') await bounded();
else if (name === undefined || name === '--help') {
  console.log(
    `usage: pnpm long <name> [options]\n\nTimes are about those of two idle cores. .ci/run runs what is marked with CI.\n\n${list(LONG)}`,
  );
} else await runTasks({ ...LONG, ...withArguments(name, args) }, [name]);

/** The bounded part of `.ci/run`, after `pnpm check`, which builds the packages. */
async function bounded(): Promise<void> {
  const short = ['--minutes', '0.1'];
  const rows: Rows = {
    // Much of the time of `slow` is waiting.
    slow: { ...LONG['slow']!, commands: [SLOW], env: { WS_BUILT: '1' }, live: true },
    // The attacks measure CPU time and memory of their own processes.
    attacks: { ...LONG['attacks']!, commands: [ATTACKS] },
    calls: LONG['calls']!,
    poison: { ...LONG['poison']!, commands: [[...POISON, 'tests/pool-poison']] },
    ...withArguments('data-events', ['packages/node-io', 'test/peers', 'tests/contracts']),
    http2: { ...LONG['http2']!, commands: [HTTP2] },
    // Otherwise a run in an endless loop hangs `.ci/run`, and its seed is lost.
    pairs: { ...LONG['pairs']!, commands: [source('tests/pairs/cli.ts', ...short)], minutes: 5 },
    'two-connections': {
      time: '6 s',
      what: 'no byte of one connection is in the messages of another',
      commands: [source('fuzz/run.ts', 'two-connections', ...short)],
      minutes: 5,
    },
    random: {
      time: '1 min',
      what: 'the laws and the random tests, with more runs than in the test command',
      commands: [node(vitest, 'run', '--project=shared', '--project=isolated', ...RANDOM, ...LAWS)],
      env: { FULL_ROUNDS: '1' },
    },
    // `pnpm check --ci` leaves these rows out.
    built: {
      time: '1 min',
      what: 'the tarballs, and built packages on other runtimes',
      commands: [source('tools/check.ts', 'packages', 'runtimes')],
      env: { WS_BUILT: '1' },
    },
  };
  await runTasks(rows, Object.keys(rows), 2);
}

/** The row, with `rest` appended to its last command. */
function withArguments(row: string, rest: readonly string[]): Rows {
  if (!Object.hasOwn(LONG, row)) return {};
  const task = LONG[row]!;
  const last = task.commands.at(-1)!;
  return { [row]: { ...task, commands: [...task.commands.slice(0, -1), [...last, ...rest]] } };
}
