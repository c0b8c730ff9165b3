// `pnpm long`: the suites that are too slow for the test command. `.ci/run` runs the bounded part
// (`--ci`).
import { readFileSync } from 'node:fs';
import process from 'node:process';
import {
  allowClosedOutput,
  bin,
  type Command,
  list,
  node,
  pnpm,
  runTasks,
  source,
  type Task,
} from './run.ts';
import { smokes } from './smoke.ts';

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

type Rows = Readonly<Record<string, Task>>;

const SLOW = node(vitest, 'run', '--config', '.config/vitest.slow.ts');

const DATA_EVENTS = node(vitest, 'run', '--config', '.config/vitest.data-events.ts');

const HTTP2 = node(vitest, 'run', '--config', '.config/vitest.http2.ts');

const ATTACKS = source('tools/check/attacks.ts', '--check');

const POISON = node(vitest, 'run', '--config', '.config/vitest.poison.ts');

/** Tests whose number of random inputs is `RUNS`. */
const RANDOM = [
  'compat/test/traces/random-programs',
  'conn/test/pure-deflate/deflater',
  'conn/test/read/straight-path',
  'conn/test/writing/shared-frames',
  'node-io/test/deflate/verdicts',
  'tests/compression/model',
  'tests/contracts/endpoint-and-conn',
];

const NODES = ['20.19.0', '20.20.2', '22.23.3', '24.21.0', '26.10.0'];

/** The program of `@ws/fetch`, its tests too, on another Node. The test command has Node 20. */
function fetchOn(version: string): Command {
  const [, ...run] = SLOW;
  const env = ['env', 'FETCH_RUNTIMES=Node', 'npx', '-y', '-p', `node@${version}`, 'node'] as const;
  return [...env, ...run, 'packages/fetch/test/runtimes.slow', 'packages/fetch/test/hostile.slow'];
}

const PACKED = [pnpm('--silent', 'run', 'build'), source('tools/check/packages.ts')];

const LONG: Rows = {
  slow: {
    what: 'tests that start programs and browsers: examples, conformance, snippets, proxies, …',
    commands: [pnpm('--silent', 'run', 'build'), SLOW],
    // The programs that the tests start use what is built.
    env: { WS_BUILT: '1', FULL_ROUNDS: '1' },
  },
  poison: { what: 'tests again with poisoned pools', commands: [POISON] },
  coverage: {
    what: 'test coverage of codec and conn, measured with poisoned pools',
    commands: [
      [
        ...POISON,
        '--coverage',
        'packages/codec',
        'packages/conn',
        'tests/compression',
        'tests/pairs',
      ],
    ],
  },
  site: {
    what: 'the site of the docs, its links, and in a browser: looks, search, keyboard, a live page',
    commands: [pnpm('--silent', 'run', 'docs'), ...suite('tools/test/site')],
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
  hub: {
    what: 'three nodes and 500 members while nodes, Redis, NATS and JetStream are killed, stopped or cut off: HUB_SEEDS=1-20 HUB_ENGINES=redis,nats,jetstream HUB_FAULTS=10; turns of large rooms',
    commands: [
      node(
        vitest,
        'run',
        '--config',
        '.config/vitest.slow.ts',
        '--testTimeout',
        '600000',
        'killer',
      ),
      node(vitest, 'run', '--config', '.config/vitest.long.ts', 'packages/hub'),
    ],
    env: {
      HUB_SEEDS: process.env['HUB_SEEDS'] ?? '1,2,3',
      HUB_FAULTS: process.env['HUB_FAULTS'] ?? '10',
    },
  },
  proxy: {
    what: '1 GiB past a slow reader, Firefox, and all cases of ws-conform through a proxy',
    commands: [
      ...suite('packages/proxy'),
      ['env', 'PROXY_CASES=*', ...SLOW, 'packages/proxy/test/conformance'],
    ],
  },
  wsx: {
    what: 'starts, lines and memory of wsx beside wscat; installs it from npm',
    commands: [
      pnpm('--silent', '--filter', '@ws/cli...', 'run', 'build'),
      source('packages/cli/test/figures.ts'),
    ],
  },
  browser: {
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
  raw: {
    what: 'random requests to node:http and to raw upgrades: --cases 10000000 --seed 1',
    commands: [source('packages/node-server/test/raw/cli.ts')],
  },
  'mutation-codec': { what: 'mutation tests of codec', commands: [stryker('codec')] },
  'mutation-conn': { what: 'mutation tests of conn', commands: [stryker('conn')] },
  attacks: {
    what: 'the attacks, with the list of their README against them, and with all their repetitions',
    commands: [ATTACKS, ...suite('tests/attacks')],
  },
  random: {
    what: 'the random tests of the packages with more runs: RUNS=10000',
    commands: [node(vitest, 'run', '--project=shared', '--testTimeout', '0', ...RANDOM)],
    env: { RUNS: process.env['RUNS'] ?? '2000' },
  },
  'two-connections': {
    what: 'random programs over two connections: no byte of one in the messages of the other',
    commands: [source('fuzz/run.ts', 'two-connections', '--minutes', '1')],
  },
  'fuzz-planted': { what: 'the fuzzer finds planted bugs', commands: suite('fuzz/') },
  'conformance-ws': {
    what: 'the whole conformance suite against ws and naive peers, in both roles',
    commands: suite('packages/conformance'),
  },
  compat: {
    what: 'packages around ws with ws swapped; installs some of them from npm',
    commands: [
      pnpm('--silent', 'run', 'build'),
      node(vitest, 'run', '--config', '.config/vitest.slow.ts', 'packages/compat'),
      node(vitest, 'run', '--config', '.config/vitest.long.ts', 'packages/compat'),
    ],
  },
  examples: {
    what: 'the examples with more wrong ports',
    commands: [
      pnpm('--silent', 'run', 'build'),
      ['env', 'NO_PORTS=http,65536,-1', ...SLOW, 'examples/'],
    ],
  },
  frameworks: {
    what: 'Next with a custom server and as Vercel runs it, Nitro; installs them from npm',
    commands: [
      pnpm('--silent', 'run', 'build'),
      ...suite('examples/next'),
      ...suite('examples/nitro'),
    ],
  },
  bench: {
    what: 'every scenario of ws-bench, briefly',
    commands: [
      pnpm('--silent', 'run', 'build'),
      [
        'env',
        'BENCH_SCENARIOS=compare,client,compat,micro,handshakes,http2,hub',
        ...SLOW,
        'bench/test/cli',
      ],
    ],
  },
  'data-events': {
    what: 'tests of sockets again, without the read buffer of the thread',
    commands: [DATA_EVENTS],
  },
  http2: {
    what: 'attacks on connections again, as streams of HTTP/2',
    commands: [HTTP2],
  },
  'http2-tls': {
    what: 'attacks by lengths, many frames and pings again, as streams of HTTP/2 over TLS',
    commands: [['env', 'HTTP2_TLS=1', ...HTTP2]],
  },
  ends: {
    what: 'every way in which a connection can end: all states, and all sequences of six events',
    commands: suite('packages/conn/test/connection/every-end'),
  },
  calls: {
    what: 'how many of our functions an echo, a send, an upgrade and a dial call, beside ws, against their bounds: --list echo',
    commands: [source('tools/calls.ts')],
  },
  compression: { what: 'every pair of compression settings', commands: suite('tests/compression') },
  gibibyte: { what: 'a message of 1 GiB', commands: suite('tests/end-to-end') },
  commonjs: {
    what: 'the tarballs by require() and by Jest 30 on Node 20 and 22',
    commands: [...PACKED, ...suite('tools/test/fits/commonjs')],
  },
  types: {
    what: 'the tarballs by TypeScript 5.4 to 7, with and without @types/node',
    commands: [...PACKED, ...suite('tools/test/fits/types')],
  },
  runtimes: {
    what: 'Node 20.19 to 26, Bun and Deno; writes the table of docs/runtimes.md. The program of @ws/fetch on each Node. Bundles: one file, one executable, Electron, React Native',
    commands: [
      pnpm('--silent', 'run', 'build'),
      ...smokes(NODES),
      ...NODES.map(fetchOn),
      source('tools/check/runtimes.ts', '--write'),
      source('tools/check/bundles.ts'),
    ],
  },
  bounds: {
    what: 'memory, and p99 of others, with 1,000 clients that do not read, and with a flood above its rate',
    commands: [pnpm('--silent', 'run', 'build'), node('tools/bounds.mjs')],
  },
  packages: {
    what: 'the tarballs, installed by npm, pnpm and yarn; installs these from npm',
    commands: [...PACKED, ...suite('tools/test/managers')],
  },
  'rename-scope': {
    what: 'the packages under another scope install, type-check and run',
    commands: suite('tools/test/rename-scope'),
  },
};

allowClosedOutput();
const [name, ...args] = process.argv.slice(2);
if (name === '--ci') await bounded();
else if (name === undefined || name === '--help') {
  console.log(`usage: pnpm long <name> [options]\n\n${list(LONG)}`);
} else await runTasks({ ...LONG, ...withArguments(name, args) }, [name]);

/** The bounded part, after `pnpm check`, which builds the packages. */
async function bounded(): Promise<void> {
  // Otherwise a run in an endless loop hangs `.ci/run`, and its seed is lost.
  const short = (row: string): Rows => {
    const rows = withArguments(row, ['--minutes', '0.1']);
    return { [row]: { ...rows[row]!, minutes: 5 } };
  };
  // Much of the time of `slow` is waiting. The attacks measure CPU time and memory of
  // their own processes.
  const rows: Rows = {
    slow: { ...LONG['slow']!, commands: [SLOW], env: { WS_BUILT: '1' }, live: true },
    attacks: { ...LONG['attacks']!, commands: [ATTACKS] },
    calls: LONG['calls']!,
    ...withArguments('data-events', ['packages/node-io', 'test/peers', 'tests/contracts']),
    http2: LONG['http2']!,
    ...short('pairs'),
    ...short('two-connections'),
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
