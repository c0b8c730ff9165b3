import type { Chart } from '../report/chart.ts';
import { GOAL_HEAD, type Goal, goalCells, spreadCells } from '../report/goal.ts';
import { table } from '../report/table.ts';
import { ratios, type Spread, spreadOf } from '../statistics.ts';
import type { MemoryMode, MemoryResult } from './deflate-memory.ts';

/** When the memory is looked at. */
type Stage = 'open' | 'afterOne' | 'afterMany';

/** How often the memory of a bare socket an idle connection of ours may have. */
export const MEMORY_GOALS: Readonly<Partial<Record<Stage, Goal>>> = {
  open: { must: 1.15, aim: 1.05 },
  afterOne: { must: 1.2, aim: 1.1 },
};

/** In their order, and what they are called. */
export const STAGES: readonly (readonly [Stage, string])[] = [
  ['open', 'open'],
  ['afterOne', 'after 1 echo'],
  ['afterMany', 'after 41'],
];

/** Times the memory of a bare socket, each round for itself. */
export function timesBare(
  results: readonly MemoryResult[],
  library: MemoryResult['library'],
  mode: MemoryMode,
  stage: Stage,
): Spread {
  return spreadOf(
    ratios(stageOf(results, library, mode, stage), stageOf(results, 'bare', 'uncompressed', stage)),
  );
}

function stageOf(
  results: readonly MemoryResult[],
  library: MemoryResult['library'],
  mode: MemoryMode,
  stage: Stage,
): number[] {
  return runsOf(results, library, mode).map((run) => run[stage]);
}

function runsOf(
  results: readonly MemoryResult[],
  library: MemoryResult['library'],
  mode: MemoryMode,
): MemoryResult[] {
  return results.filter((run) => run.library === library && run.mode === mode);
}

/** Bytes of an idle connection, each next to a bare socket. */
export function memoryTable(results: readonly MemoryResult[]): string {
  const subjects = new Map(results.map((run) => [`${run.library}, ${run.mode}`, run]));
  const rows = STAGES.flatMap(([stage, when]) =>
    [...subjects].map(([name, { library, mode }]) => {
      const bytes = spreadOf(stageOf(results, library, mode, stage));
      const heap = runsOf(results, library, mode).map((run) => run.heap[stage]);
      const times = timesBare(results, library, mode, stage);
      const goal = library === 'ours' && mode === 'uncompressed' ? MEMORY_GOALS[stage] : undefined;
      return [
        `${when}: ${name}`,
        `${Math.round(bytes.median)}`,
        `${Math.round(bytes.least)}-${Math.round(bytes.most)}`,
        `${Math.round(spreadOf(heap).median)}`,
        ...spreadCells(times),
        ...goalCells(times.median, goal, 'at most'),
      ];
    }),
  );
  return table(['connection', 'bytes', 'rounds', 'heap', 'x bare', 'rounds', ...GOAL_HEAD], rows);
}

/** A bar for each stage and subject. */
export function memoryChart(results: readonly MemoryResult[], connections: number): Chart {
  const subjects = new Map(results.map((run) => [`${run.library}, ${run.mode}`, run]));
  return {
    kind: 'bars',
    title: `Memory of an idle connection, ${connections} of them`,
    unit: 'bytes of resident memory',
    note: 'Less is better. Log scale. bare: a socket after the upgrade, no library.',
    labels: STAGES.map(([, when]) => when),
    series: [...subjects].map(([name, { library, mode }]) => ({
      name,
      values: STAGES.map(([stage]) => spreadOf(stageOf(results, library, mode, stage))),
    })),
    scale: 'log',
  };
}
