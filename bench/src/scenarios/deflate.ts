import { type ContestResult, spreadOver, timesBase } from '../harness/runner.ts';
import type { Spread } from '../harness/statistics.ts';
import { engineKernels } from '../kernels/engines.ts';
import { metricTable, ratioTable } from '../report/contest-tables.ts';
import { bytesName, type Table, transposed } from '../report/table.ts';
import type { EchoCompression } from '../rivals/echo-servers.ts';
import { ECHO_WARM_UP, echoContest, QUICK_ECHO_WARM_UP } from './echo.ts';
import { kernelContests } from './kernel-contests.ts';
import { memoryContest, memoryTables } from './memory.ts';
import type { Environment, Scenario } from './scenario.ts';

/** As many as may own a compressor in our process, so that each has one, as with `ws`. */
const CONNECTIONS = 16;
/** Connections of the memory contests: `ws` needs a quarter of a MiB for each. */
const IDLE = 1000;
const MEMORY = 'idle';
const CELLS: readonly (readonly [size: number, depth: number])[] = [
  [64, 16],
  [512, 16],
  [4096, 16],
  [65_536, 16],
];
const MODES: readonly EchoCompression['mode'][] = ['shared', 'takeover'];

const BASE = 'ws, corked, level 6';
/** Equal levels first. Then the default of `ws`; ours is level 1. */
const CONTENDERS: Readonly<Record<string, Omit<EchoCompression, 'mode'>>> = {
  'receive, level 6': { level: 6 },
  [BASE]: { level: 6 },
  'receive, level 1 (default)': { level: 1 },
  'ws, corked, level 1': { level: 1 },
  'ws, level 6 (default)': { level: 6 },
  // Its level cannot be set.
  bun: { level: 6 },
};

/** `ws-bench deflate`. */
export const deflate: Scenario = {
  name: 'deflate',
  summary:
    'compressed echo next to ws: CPU of the server, bytes on the wire, memory, engines alone',
  help: `JSON-like text over ${CONNECTIONS} connections. All servers agree to the same parameters and are asked to compress
every message. Every echo is inflated and compared. All threads of a server share one core, as elsewhere.

  shared    server_no_context_takeover and client_no_context_takeover
  takeover  neither; windows of 32 KiB in both directions

A ratio compares different work where the bytes differ: the second table has them beside it.
`,
  full: { processes: 3, rounds: 3, ms: 300, warmUpMs: ECHO_WARM_UP },
  minutes: 13,
  quick: { processes: 1, rounds: 2, ms: 200, warmUpMs: QUICK_ECHO_WARM_UP },
  contests,
  tables,
};

function contests(environment: Environment) {
  const contenders = Object.keys(CONTENDERS);
  const traffic = (size: number, depth: number, mode: EchoCompression['mode']) => ({
    connections: CONNECTIONS,
    depth,
    sizes: [size],
    content: 'ascii' as const,
    compression: (contender: string) => compressionOf(contender, mode),
  });
  return [
    ...CELLS.flatMap(([size, depth]) =>
      MODES.map((mode) =>
        echoContest(
          environment,
          `${bytesName(size)} x ${depth} ${mode}`,
          traffic(size, depth, mode),
          contenders,
        ),
      ),
    ),
    ...MODES.map((mode) =>
      memoryContest(
        environment,
        `${IDLE} ${MEMORY} connections, ${mode}`,
        ['receive, level 1 (default)', 'ws, level 6 (default)', 'bun'],
        IDLE,
        { content: 'ascii', compression: (contender) => compressionOf(contender, mode) },
        40,
      ),
    ),
    ...kernelContests(environment, engineKernels),
  ];
}

function compressionOf(contender: string, mode: EchoCompression['mode']): EchoCompression {
  const [found] = Object.entries(CONTENDERS).filter(([name]) => contender.startsWith(name));
  return { mode, ...found![1] };
}

function tables(results: readonly ContestResult[]): Table[] {
  const memory = results.filter(({ name }) => name.includes(MEMORY));
  const cells = results.filter(({ readings }) => readings[BASE]?.['us'] !== undefined);
  const engines = results.filter(({ name }) => Object.hasOwn(engineKernels, name));
  return [
    ratioTable(
      {
        title: 'Compressed echo',
        unit: `messages per CPU second of the server, relative to ${BASE}`,
        note: 'More is better. The next table has the bytes beside each ratio.',
        results: cells,
      },
      BASE,
      'us',
    ),
    workTable(cells),
    ...memoryTables(memory),
    ...[
      {
        metric: 'ns',
        title: 'An engine alone',
        unit: 'µs for a message, without a connection',
        factor: 0.001,
      },
      { metric: 'left', title: 'What an engine leaves', unit: 'per cent of a message', factor: 1 },
    ].map(({ metric, title, unit, factor }) =>
      transposed(
        metricTable({ title, unit, note: 'Less is better.', results: engines }, metric, factor),
      ),
    ),
  ].filter(({ labels }) => labels.length > 0);
}

/** The ratio of each contender beside what it sent. */
function workTable(results: readonly ContestResult[]): Table {
  const rows = results.flatMap((result) =>
    Object.keys(CONTENDERS).map((contender) => ({ result, contender })),
  );
  const column = (
    name: string,
    valueOf: (result: ContestResult, contender: string) => Spread | undefined,
  ): Table['series'][number] => ({
    name,
    values: rows.map(({ result, contender }) => valueOf(result, contender) ?? null),
  });
  return {
    title: 'The work behind a ratio',
    unit: 'times is the ratio above; bytes and µs of the server for a message',
    note: 'A message that compression did not shrink is sent as it is.',
    labels: rows.map(({ result, contender }) => `${result.name}: ${contender}`),
    series: [
      column('times', (result, contender) => timesBase(result, contender, BASE, 'us')),
      column('bytes', (result, contender) => spreadOver(result, contender, 'wire')),
      column('share compressed', (result, contender) =>
        spreadOver(result, contender, 'compressed'),
      ),
      column('µs', (result, contender) => spreadOver(result, contender, 'us')),
    ],
  };
}
