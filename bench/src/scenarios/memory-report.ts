import { ratios, type Spread, spreadOf } from '../harness/statistics.ts';
import type { Chart } from '../report/chart.ts';
import { spreadCells, table } from '../report/table.ts';
import type { MemoryMode, MemoryResult } from './idle-memory.ts';

/** The moments of a memory reading. */
type Stage = 'open' | 'afterOne' | 'afterMany';

/** The stages in order, with their names. */
export const STAGES: readonly (readonly [Stage, string])[] = [
  ['open', 'open'],
  ['afterOne', 'after 1 echo'],
  ['afterMany', 'after 41'],
];

/** Memory as times that of a bare socket, round by round. */
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

/** Bytes of an idle connection, next to a bare socket. */
export function memoryTable(results: readonly MemoryResult[]): string {
  const subjects = new Map(results.map((run) => [`${run.library}, ${run.mode}`, run]));
  const rows = STAGES.flatMap(([stage, when]) =>
    [...subjects].map(([name, { library, mode }]) => {
      const bytes = spreadOf(stageOf(results, library, mode, stage));
      const heap = runsOf(results, library, mode).map((run) => run.heap[stage]);
      const times = timesBare(results, library, mode, stage);
      return [
        `${when}: ${name}`,
        `${Math.round(bytes.median)}`,
        `${Math.round(bytes.least)}-${Math.round(bytes.most)}`,
        `${Math.round(spreadOf(heap).median)}`,
        ...spreadCells(times),
      ];
    }),
  );
  return table(['connection', 'bytes', 'rounds', 'heap', 'x bare', 'rounds'], rows);
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
