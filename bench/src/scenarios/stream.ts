import type { Command, Report, Values } from '../command-line/command.ts';
import { wholeNumber } from '../command-line/option-values.ts';
import { Child } from '../harness/child.ts';
import { type Cores, chooseCores } from '../harness/cores.ts';
import { ratios, rotated, spreadOf } from '../harness/statistics.ts';
import type { Chart } from '../report/chart.ts';
import { StepBar } from '../report/progress-bar.ts';
import { settingLine, settingOf } from '../report/setting.ts';
import { number, spreadCells, table } from '../report/table.ts';
import type { ResourceUse, StreamAnswers, StreamName } from '../rivals/stream-worker.ts';

const MIB = 1024 * 1024;
const ANSWER_TIMEOUT_MS = 3_600_000;
const NAMES: readonly StreamName[] = ['ours', 'ours, 64 KiB frames', 'ws', 'raw'];

const SUMMARY = 'one message of 1 GiB between two processes, next to ws streams and to TCP';

const HELP = `ws-bench stream: ${SUMMARY}

usage: ws-bench stream [--mib N] [--rounds N] [--quick] [--json [FILE]] [--html FILE]

A client writes a message in pieces of 64 KiB and waits for backpressure. A server reads it. Each runs
in a fresh process: ours uses nextWriter and nextReader, ws uses createWebSocketStream, which makes a
message of each piece, and raw is a TCP socket. The client masks its bytes, except over TCP. Every byte
is compared with the expected one.

  MB/s     millions of bytes per second
  x ws     MB/s, as times those of ws in the same round
  CPU      microseconds of both processes for a MB, all threads together
  growth   largest growth of resident memory: of the reader, of the writer

options
  --mib N        default: 1024
  --rounds N     default: 3
  --quick        256 MiB for a first impression; do not quote the figures
  --json [FILE]  print one JSON document instead of tables, or write it to FILE besides the tables
  --html FILE    write a page with charts
`;

/** `ws-bench stream`. */
export const stream: Command = {
  summary: SUMMARY,
  help: HELP,
  options: { mib: { type: 'string' }, rounds: { type: 'string' } },
  run,
};

/** Readings of one kind of stream, one value for each round. */
export interface StreamReadings {
  readonly name: StreamName;
  /** MB per second. */
  readonly rate: number[];
  /** Microseconds for a MB, both processes together. */
  readonly cpu: number[];
  /** Bytes. */
  readonly readerGrowth: number[];
  readonly writerGrowth: number[];
}

async function run(values: Values): Promise<Report> {
  const quick = values['quick'] === true;
  const rounds = wholeNumber(values, 'rounds', 3);
  const bytes = MIB * wholeNumber(values, 'mib', quick ? 256 : 1024);
  const cores = chooseCores();
  const setting = settingOf(cores);
  const progress = new StepBar(rounds * NAMES.length);
  const readings: StreamReadings[] = NAMES.map((name) => ({
    name,
    rate: [],
    cpu: [],
    readerGrowth: [],
    writerGrowth: [],
  }));
  try {
    for (let round = 0; round < rounds; round++) {
      for (const one of rotated(readings, round)) {
        progress.step(one.name);
        await measureStream(cores, one, bytes);
      }
    }
  } finally {
    progress.end();
  }
  return {
    document: { setting, quick, rounds, bytes, readings },
    text: [
      settingLine(setting),
      `${bytes / MIB} MiB from one process to another, median of ${rounds} rounds`,
      '',
      streamTable(readings),
    ].join('\n'),
    charts: [streamChart(readings, bytes / MIB)],
  };
}

async function measureStream(cores: Cores, readings: StreamReadings, bytes: number): Promise<void> {
  const { name } = readings;
  const env = { WS_NO_BUFFER_UTIL: '1' };
  const reader = new Child<StreamAnswers>('./stream-worker.js', [], cores.server, env);
  const writer = new Child<StreamAnswers>('./stream-worker.js', [], cores.load, env);
  try {
    const port = await reader.ask('listen', { name, bytes });
    const began = performance.now();
    const [read, written]: ResourceUse[] = await Promise.all([
      reader.ask('read', undefined, ANSWER_TIMEOUT_MS),
      writer.ask('write', { name, port, bytes }, ANSWER_TIMEOUT_MS),
    ]);
    const seconds = (performance.now() - began) / 1000;
    readings.rate.push(bytes / 1e6 / seconds);
    readings.cpu.push((read!.cpu + written!.cpu) / (bytes / 1e6));
    readings.readerGrowth.push(read!.growth);
    readings.writerGrowth.push(written!.growth);
  } finally {
    await Promise.all([reader.end(), writer.end()]);
  }
}

/** One line for each kind of stream. */
export function streamTable(readings: readonly StreamReadings[]): string {
  const ws = readings.find(({ name }) => name === 'ws')!;
  const raw = readings.find(({ name }) => name === 'raw')!;
  const mib = (growth: number[]): string => number(spreadOf(growth).median / MIB);
  return table(
    ['stream', 'MB/s', 'x ws', 'rounds', 'x raw', 'CPU us/MB', 'reader MiB', 'writer MiB'],
    readings.map(({ name, rate, cpu, readerGrowth, writerGrowth }) => [
      name,
      number(spreadOf(rate).median),
      ...spreadCells(spreadOf(ratios(rate, ws.rate))),
      number(spreadOf(ratios(rate, raw.rate)).median),
      number(spreadOf(cpu).median),
      mib(readerGrowth),
      mib(writerGrowth),
    ]),
  );
}

function streamChart(readings: readonly StreamReadings[], mib: number): Chart {
  return {
    kind: 'bars',
    title: `A message of ${mib} MiB from one process to another`,
    unit: 'MB in a second',
    note: 'More is better. raw: TCP, no WebSocket.',
    labels: readings.map(({ name }) => name),
    series: [{ name: 'MB/s', values: readings.map(({ rate }) => spreadOf(rate)) }],
  };
}
