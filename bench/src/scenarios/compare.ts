import { type Contest, type ContestResult, spreadOver } from '../harness/runner.ts';
import { spreadOf } from '../harness/statistics.ts';
import { contenderTable, mapped, metricTable, ratioTable } from '../report/contest-tables.ts';
import type { Table } from '../report/table.ts';
import { BASE, KEEPING, NATIVE } from '../rivals/contenders.ts';
import { ECHO_WARM_UP, echoContest, QUICK_ECHO_WARM_UP, startEcho, type Workload } from './echo.ts';
import { garbageContest } from './garbage.ts';
import { allowedConnections, type Environment, type Scenario } from './scenario.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const IDLE = 5000;
const MANY = 10_000;
const LATENCY = 'latency at ';
const GARBAGE = 'garbage ';
/** The row like most programs: one message in flight. */
const SINGLE = '64 x 1 x 16 B';

const OURS: readonly string[] = ['receive', 'loop'];
/** The contenders whose application can answer with other bytes. */
const ANSWERING: readonly string[] = [...OURS, 'ws', NATIVE, BASE, 'bun'];
const ALL: readonly string[] = [...ANSWERING, 'raw1'];
/** The contenders for messages of the size where new memory costs most. */
const LARGE: readonly string[] = [...ALL, KEEPING];
/** The contenders of slow contests. */
const FEW: readonly string[] = ['receive', NATIVE, BASE, 'bun', 'raw1'];

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
  ['16 x 1 x 64 KiB', workload(16, 1, 64 * KIB), LARGE],
  ['4 x 1 x 1 MiB', workload(4, 1, MIB), LARGE],
  ['64 x 16 x mixed sizes', workload(64, 16, [16, 300, 64, 5000, 16, 1200, 40, 20_000]), ALL],
  ['text 64 x 16 x 128 B ASCII', workload(64, 16, 128, { content: 'ascii' }), ALL],
  ['text 64 x 16 x 128 B mixed scripts', workload(64, 16, 128, { content: 'mixed' }), ALL],
  ['text 16 x 4 x 16 KiB ASCII', workload(16, 4, 16 * KIB, { content: 'ascii' }), ALL],
  ['text 16 x 4 x 16 KiB mixed scripts', workload(16, 4, 16 * KIB, { content: 'mixed' }), ALL],
  ['JSON parse and reply 64 x 16', workload(64, 16, 0, { content: 'json' }), ANSWERING],
  ['wss 64 x 16 x 16 B', workload(64, 16, 16, { tls: true }), ALL],
  ['wss 16 x 1 x 64 KiB', workload(16, 1, 64 * KIB, { tls: true }), ALL],
];

/** The same work on a small and on a large scale. A cost is that of a unit. */
interface Growth {
  readonly title: string;
  readonly small: readonly [name: string, workload: Workload, units: number];
  readonly large: readonly [name: string, workload: Workload, units: number];
  readonly contenders: readonly string[];
}

const GROWTHS: readonly Growth[] = [
  {
    title: '10 to 10,000 active connections, cost of a message',
    small: ['10 x 1 x 16 B', workload(10, 1, 16), 1],
    large: ['10,000 x 1 x 16 B', workload(MANY, 1, 16), 1],
    contenders: FEW,
  },
  {
    title: '1 to 16 MiB a message, cost of a byte',
    small: ['1 x 1 x 1 MiB', workload(1, 1, MIB), 1],
    large: ['1 x 1 x 16 MiB', workload(1, 1, 16 * MIB), 16],
    contenders: FEW,
  },
  {
    title: '1,000 to 100,000 fragments, cost of a fragment',
    small: ['1,000 fragments', workload(1, 1, 10_000, { fragments: 1000 }), 1],
    large: ['100,000 fragments', workload(1, 1, 1_000_000, { fragments: 100_000 }), 100],
    // `ws` rejects more than 16,384 fragments by default.
    contenders: [...OURS, 'bun', 'raw1'],
  },
];

const HELP = `Servers echo to a load process over bare sockets, each in its own process and on its own core. The
load compares every byte of the echoes.

  workload  connections x messages in flight on each x bytes of a message
  receive   our server with conn.receive(handler)
  loop      our server with for await (const message of conn), as the README shows it
  ws        as it is installed; 'native mask': with bufferutil; 'corked': also corked by its application
  bun       Bun's own server
  raw1      the limit: a TCP echo of bytes whose sockets read into one buffer; no frames, no masks
  kept      'memory kept': MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ are 64 MiB

The tables: messages per CPU second relative to '${BASE}'; CPU, bytes and memory with one message in
flight; thousands of messages per CPU second; latency at fixed rates; garbage collection; heap bytes
of a message; cost of a unit on a large scale.
`;

/** `ws-bench compare`. */
export const compare: Scenario = {
  name: 'compare',
  summary: 'echo next to ws, Bun and raw TCP; latency, TLS, garbage and growth',
  help: HELP,
  full: { processes: 3, rounds: 3, ms: 300, warmUpMs: ECHO_WARM_UP },
  minutes: 21,
  quick: { processes: 1, rounds: 2, ms: 300, warmUpMs: QUICK_ECHO_WARM_UP },
  contests,
  tables,
};

function contests(environment: Environment): Contest[] {
  const most = allowedConnections(MANY);
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
    ...[16, KIB].map((size) => garbageContest(environment, `${GARBAGE}32 x 16 x ${size} B`, size)),
    ...GROWTHS.flatMap(({ small, large, contenders }) =>
      [small, large].map(([name, traffic]) => ({
        ...echoContest(
          environment,
          name,
          { ...traffic, connections: Math.min(traffic.connections, most) },
          contenders,
        ),
        alone: true,
      })),
    ),
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
  const garbage = results.filter(({ name }) => name.startsWith(GARBAGE));
  // `ws` cannot echo the messages of many fragments.
  const cells = results.filter(
    (one) => !latency.includes(one) && !garbage.includes(one) && one.readings[BASE] !== undefined,
  );
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
    metricTable(
      {
        title: 'Pauses',
        unit: 'the longest garbage collection in a window, in ms',
        note: 'Less is better.',
        results: [...cells, ...latency],
      },
      'pause',
    ),
    metricTable(
      {
        title: 'Garbage',
        unit: 'heap bytes for a message, without a collection',
        note: 'Less is better. The part of raw1 is that of sockets of Node.',
        results: garbage,
      },
      'heap',
    ),
    growthTable(results),
  ].filter(({ labels }) => labels.length > 0);
}

function thousands(result: ContestResult, name: string) {
  const costs = result.readings[name]?.['us'];
  return costs && spreadOf(costs.map((windows) => 1000 / spreadOf(windows).median));
}

/** What each contender costs with one message in flight. */
function singleTable(all: readonly ContestResult[]): Table {
  // The garbage alone is no answer.
  const results = all.some(({ name }) => name === SINGLE) ? all : [];
  const rows = [
    { contest: SINGLE, label: 'CPU of a message, µs', metric: 'us', unit: 1 },
    { contest: SINGLE, label: 'bytes of a reply on the wire', metric: 'wire', unit: 1 },
    { contest: SINGLE, label: 'memory of the server, MiB', metric: 'resident', unit: MIB },
    { contest: GARBAGE, label: 'heap bytes for a message', metric: 'heap', unit: 1 },
  ].flatMap((row) => {
    const result = results.find(({ name }) => name.startsWith(row.contest));
    return result === undefined ? [] : [{ ...row, result: { ...result } }];
  });
  const rowOf = new Map(rows.map((row) => [row.result as ContestResult, row]));
  return contenderTable(
    {
      title: 'One message in flight',
      unit: `what each contender costs, ${SINGLE}`,
      note: 'Less is better. The heap bytes are those of 16 messages in flight on 32 connections.',
      results: [...rowOf.keys()],
      labels: rows.map(({ label }) => label),
    },
    (result, name) => {
      const { metric, unit } = rowOf.get(result)!;
      return mapped(spreadOver(result, name, metric), (value) => value / unit);
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

function growthTable(results: readonly ContestResult[]): Table {
  const named = (wanted: string): ContestResult | undefined =>
    results.find(({ name }) => name === wanted);
  const measured = GROWTHS.flatMap(({ title, small, large }) => {
    const [before, after] = [named(small[0]), named(large[0])];
    if (before === undefined || after === undefined) return [];
    return [{ title, before, after, units: large[2] / small[2] }];
  });
  const pairs = new Map(measured.map((pair) => [pair.after, pair]));
  return contenderTable(
    {
      title: 'Growth',
      unit: 'cost of a unit on the large scale, as times that on the small one',
      note: 'One means linear. The kernel and the sockets of Node grow too: see raw1.',
      results: [...pairs.keys()],
      labels: measured.map(({ title }) => title),
    },
    (result, name) => {
      const { before, units } = pairs.get(result)!;
      const [small, large] = [before, result].map((one) => spreadOver(one, name, 'us'));
      if (small === undefined || large === undefined) return undefined;
      const times = (value: number): number => value / units / small.median;
      return { median: times(large.median), least: times(large.least), most: times(large.most) };
    },
  );
}
