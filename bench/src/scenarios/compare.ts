import { Child } from '../harness/child.ts';
import { chooseCores } from '../harness/cores.ts';
import { findRuntime } from '../harness/runtime.ts';
import type { LoadAnswers } from '../load/load-worker.ts';
import { runtimePath, wholeNumber } from '../option-values.ts';
import { Progress } from '../report/progress.ts';
import { settingLine, settingOf } from '../report/setting.ts';
import { type Ground, isInstalled } from '../rivals/contenders.ts';
import { UsageError } from '../usage-error.ts';
import { type BroadcastReadings, measureBroadcast } from './broadcast-turns.ts';
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
import { type HeapPlan, measureHeap, measureInTurns, type TurnPlan } from './compare-echo.ts';
import {
  type CellResult,
  fieldChart,
  fieldTable,
  type GrowthResult,
  goalLines,
  goalTable,
  growthTable,
  type HeapResult,
  heapTable,
} from './compare-report.ts';
import { type MemoryResult, measureMemory } from './deflate-memory.ts';
import { inRounds, memoryRounds, OTHERS, PLAIN_SUBJECTS, possible } from './memory.ts';
import { memoryTable } from './memory-report.ts';
import type { Report, Scenario, Values } from './scenario.ts';

const IDLE = 5000;
const MANY = 10_000;
/** Few enough messages that their garbage fits: on each connection, in each round. */
const HEAP: HeapPlan = { rounds: 5, each: 320 };

const SUMMARY = `echo next to ws (with and without bufferutil), raw TCP, Bun and Deno: messages per CPU
second; client, broadcast, garbage, growth: all that we promise, in one table`;

const HELP = `ws-bench compare: ${SUMMARY}

usage: ws-bench compare [--only PART] [--rounds N] [--bun PATH] [--deno PATH] [--profile DIR] [--quick]
                        [--json [FILE]] [--html FILE]

Each server runs in a process of its own, on a core of its own, and echoes to a load process over bare
sockets, which compares every byte that comes back. They take turns: in each round each has a window
of time, another one first each time, and the ratio is taken within the round. Shown is the median of
the rounds, and the least and the most of them.

  workload    connections x messages in flight on each x bytes of a message
  receive     our server by conn.receive(handler)
  loop        our server by for await (const message of conn)
  readMessage our server by await conn.readMessage() in a loop, where it is measured
  raw         a TCP server that sends back what it gets: no frames, no masks
  us          microseconds of CPU that our process took for a message, all threads together
  x ws, x raw how many times as many messages a CPU second gives
  must, aim   what every release holds, and what is reached at best

parts, for --only
${[...CELLS.map(({ name }) => name), 'client', 'broadcast', 'memory', 'heap', ...growths(MANY).map(({ name }) => name)].map((name) => `  ${name}\n`).join('')}
options
  --only PART    only parts whose name has this in it
  --rounds N     9; fresh processes for 'memory': 3; of 'heap' there are always 5
  --bun PATH     where Bun is, when it is not on the PATH; likewise --deno PATH
  --profile DIR  leave CPU profiles of our processes there; slows us down
  --quick        3 short rounds: a first look, not figures to quote
  --json [FILE]  print one JSON document instead of tables, or write it to a file besides
  --html FILE    write a page with charts
`;

/** `ws-bench compare`. */
export const compare: Scenario = {
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

/** What was chosen to be measured. */
interface Parts {
  readonly cells: readonly Cell[];
  readonly client: boolean;
  readonly broadcast: boolean;
  readonly memory: boolean;
  readonly heap: readonly Cell[];
  readonly growths: readonly Growth[];
}

/** How many connections stand idle, and in how many fresh processes of each subject. */
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
  const ground: Ground = {
    cores: chooseCores(),
    bun: findRuntime('bun', runtimePath(values, 'bun')),
    deno: findRuntime('deno', runtimePath(values, 'deno')),
    profile: values['profile'] as string | undefined,
  };
  const setting = settingOf(ground.cores);
  const most = possible(MANY);
  const idle = { connections: possible(IDLE, OTHERS), rounds: memoryRounds(values) };
  const parts = choose(String(values['only']), most);
  const results = await measure(parts, ground, plan, idle);
  const versions = { bun: ground.bun?.version, deno: ground.deno?.version };
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
      ...(most < MANY ? [`the limit of open files allows ${most} connections only`] : []),
      '',
      ...tables(results, idle),
    ].join('\n'),
    charts: results.cells.length === 0 ? [] : [fieldChart(results.cells)],
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

async function measure(parts: Parts, ground: Ground, plan: TurnPlan, idle: Idle): Promise<Results> {
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
  const progress = new Progress(others + lists.reduce((sum, list) => sum + list.length, 0));
  const load = new Child<LoadAnswers>('./load-worker.js', [], ground.cores.load);
  try {
    for (const cell of parts.cells) {
      progress.step(cell.name);
      results.cells.push(await measureCell(load, ground, cell, plan));
    }
    if (parts.client) {
      progress.step('client');
      results.clients = await measureClients(ground, plan);
    }
    if (parts.broadcast) {
      progress.step('broadcast');
      results.broadcast = await measureBroadcast(ground, RECEIVERS, plan);
    }
    if (parts.memory) {
      results.memory = await inRounds(PLAIN_SUBJECTS, idle.rounds, (subject) => {
        progress.step(`memory, ${subject.library}`);
        return measureMemory(load, ground.cores, subject, idle.connections, OTHERS);
      });
    }
    for (const cell of parts.heap) {
      progress.step(`heap, ${cell.name}`);
      const { name, workload } = cell;
      results.heap.push({ name, bytes: await measureHeap(load, ground, name, workload, HEAP) });
    }
    for (const growth of parts.growths) {
      progress.step(growth.name);
      results.growths.push(...(await measureGrowth(load, ground, growth, plan)));
    }
  } finally {
    progress.end();
    await load.end();
  }
  return results;
}

async function measureCell(
  load: Child<LoadAnswers>,
  ground: Ground,
  cell: Cell,
  plan: TurnPlan,
): Promise<CellResult> {
  const { name, workload } = cell;
  const entries = contendersOf(cell)
    .filter((contender) => isInstalled(contender, ground))
    .map((contender) => ({ name, contender, workload }));
  return { cell, readings: await measureInTurns(load, ground, entries, plan) };
}

async function measureGrowth(
  load: Child<LoadAnswers>,
  ground: Ground,
  growth: Growth,
  plan: TurnPlan,
): Promise<GrowthResult[]> {
  const entriesOf = (contender: GrowthResult['contender']) => [
    { name: `${growth.name} small`, contender, workload: growth.small },
    { name: `${growth.name} large`, contender, workload: growth.large },
  ];
  // Where files are scarce, one contender after the other: both of its servers stand side by side all the same.
  const groups = growth.alone ? growth.contenders.map((one) => [one]) : [growth.contenders];
  const results: GrowthResult[] = [];
  for (const contenders of groups) {
    const readings = await measureInTurns(load, ground, contenders.flatMap(entriesOf), plan);
    for (const [i, contender] of contenders.entries()) {
      const [small, large] = readings.slice(2 * i);
      results.push({ growth, contender, small: small!, large: large! });
    }
  }
  return results;
}

function tables(results: Results, idle: Idle): string[] {
  const { cells, memory, heap, growths: growing } = results;
  const lines = goalLines(results);
  return [
    ...(lines.length === 0 ? [] : [goalTable(lines)]),
    ...(cells.length === 0 ? [] : [fieldTable(cells)]),
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
