import type { Command, Report, Values } from '../command-line/command.ts';
import { runtimePath, wholeNumber } from '../command-line/option-values.ts';
import { UsageError } from '../command-line/usage-error.ts';
import { Child } from '../harness/child.ts';
import { chooseCores } from '../harness/cores.ts';
import { findRuntime } from '../harness/runtime.ts';
import type { LoadAnswers } from '../load/load-worker.ts';
import { StepBar } from '../report/progress-bar.ts';
import { settingLine, settingOf } from '../report/setting.ts';
import { type Environment, isInstalled } from '../rivals/contenders.ts';
import { type BroadcastReadings, measureBroadcast } from './broadcast-measure.ts';
import {
  CELLS,
  type Cell,
  contendersOf,
  type Growth,
  growths,
  HEAP_CELLS,
  RECEIVERS,
} from './compare-cells.ts';
import { type ClientReadings, measureClients } from './compare-client.ts';
import { type HeapPlan, measureHeap, measureInterleaved, type RoundPlan } from './compare-echo.ts';
import {
  type CellResult,
  contenderChart,
  contenderTable,
  type GrowthResult,
  growthTable,
  type HeapResult,
  heapTable,
  ratioLines,
  ratioTable,
} from './compare-report.ts';
import { type MemoryResult, measureMemory } from './idle-memory.ts';
import {
  allowedConnections,
  EARLIER_CONNECTIONS,
  inRounds,
  memoryRounds,
  PLAIN_SUBJECTS,
} from './memory.ts';
import { memoryTable } from './memory-report.ts';

const IDLE = 5000;
const MANY = 10_000;
/** Messages on each connection in each round: few enough that their garbage fits the heap. */
const HEAP: HeapPlan = { rounds: 5, each: 320 };

const SUMMARY = `echo next to ws (with and without bufferutil), raw TCP, Bun and Deno: messages per
CPU second; then client, broadcast, garbage and growth`;

const PARTS = [
  ...CELLS.map(({ name }) => name),
  'client',
  'broadcast',
  'memory',
  'heap',
  ...growths(MANY).map(({ name }) => name),
]
  .map((name) => `  ${name}\n`)
  .join('');

const HELP = `ws-bench compare: ${SUMMARY}

usage: ws-bench compare [--only PART] [--rounds N] [--bun PATH] [--deno PATH] [--profile DIR]
                        [--quick] [--json [FILE]] [--html FILE]

Each server runs in its own process, on its own core, and echoes to a load process over bare sockets.
The load compares every byte of the echoes. In each round each server has a window of time, and each
round starts with another server. Ratios are taken within a round. The tables show the median of the
rounds, and the least and the most of them.

  workload    connections x messages in flight on each x bytes of a message
  receive     our server with conn.receive(handler)
  loop        our server with for await (const message of conn)
  readMessage our server with await conn.readMessage() in a loop, in one workload
  raw         a TCP server that echoes bytes: no frames, no masks
  us          microseconds of CPU of our process for a message, all threads together
  x ws, x raw messages per CPU second, as times those of ws or of raw TCP

parts, for --only
${PARTS}
options
  --only PART    only parts whose name contains PART
  --rounds N     default: 9; for 'memory' 3 fresh processes; 'heap' always has 5
  --bun PATH     path of Bun; default: found on the PATH
  --deno PATH    path of Deno; default: found on the PATH
  --profile DIR  write CPU profiles of our processes to DIR; slows them down
  --quick        3 short rounds for a first impression; do not quote the figures
  --json [FILE]  print one JSON document instead of tables, or write it to FILE besides the tables
  --html FILE    write a page with charts
`;

/** `ws-bench compare`. */
export const compare: Command = {
  summary: SUMMARY,
  help: HELP,
  options: {
    only: { type: 'string', default: '' },
    rounds: { type: 'string' },
    bun: { type: 'string' },
    deno: { type: 'string' },
    profile: { type: 'string' },
  },
  run,
};

/** The chosen parts. */
interface Parts {
  readonly cells: readonly Cell[];
  readonly client: boolean;
  readonly broadcast: boolean;
  readonly memory: boolean;
  readonly heap: readonly Cell[];
  readonly growths: readonly Growth[];
}

/** Number of idle connections, and of fresh processes for each subject. */
interface Idle {
  readonly connections: number;
  readonly rounds: number;
}

interface Results {
  readonly cells: CellResult[];
  clients: ClientReadings[];
  broadcast: BroadcastReadings[];
  memory: MemoryResult[];
  readonly heap: HeapResult[];
  readonly growths: GrowthResult[];
}

async function run(values: Values): Promise<Report> {
  const quick = values['quick'] === true;
  const rounds = wholeNumber(values, 'rounds', quick ? 3 : 9);
  const plan = { rounds, ...(quick ? { ms: 500, warmUpMs: 800 } : { ms: 1000, warmUpMs: 1000 }) };
  const environment: Environment = {
    cores: chooseCores(),
    bun: findRuntime('bun', runtimePath(values, 'bun')),
    deno: findRuntime('deno', runtimePath(values, 'deno')),
    profile: values['profile'] as string | undefined,
  };
  const setting = settingOf(environment.cores);
  const most = allowedConnections(MANY);
  const idle = {
    connections: allowedConnections(IDLE, EARLIER_CONNECTIONS),
    rounds: memoryRounds(values),
  };
  const parts = choose(String(values['only']), most);
  const results = await measure(parts, environment, plan, idle);
  const versions = { bun: environment.bun?.version, deno: environment.deno?.version };
  return {
    document: {
      setting,
      versions,
      quick,
      plan,
      memoryRounds: idle.rounds,
      connections: { idle: idle.connections, most },
      ...results,
    },
    text: [
      settingLine(setting),
      `bun: ${versions.bun ?? 'not installed'}; deno: ${versions.deno ?? 'not installed'}`,
      `median of ${rounds} rounds of ${plan.ms} ms`,
      ...(most < MANY ? [`the limit of open files (ulimit -n) allows ${most} connections`] : []),
      '',
      ...tables(results, idle),
    ].join('\n'),
    charts: results.cells.length === 0 ? [] : [contenderChart(results.cells)],
  };
}

function choose(only: string, most: number): Parts {
  const has = ({ name }: { readonly name: string }): boolean => name.includes(only);
  const parts: Parts = {
    cells: CELLS.filter(has),
    client: has({ name: 'client' }),
    broadcast: has({ name: 'broadcast' }),
    memory: has({ name: 'memory' }),
    heap: has({ name: 'heap' }) ? HEAP_CELLS : [],
    growths: growths(most).filter(has),
  };
  if (Object.values(parts).every((part) => part === false || part.length === 0)) {
    throw new UsageError(`no part has '${only}' in its name; see --help`);
  }
  return parts;
}

async function measure(
  parts: Parts,
  environment: Environment,
  plan: RoundPlan,
  idle: Idle,
): Promise<Results> {
  const results: Results = {
    cells: [],
    clients: [],
    broadcast: [],
    memory: [],
    heap: [],
    growths: [],
  };
  const memorySteps = parts.memory ? idle.rounds * PLAIN_SUBJECTS.length : 0;
  const others = [parts.client, parts.broadcast].filter(Boolean).length + memorySteps;
  const lists = [parts.cells, parts.heap, parts.growths];
  const progress = new StepBar(others + lists.reduce((sum, list) => sum + list.length, 0));
  const load = new Child<LoadAnswers>('./load-worker.js', [], environment.cores.load);
  try {
    for (const cell of parts.cells) {
      progress.step(cell.name);
      results.cells.push(await measureCell(load, environment, cell, plan));
    }
    if (parts.client) {
      progress.step('client');
      results.clients = await measureClients(environment, plan);
    }
    if (parts.broadcast) {
      progress.step('broadcast');
      results.broadcast = await measureBroadcast(environment, RECEIVERS, plan);
    }
    if (parts.memory) {
      results.memory = await inRounds(PLAIN_SUBJECTS, idle.rounds, (subject) => {
        progress.step(`memory, ${subject.library}`);
        return measureMemory(
          load,
          environment.cores,
          subject,
          idle.connections,
          EARLIER_CONNECTIONS,
        );
      });
    }
    for (const cell of parts.heap) {
      progress.step(`heap, ${cell.name}`);
      const { name, workload } = cell;
      results.heap.push({
        name,
        bytes: await measureHeap(load, environment, name, workload, HEAP),
      });
    }
    for (const growth of parts.growths) {
      progress.step(growth.name);
      results.growths.push(...(await measureGrowth(load, environment, growth, plan)));
    }
  } finally {
    progress.end();
    await load.end();
  }
  return results;
}

async function measureCell(
  load: Child<LoadAnswers>,
  environment: Environment,
  cell: Cell,
  plan: RoundPlan,
): Promise<CellResult> {
  const { name, workload } = cell;
  const entries = contendersOf(cell)
    .filter((contender) => isInstalled(contender, environment))
    .map((contender) => ({ name, contender, workload }));
  return { cell, readings: await measureInterleaved(load, environment, entries, plan) };
}

async function measureGrowth(
  load: Child<LoadAnswers>,
  environment: Environment,
  growth: Growth,
  plan: RoundPlan,
): Promise<GrowthResult[]> {
  const entriesOf = (contender: GrowthResult['contender']) => [
    { name: `${growth.name} small`, contender, workload: growth.small },
    { name: `${growth.name} large`, contender, workload: growth.large },
  ];
  // Where open files are scarce, measures one contender after the other. Its two servers still run
  // side by side.
  const groups = growth.alone ? growth.contenders.map((one) => [one]) : [growth.contenders];
  const results: GrowthResult[] = [];
  for (const contenders of groups) {
    const readings = await measureInterleaved(
      load,
      environment,
      contenders.flatMap(entriesOf),
      plan,
    );
    for (const [i, contender] of contenders.entries()) {
      const [small, large] = readings.slice(2 * i);
      results.push({ growth, contender, small: small!, large: large! });
    }
  }
  return results;
}

function tables(results: Results, idle: Idle): string[] {
  const { cells, memory, heap, growths: growing } = results;
  const lines = ratioLines(results);
  return [
    ...(lines.length === 0 ? [] : [ratioTable(lines)]),
    ...(cells.length === 0 ? [] : [contenderTable(cells)]),
    ...(memory.length === 0
      ? []
      : [
          `${idle.connections} idle connections, median of ${idle.rounds} rounds\n`,
          memoryTable(memory),
        ]),
    ...(heap.length === 0 ? [] : [heapTable(heap)]),
    ...(growing.length === 0 ? [] : [growthTable(growing)]),
  ];
}
