import { type Contest, type ContestResult, spreadOver } from '../harness/runner.ts';
import { spreadOf } from '../harness/statistics.ts';
import { contenderTable, mapped, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import { BASE, NATIVE } from '../rivals/contenders.ts';
import { ECHO_WARM_UP, echoContest, QUICK_ECHO_WARM_UP, startEcho, type Workload } from './echo.ts';
import { allowedConnections, type Environment, type Scenario } from './scenario.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const IDLE = 5000;
const LATENCY = 'latency at ';
/** The row like most programs: one message in flight. */
const SINGLE = '64 x 1 x 16 B';

const OURS: readonly string[] = ['receive', 'loop'];
/** The contenders whose application can answer with other bytes. */
const ANSWERING: readonly string[] = [...OURS, 'ws', NATIVE, BASE, 'bun'];
const ALL: readonly string[] = [...ANSWERING, 'raw1'];

function workload(
  connections: number,
  depth: number,
  size: number | readonly number[],
  more: Partial<Workload> = {},
): Workload {
  return { connections, depth, sizes: [size].flat(), content: 'binary', ...more };
}

/** The echo workloads: connections x messages in flight x bytes. */
const CELLS: readonly (readonly [
  name: string,
  workload: Workload,
  contenders: readonly string[],
])[] = [
  [SINGLE, workload(64, 1, 16), ALL],
  ['64 x 16 x 16 B', workload(64, 16, 16), ALL],
  ['64 x 16 x 1 KiB', workload(64, 16, KIB), ALL],
  ['16 x 1 x 64 KiB', workload(16, 1, 64 * KIB), ALL],
  ['4 x 1 x 1 MiB', workload(4, 1, MIB), ALL],
  ['64 x 16 x mixed sizes', workload(64, 16, [16, 300, 64, 5000, 16, 1200, 40, 20_000]), ALL],
  ['text 64 x 16 x 128 B ASCII', workload(64, 16, 128, { content: 'ascii' }), ALL],
  ['text 64 x 16 x 128 B mixed scripts', workload(64, 16, 128, { content: 'mixed' }), ALL],
  ['text 16 x 4 x 16 KiB ASCII', workload(16, 4, 16 * KIB, { content: 'ascii' }), ALL],
  ['text 16 x 4 x 16 KiB mixed scripts', workload(16, 4, 16 * KIB, { content: 'mixed' }), ALL],
  ['JSON parse and reply 64 x 16', workload(64, 16, 0, { content: 'json' }), ANSWERING],
  ['wss 64 x 16 x 16 B', workload(64, 16, 16, { tls: true }), ALL],
  ['wss 16 x 1 x 64 KiB', workload(16, 1, 64 * KIB, { tls: true }), ALL],
];

const HELP = `Servers echo to a load process over bare sockets, each in its own process and on its own core. The
load compares every byte of the echoes.

  workload  connections x messages in flight on each x bytes of a message
  receive   our server with conn.receive(handler)
  loop      our server with for await (const message of conn), as the README shows it
  ws        as it is installed; 'native mask': with bufferutil; 'corked': also corked by its application
  bun       Bun's own server
  raw1      the limit: a TCP echo of bytes whose sockets read into one buffer; no frames, no masks

With messages of 16 KiB and more, every server keeps freed memory (MALLOC_TRIM_THRESHOLD_ and
MALLOC_MMAP_THRESHOLD_ are 32 MiB), and V8 has --initial-old-space-size=256. By default, chance
decides for each process whether glibc keeps memory, and how often V8 makes a full collection.

The tables: messages per CPU second relative to '${BASE}'; CPU, bytes and memory with one message in
flight; thousands of messages per CPU second; latency at fixed rates.
`;

/** `ws-bench compare`. */
export const compare: Scenario = {
  name: 'compare',
  summary: 'echo next to ws, Bun and raw TCP; latency, TLS',
  help: HELP,
  full: { processes: 3, rounds: 3, ms: 300, warmUpMs: ECHO_WARM_UP },
  minutes: 19,
  quick: { processes: 1, rounds: 2, ms: 300, warmUpMs: QUICK_ECHO_WARM_UP },
  contests,
  tables,
};

function contests(environment: Environment): Contest[] {
  const idle = allowedConnections(IDLE);
  return [
    ...CELLS.map(([name, traffic, names]) => echoContest(environment, name, traffic, names)),
    {
      ...echoContest(
        environment,
        `64 x 16 x 16 B beside ${idle} idle`,
        workload(64, 16, 16, { idle }),
        ALL,
      ),
      alone: true,
    },
    ...latencyContests(environment, ALL),
  ];
}

/** Fixed rates: shares of what `ws` can do with the same messages. */
function latencyContests(environment: Environment, contenders: readonly string[]): Contest[] {
  const traffic = workload(64, 16, KIB);
  let most: Promise<number> | undefined;
  const mostOfWs = (): Promise<number> => (most ??= measureRate(environment, traffic));
  return [50, 80].map((percent) =>
    echoContest(
      environment,
      `${LATENCY}${percent} % of ws, 64 connections, 1 KiB`,
      { ...traffic, depth: 1000, rate: async () => ((await mostOfWs()) * percent) / 100 },
      contenders,
    ),
  );
}

/** Messages per second of `ws` without corks in a closed loop. */
async function measureRate(environment: Environment, traffic: Workload): Promise<number> {
  const { load } = environment;
  const server = await startEcho(environment, 'rate', NATIVE, traffic);
  try {
    const run = { group: server.group, depth: traffic.depth, ms: 1000 };
    await load.ask('run', run);
    const { messages, ms } = await load.ask('run', run);
    return (1000 * messages) / ms;
  } finally {
    await server.end();
  }
}

function tables(results: readonly ContestResult[]): Table[] {
  const latency = results.filter(({ name }) => name.startsWith(LATENCY));
  const cells = results.filter((one) => !latency.includes(one));
  return [
    ratioTable(
      {
        title: 'Echo',
        unit: `messages per CPU second of the server, relative to ${BASE}`,
        note: 'More is better.',
        results: cells,
      },
      BASE,
      'us',
    ),
    singleTable(results),
    contenderTable(
      {
        title: 'What a core does',
        unit: 'thousand messages per CPU second of the server',
        note: 'More is better.',
        results: cells,
      },
      (result, name) => thousands(result, name),
    ),
    ...latencyTables(latency),
  ].filter(({ labels }) => labels.length > 0);
}

function thousands(result: ContestResult, name: string) {
  const costs = result.readings[name]?.['us'];
  return costs && spreadOf(costs.map((windows) => 1000 / spreadOf(windows).median));
}

/** What each contender costs with one message in flight. */
function singleTable(results: readonly ContestResult[]): Table {
  const result = results.find(({ name }) => name === SINGLE);
  const rows = [
    { label: 'CPU of a message, µs', metric: 'us', unit: 1 },
    { label: 'bytes of a reply on the wire', metric: 'wire', unit: 1 },
    { label: 'memory of the server, MiB', metric: 'resident', unit: MIB },
  ].flatMap((row) => (result === undefined ? [] : [{ ...row, result: { ...result } }]));
  const rowOf = new Map(rows.map((row) => [row.result as ContestResult, row]));
  return contenderTable(
    {
      title: 'One message in flight',
      unit: `what each contender costs, ${SINGLE}`,
      note: 'Less is better.',
      results: [...rowOf.keys()],
      labels: rows.map(({ label }) => label),
    },
    (one, name) => {
      const { metric, unit } = rowOf.get(one)!;
      return mapped(spreadOver(one, name, metric), (value) => value / unit);
    },
  );
}

function latencyTables(results: readonly ContestResult[]): Table[] {
  const metrics = ['p50', 'p99', 'p999', 'late'] as const;
  const names = { p50: 'p50', p99: 'p99', p999: 'p99.9', late: 'delay of the load, p99' };
  const rows = results.flatMap((result) => metrics.map((metric) => ({ result, metric })));
  const metricOf = new Map(rows.map(({ result, metric }) => [{ ...result }, metric]));
  return [
    contenderTable(
      {
        title: 'Latency at a fixed rate',
        unit: 'ms from the planned moment to the echo',
        note: 'Less is better. The delay of the load is part of each latency.',
        results: [...metricOf.keys()],
        labels: rows.map(({ result, metric }) => `${result.name}: ${names[metric]}`),
      },
      (result, name) => spreadOver(result, name, metricOf.get(result)!),
    ),
  ];
}
