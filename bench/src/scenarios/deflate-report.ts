import { ratios, type Spread, spreadOf } from '../harness/statistics.ts';
import type { BarChart } from '../report/chart.ts';
import { bytesName, number, table } from '../report/table.ts';
import type { CellResult, Readings } from './deflate-speed.ts';
import type { MemoryMode, MemoryResult } from './idle-memory.ts';

/** One line of the speed table: ours at one level, ws at one level. */
interface Comparison {
  readonly result: CellResult;
  readonly ours: Readings;
  readonly ws: Readings;
}

/** The levels that a line of the speed table compares. */
interface Line {
  readonly size: number;
  readonly ours: number;
  readonly ws: number;
}

/** Our default level is 1, that of ws is 6. */
export const LINES: readonly Line[] = [
  { size: 64, ours: 1, ws: 6 },
  { size: 512, ours: 1, ws: 6 },
  { size: 4096, ours: 1, ws: 6 },
  { size: 4096, ours: 6, ws: 6 },
  { size: 4096, ours: 1, ws: 1 },
  { size: 65_536, ours: 1, ws: 6 },
];

/** The speed table: messages per CPU second of the server, and bytes on the wire. */
export function speedTable(results: readonly CellResult[]): string {
  const head = ['message', 'in flight', 'context', 'level', 'ours us', 'ws us', 'x', 'rounds'];
  head.push('ours B', 'ws B', 'B ratio', 'sent small', 'load busy');
  return table(head, results.flatMap(comparisonsOf).map(speedCells));
}

function comparisonsOf(result: CellResult): Comparison[] {
  const at = (library: 'ours' | 'ws', level: number): Readings =>
    result.subjects.find((one) => one.library === library && one.level === level)!;
  return LINES.filter(({ size }) => size === result.size).map(({ ours, ws }) => ({
    result,
    ours: at('ours', ours),
    ws: at('ws', ws),
  }));
}

/** Messages per CPU second, as times those of ws. */
function gain(ours: Readings, ws: Readings): Spread {
  return spreadOf(ratios(ws.cpu, ours.cpu));
}

function speedCells({ result, ours, ws }: Comparison): string[] {
  const { size, depth, mode } = result;
  const times = gain(ours, ws);
  const bytes = spreadOf(ratios(ours.wire, ws.wire)).median;
  const percent = (part: number): string => `${Math.round(100 * part)} %`;
  return [
    bytesName(size),
    `${depth}`,
    mode,
    `${ours.level} : ${ws.level}`,
    number(spreadOf(ours.cpu).median),
    number(spreadOf(ws.cpu).median),
    number(times.median),
    `${number(times.least)}-${number(times.most)}`,
    number(spreadOf(ours.wire).median),
    number(spreadOf(ws.wire).median),
    number(bytes),
    `${percent(ours.compressed)} : ${percent(ws.compressed)}`,
    percent(Math.max(...ours.loadBusy, ...ws.loadBusy)),
  ];
}

/** The memory table: KiB of an idle connection, and the memory of ws as times ours. */
export function memoryTable(results: readonly MemoryResult[]): string {
  const head = ['context', 'ours: open', 'after 1', 'after 41', 'ws: open', 'after 1', 'after 41'];
  head.push('x less', 'beyond uncompressed');
  const modes = new Set(results.map(({ mode }) => mode));
  const plain = of(results, 'uncompressed', 'ours').afterMany;
  return table(
    head,
    [...modes].map((mode) => {
      const ours = of(results, mode, 'ours');
      const ws = of(results, mode, 'ws');
      const less = ws.afterMany / ours.afterMany;
      const beyond = ours.afterMany - plain;
      return [
        mode,
        ...kib(ours),
        ...kib(ws),
        number(less),
        mode === 'uncompressed' ? '' : `${number(beyond / 1024)} KiB`,
      ];
    }),
  );
}

type Stages = Pick<MemoryResult, 'open' | 'afterOne' | 'afterMany'>;

/** The median of all runs of one subject. */
function of(
  results: readonly MemoryResult[],
  mode: MemoryMode,
  library: MemoryResult['library'],
): Stages {
  const runs = results.filter((run) => run.mode === mode && run.library === library);
  const middle = (stage: keyof Stages): number => spreadOf(runs.map((run) => run[stage])).median;
  return { open: middle('open'), afterOne: middle('afterOne'), afterMany: middle('afterMany') };
}

/** Charts of the speed by kind of traffic and of the memory of an idle connection. */
export function deflateCharts(
  speed: readonly CellResult[],
  memory: readonly MemoryResult[],
): BarChart[] {
  const lines = speed.flatMap(comparisonsOf);
  const modes = [...new Set(memory.map(({ mode }) => mode))];
  const charts: BarChart[] = [
    {
      kind: 'bars',
      title: 'Compressed echo, messages per CPU second',
      unit: 'times as many as ws',
      note: 'Median, least and most of the rounds. Levels are ours : that of ws.',
      labels: lines.map(lineName),
      series: [{ name: 'ours', values: lines.map(({ ours, ws }) => gain(ours, ws)) }],
      line: { name: 'ws', value: 1 },
    },
    {
      kind: 'bars',
      title: 'Memory of an idle connection',
      unit: 'KiB',
      note: 'Growth of resident memory, after 41 echoes of 1 KiB.',
      labels: modes,
      series: (['ours', 'ws'] as const).map((library) => ({
        name: library,
        values: modes.map((mode) => of(memory, mode, library).afterMany / 1024),
      })),
    },
  ];
  return charts.filter(({ labels }) => labels.length > 0);
}

function lineName({ result, ours, ws }: Comparison): string {
  const { size, depth, mode } = result;
  return `${bytesName(size)} x ${depth}, ${mode}, ${ours.level} : ${ws.level}`;
}

function kib({ open, afterOne, afterMany }: Stages): string[] {
  return [open, afterOne, afterMany].map((bytes) => number(bytes / 1024));
}
