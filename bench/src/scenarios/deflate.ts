import { createRequire } from 'node:module';
import { availableParallelism, cpus } from 'node:os';
import type { Command, Report, Values } from '../command-line/command.ts';
import { wholeNumber } from '../command-line/option-values.ts';
import { UsageError } from '../command-line/usage-error.ts';
import { Child } from '../harness/child.ts';
import { type Cores, chooseCores } from '../harness/cores.ts';
import type { LoadAnswers } from '../load/load-worker.ts';
import { StepBar } from '../report/progress-bar.ts';
import {
  measureInflating,
  measureOptions,
  type OptionCost,
  optionsTable,
} from './deflate-options.ts';
import { deflateCharts, LINES, memoryTable, speedTable } from './deflate-report.ts';
import { measureSmall, type SmallCost, smallTable } from './deflate-small.ts';
import {
  type Cell,
  type CellResult,
  cellName,
  measureCell,
  type SpeedPlan,
  type Subject,
} from './deflate-speed.ts';
import { MEMORY_SUBJECTS, type MemoryResult, measureMemory } from './idle-memory.ts';

const SUMMARY = `permessage-deflate next to ws, over sockets: CPU of the server for a message, bytes
on the wire, memory of an idle connection`;

const HELP = `ws-bench deflate: ${SUMMARY}

usage: ws-bench deflate [--quick] [--connections N] [--only CELL] [--pin] [--profile DIR]
                        [--json [FILE]] [--html FILE]

A server of ours and one of ws, each in its own process, echo JSON-like text to a load process over
bare sockets. Both agree to the same parameters and compress every message, however small. In each
round each server has a window of time, and ratios are taken within a round. The tables show the
median of the rounds, and the least and the most of them. After each window every echo is inflated and
compared with the message.

  us          microseconds of CPU of the server for a message, all threads together
  x           our messages per CPU second, as times those of ws
  level       of compression, ours : ws; our default is 1, that of ws is 6
  sent small  messages that the server sent compressed; compression did not shrink the others
  load busy   largest CPU share of the load process

  shared      server_no_context_takeover and client_no_context_takeover
  takeover    neither; the first table has windows of 32 KiB in both directions

Memory is the growth of the resident memory of a fresh server process for each connection: open, after
one echo of 1 KiB each, after 40 more. The connections are idle and the garbage is collected. The
young generation is limited to 1 MiB in both (--max-semi-space-size=1), because it otherwise grows
with traffic instead of connections.

The next table shows the cost of each option: microseconds for a message, and its compressed share.
The last one compares zlib with our own deflater for small messages, by message size.

options
  --connections N  of the memory table; default: 1000
  --only CELL      only cells whose name contains CELL: '64 B x 16 shared', 'takeover', 'memory',
                   'options', 'small'
  --pin            one core for all threads of a server; default: all cores, because ws works on
                   zlib's threads
  --profile DIR    write a CPU profile of each of our servers to DIR; slows them down
  --quick          3 short rounds and 400 connections for a first impression; do not quote the
                   figures
  --json [FILE]    print one JSON document instead of tables, or write it to FILE besides the tables
  --html FILE      write a page with charts
`;

const SIZES: readonly number[] = [...new Set(LINES.map(({ size }) => size))];

/** `ws-bench deflate`. */
export const deflate: Command = {
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
  const withSmall = 'small'.includes(only);
  if (cells.length === 0 && !withMemory && !withOptions && !withSmall) {
    throw new UsageError(`no cell has '${only}' in its name; expected a part of ${names()}`);
  }
  const plan: SpeedPlan = {
    ...(quick ? { rounds: 3, ms: 200, warmUpMs: 250 } : { rounds: 9, ms: 1000, warmUpMs: 1000 }),
    profile: values['profile'] as string | undefined,
  };
  const memoryRounds = withMemory ? (quick ? 1 : 3) : 0;

  const { server, load: loadCore } = chooseCores();
  const cores: Cores = { server: values['pin'] === true ? server : undefined, load: loadCore };
  const progress = new StepBar(cells.length + memoryRounds * MEMORY_SUBJECTS.length);
  const speed: CellResult[] = [];
  const memory: MemoryResult[] = [];
  const batches = quick ? 20 : 200;
  const options = withOptions ? [...measureOptions(batches), ...measureInflating(batches)] : [];
  const small = withSmall ? measureSmall(batches) : [];
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
    document: { machine, versions, quick, plan, connections, speed, memory, options, small },
    text: [
      `node v${versions.node}, zlib ${versions.zlib}, ws ${versions.ws} without bufferutil, ` +
        `${machine.cores} x ${machine.cpu}; ${pinning(cores)}\n`,
      ...(speed.length === 0 ? [] : [speedText(speed, plan)]),
      ...(memory.length === 0 ? [] : [memoryText(memory, connections)]),
      ...(options.length === 0 ? [] : [optionsText(options)]),
      ...(small.length === 0 ? [] : [smallText(small)]),
    ].join('\n'),
    charts: deflateCharts(speed, memory),
  };
}

function speedText(speed: readonly CellResult[], { rounds, ms }: SpeedPlan): string {
  const agreed = new Map(speed.map((cell) => [cell.mode, cell.agreed]));
  return [
    `echo of text, 32 connections: us of the server's CPU for a message`,
    `median of ${rounds} rounds of ${ms} ms`,
    ...[...agreed].map(([mode, parameters]) => `${mode}: both agreed to ${parameters}`),
    'both compress every message: threshold 0, other options at their defaults',
    '',
    speedTable(speed),
  ].join('\n');
}

function memoryText(memory: readonly MemoryResult[], connections: number): string {
  return [
    `growth of the server's resident memory for each of ${connections} idle connections, in KiB`,
    'open, after 1 and after 41 echoes of 1 KiB; takeover: with the window of the client',
    '',
    memoryTable(memory),
  ].join('\n');
}

function optionsText(options: readonly OptionCost[]): string {
  return [
    'cost of the options: us for a message in this process, without a connection, fastest of many',
    "batches, and the message's compressed share; only an own compressor keeps its history",
    '',
    optionsTable(options),
  ].join('\n');
}

function smallText(small: readonly SmallCost[]): string {
  return [
    'small messages without zlib: us for a message in this process, fastest of many batches, its',
    'compressed share, and the median of the ratios of both ways, batch by batch',
    '',
    smallTable(small),
  ].join('\n');
}

function pinning({ server, load }: Cores): string {
  if (load === undefined) return 'no process is pinned to a core';
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

/** The subjects of the lines for this size. */
function subjectsOf({ size }: Cell): Subject[] {
  const lines = LINES.filter((line) => line.size === size);
  const levels = (library: Subject['library']): Subject[] =>
    [...new Set(lines.map((line) => line[library]))].map((level) => ({ library, level }));
  return [...levels('ours'), ...levels('ws')];
}

function names(): string {
  return [...allCells().map(cellName), 'memory', 'options', 'small'].join(', ');
}

function wsVersion(): string {
  return (createRequire(import.meta.url)('ws/package.json') as { version: string }).version;
}
