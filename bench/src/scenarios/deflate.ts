import { createRequire } from 'node:module';
import { availableParallelism, cpus } from 'node:os';
import { Child } from '../harness/child.ts';
import { type Cores, chooseCores } from '../harness/cores.ts';
import type { LoadAnswers } from '../load/load-worker.ts';
import { wholeNumber } from '../option-values.ts';
import { Progress } from '../report/progress.ts';
import { UsageError } from '../usage-error.ts';
import { MEMORY_SUBJECTS, type MemoryResult, measureMemory } from './deflate-memory.ts';
import {
  measureInflating,
  measureOptions,
  type OptionCost,
  optionsTable,
} from './deflate-options.ts';
import { deflateCharts, LINES, memoryTable, speedTable } from './deflate-report.ts';
import {
  type Cell,
  type CellResult,
  cellName,
  measureCell,
  type SpeedPlan,
  type Subject,
} from './deflate-speed.ts';
import type { Report, Scenario, Values } from './scenario.ts';

const SUMMARY = `permessage-deflate next to ws, over sockets: CPU of the server for a message, bytes
on the wire, memory of an idle connection`;

const HELP = `ws-bench deflate: ${SUMMARY}

usage: ws-bench deflate [--quick] [--connections N] [--only CELL] [--pin] [--profile DIR] [--json [FILE]] [--html FILE]

A server of ours and one of ws, each in its own process, echo JSON-like text to a load process over
bare sockets. Both agree to the same parameters and compress every message, however small. They take
turns: in each round each has a window of time, and the ratio is taken within the round. Shown is the
median of the rounds, and the least and the most of them. Every echo is inflated and compared with what
was sent, after the window.

  us          microseconds of CPU that the server process took for a message, all threads together
  x           how many times as many messages we handle in a CPU second as ws
  level       of compression, ours : ws; 1 is our default and 6 that of ws
  sent small  how many messages left the server compressed; others would not have become smaller
  load busy   how much of its time the load process took, at most

  shared      server_no_context_takeover and client_no_context_takeover
  takeover    neither; the first table with windows of 32 KiB in both directions

Memory is how much the resident memory of a fresh server process grew by for each connection: open,
after one echo of 1 KiB each, after 40 more; idle, garbage collected, and with a young generation of
1 MiB on both sides (--max-semi-space-size=1), which otherwise grows with traffic, not connections.

A last table has what each option costs: microseconds for a message, and what is left of it.

options
  --connections N  of the memory table; 1000
  --only CELL      only cells whose name has this in it: '64 B x 16 shared', 'takeover', 'memory',
                   'options'
  --pin            one core for all threads of a server; else it has all that there are, since
                   ws does its work on zlib's threads
  --profile DIR    leave a CPU profile of each of our servers there; slows us down
  --quick          short windows, 3 rounds, 400 connections: a first look, not figures to quote
  --json [FILE]    print one JSON document instead of tables, or write it to a file besides
  --html FILE      write a page with charts
`;

const SIZES: readonly number[] = [...new Set(LINES.map(({ size }) => size))];

/** `ws-bench deflate`. */
export const deflate: Scenario = {
  summary: SUMMARY,
  help: HELP,
  options: {
    connections: { type: 'string' },
    only: { type: 'string', default: '' },
    pin: { type: 'boolean', default: false },
    profile: { type: 'string' },
  },
  run,
};

async function run(values: Values): Promise<Report> {
  const quick = values['quick'] === true;
  const connections = wholeNumber(values, 'connections', quick ? 400 : 1000);
  const only = String(values['only']);
  const cells = allCells().filter((cell) => cellName(cell).includes(only));
  const withMemory = 'memory'.includes(only);
  const withOptions = 'options'.includes(only);
  if (cells.length === 0 && !withMemory && !withOptions) {
    throw new UsageError(`no cell has '${only}' in its name; there are ${names()}`);
  }
  const plan: SpeedPlan = {
    ...(quick ? { rounds: 3, ms: 200, warmUpMs: 250 } : { rounds: 9, ms: 1000, warmUpMs: 1000 }),
    profile: values['profile'] as string | undefined,
  };
  const memoryRounds = withMemory ? (quick ? 1 : 3) : 0;

  const { server, load: loadCore } = chooseCores();
  const cores: Cores = { server: values['pin'] === true ? server : undefined, load: loadCore };
  const progress = new Progress(cells.length + memoryRounds * MEMORY_SUBJECTS.length);
  const speed: CellResult[] = [];
  const memory: MemoryResult[] = [];
  const batches = quick ? 20 : 200;
  const options = withOptions ? [...measureOptions(batches), ...measureInflating(batches)] : [];
  const load = new Child<LoadAnswers>('./load-worker.js', [], cores.load);
  try {
    for (const cell of cells) {
      progress.step(cellName(cell));
      speed.push(await measureCell(load, cores, cell, subjectsOf(cell), plan));
    }
    for (let round = 0; round < memoryRounds; round++) {
      for (const subject of MEMORY_SUBJECTS) {
        progress.step(`memory, ${subject.mode}, ${subject.library}`);
        memory.push(await measureMemory(load, cores, subject, connections));
      }
    }
  } finally {
    progress.end();
    await load.end();
  }
  const machine = { cpu: cpus()[0]?.model ?? 'cpu', cores: availableParallelism(), pinned: cores };
  const versions = { node: process.versions.node, zlib: process.versions.zlib, ws: wsVersion() };
  return {
    document: { machine, versions, quick, plan, connections, speed, memory, options },
    text: [
      `node v${versions.node}, zlib ${versions.zlib}, ws ${versions.ws} without bufferutil, ` +
        `${machine.cores} x ${machine.cpu}; ${pinning(cores)}\n`,
      ...(speed.length === 0 ? [] : [speedText(speed, plan)]),
      ...(memory.length === 0 ? [] : [memoryText(memory, connections)]),
      ...(options.length === 0 ? [] : [optionsText(options)]),
    ].join('\n'),
    charts: deflateCharts(speed, memory),
  };
}

function speedText(speed: readonly CellResult[], { rounds, ms }: SpeedPlan): string {
  const agreed = new Map(speed.map((cell) => [cell.mode, cell.agreed]));
  return [
    `echo of text, 32 connections: us of the server's CPU for a message, median of ${rounds} rounds of ${ms} ms`,
    ...[...agreed].map(([mode, parameters]) => `${mode}: both agreed to ${parameters}`),
    'both compress every message: threshold 0, all else at the defaults',
    '',
    speedTable(speed),
  ].join('\n');
}

function memoryText(memory: readonly MemoryResult[], connections: number): string {
  return [
    `KiB of resident memory that the server grew by for each of ${connections} idle connections`,
    'open, after 1 and after 41 echoes of 1 KiB; takeover: by the window of what the client sends',
    '',
    memoryTable(memory),
  ].join('\n');
}

function optionsText(options: readonly OptionCost[]): string {
  return [
    'what the options cost: us for a message in this process, without a connection, the fastest of many batches, and',
    'how much of the message is left; a compressor begins anew with each message unless it is its own',
    '',
    optionsTable(options),
  ].join('\n');
}

function pinning({ server, load }: Cores): string {
  if (load === undefined) return 'no core of its own for either side';
  return server === undefined
    ? `load on core ${load}, server on any`
    : `server on core ${server}, load on core ${load}`;
}

function allCells(): Cell[] {
  return SIZES.flatMap((size) =>
    [16, 1].flatMap((depth) =>
      (['shared', 'takeover'] as const).map((mode) => ({ size, depth, mode })),
    ),
  );
}

/** Everybody who stands in a line of that size. */
function subjectsOf({ size }: Cell): Subject[] {
  const lines = LINES.filter((line) => line.size === size);
  const levels = (library: Subject['library']): Subject[] =>
    [...new Set(lines.map((line) => line[library]))].map((level) => ({ library, level }));
  return [...levels('ours'), ...levels('ws')];
}

function names(): string {
  return [...allCells().map(cellName), 'memory', 'options'].join(', ');
}

function wsVersion(): string {
  return (createRequire(import.meta.url)('ws/package.json') as { version: string }).version;
}
