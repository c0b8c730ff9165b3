import type { BarChart } from '../report/chart.ts';
import { bytesName, number, table } from '../report/table.ts';
import { ratios, type Spread, spreadOf } from '../statistics.ts';
import type { MemoryMode, MemoryResult } from './deflate-memory.ts';
import type { CellResult, Readings } from './deflate-speed.ts';

/** At 4 KiB our frames may have so many times the bytes of those of ws. */
const WIRE_GOAL = 1.12;
/** So much memory beyond an uncompressed connection counts as none: the noise of the measurement. */
const NOTHING = 1024;

/** One line of the speed table: we at one level, ws at one level. */
interface Comparison {
  readonly result: CellResult;
  readonly ours: Readings;
  readonly ws: Readings;
  /** At least so many times the messages per CPU second; undefined where nothing was promised. */
  readonly goal: number | undefined;
}

/** What a line of the speed table compares: levels of ours and of ws, and the goals with 16 and 1 in flight. */
interface Line {
  readonly size: number;
  readonly ours: number;
  readonly ws: number;
  readonly goals: readonly [many: number, one: number] | undefined;
}

/** Level 1 is our default, 6 that of ws. */
export const LINES: readonly Line[] = [
  { size: 64, ours: 1, ws: 6, goals: [10, 4] },
  { size: 512, ours: 1, ws: 6, goals: [5, 3] },
  { size: 4096, ours: 1, ws: 6, goals: [3, 3] },
  { size: 4096, ours: 6, ws: 6, goals: [2, 2] },
  { size: 4096, ours: 1, ws: 1, goals: undefined },
  { size: 65_536, ours: 1, ws: 6, goals: [1.5, 1.5] },
];

/** The speed table: messages per CPU second of the server, and bytes on the wire. */
export function speedTable(results: readonly CellResult[]): string {
  const head = ['message', 'in flight', 'context', 'level', 'ours us', 'ws us', 'x', 'rounds'];
  head.push('goal', '', 'ours B', 'ws B', 'B ratio', 'goal', '', 'sent small', 'load busy');
  return table(head, results.flatMap(comparisonsOf).map(speedCells));
}

function comparisonsOf(result: CellResult): Comparison[] {
  const at = (library: 'ours' | 'ws', level: number): Readings =>
    result.subjects.find((one) => one.library === library && one.level === level)!;
  return LINES.filter(({ size }) => size === result.size).map(({ ours, ws, goals }) => ({
    result,
    ours: at('ours', ours),
    ws: at('ws', ws),
    goal: goals?.[result.depth === 1 ? 1 : 0],
  }));
}

/** How many times as many messages a CPU second gives us as ws. */
function gain(ours: Readings, ws: Readings): Spread {
  return spreadOf(ratios(ws.cpu, ours.cpu));
}

function speedCells({ result, ours, ws, goal }: Comparison): string[] {
  const { size, depth, mode } = result;
  const times = gain(ours, ws);
  const bytes = spreadOf(ratios(ours.wire, ws.wire)).median;
  const wireGoal = size === 4096 && goal !== undefined ? WIRE_GOAL : undefined;
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
    goal === undefined ? '' : `>= ${goal}`,
    goal === undefined ? '' : verdict(times.median >= goal),
    number(spreadOf(ours.wire).median),
    number(spreadOf(ws.wire).median),
    number(bytes),
    wireGoal === undefined ? '' : `<= ${wireGoal}`,
    wireGoal === undefined ? '' : verdict(bytes <= wireGoal),
    `${percent(ours.compressed)} : ${percent(ws.compressed)}`,
    percent(Math.max(...ours.loadBusy, ...ws.loadBusy)),
  ];
}

/** How much less memory than ws a mode is to need. */
const MEMORY_GOALS: Readonly<Record<MemoryMode, number | undefined>> = {
  uncompressed: undefined,
  shared: 10,
  'takeover 4 KiB': 5,
  'takeover 32 KiB': 5,
};

/** The memory table: KiB of an idle connection, and how often ours goes into that of ws. */
export function memoryTable(results: readonly MemoryResult[]): string {
  const head = ['context', 'ours: open', 'after 1', 'after 41', 'ws: open', 'after 1', 'after 41'];
  head.push('x less', 'goal', '', 'beyond uncompressed', 'goal', '');
  const modes = new Set(results.map(({ mode }) => mode));
  const plain = of(results, 'uncompressed', 'ours').afterMany;
  return table(
    head,
    [...modes].map((mode) => {
      const ours = of(results, mode, 'ours');
      const ws = of(results, mode, 'ws');
      const less = ws.afterMany / ours.afterMany;
      const goal = MEMORY_GOALS[mode];
      const beyond = ours.afterMany - plain;
      return [
        mode,
        ...kib(ours),
        ...kib(ws),
        number(less),
        goal === undefined ? '' : `>= ${goal}`,
        goal === undefined ? '' : verdict(less >= goal),
        mode === 'uncompressed' ? '' : `${number(beyond / 1024)} KiB`,
        mode === 'shared' ? 'none' : '',
        mode === 'shared' ? verdict(beyond <= NOTHING) : '',
      ];
    }),
  );
}

type Stages = Pick<MemoryResult, 'open' | 'afterOne' | 'afterMany'>;

/** The middle of all runs of one subject. */
function of(
  results: readonly MemoryResult[],
  mode: MemoryMode,
  library: MemoryResult['library'],
): Stages {
  const runs = results.filter((run) => run.mode === mode && run.library === library);
  const middle = (stage: keyof Stages): number => spreadOf(runs.map((run) => run[stage])).median;
  return { open: middle('open'), afterOne: middle('afterOne'), afterMany: middle('afterMany') };
}

/** The gain in speed by kind of traffic, and the memory of an idle connection. */
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
      note: 'Median of the rounds, with the least and the most of them; levels are ours : that of ws.',
      labels: lines.map(lineName),
      series: [{ name: 'ours', values: lines.map(({ ours, ws }) => gain(ours, ws)) }],
      line: { name: 'ws', value: 1 },
    },
    {
      kind: 'bars',
      title: 'Memory of an idle connection',
      unit: 'KiB',
      note: 'Resident memory that the server grew by, after 41 echoes of 1 KiB.',
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

function verdict(met: boolean): string {
  return met ? 'met' : 'missed';
}
