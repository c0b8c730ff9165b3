import { type ContestResult, timesBase } from '../harness/runner.ts';
import type { Spread } from '../harness/statistics.ts';
import { number, valueText } from '../report/table.ts';
import type { Results } from './documents.ts';

/** Reads a figure from the results; undefined when it was not measured. */
export type Measure = (results: Results) => Spread | undefined;

/** A figure that must hold, and one that a prototype reached. */
export interface Goal {
  readonly name: string;
  readonly must: number;
  readonly aim: number;
  /** Whether less is better. */
  readonly less?: boolean;
  /** Absent: another check measures it, see {@link elsewhere}. */
  readonly measure?: Measure;
  /** What measures it otherwise. */
  readonly elsewhere?: string;
}

/** A contest of a recorded scenario. */
export function contestOf(
  results: Results,
  scenario: string,
  contest: string,
): ContestResult | undefined {
  return results.get(scenario)?.contests?.find(({ name }) => name === contest);
}

/** How many times as good a contender is as another one in a contest. */
export function times(
  scenario: string,
  contest: string,
  contender: string,
  base: string,
  metric = 'us',
): Measure {
  return (results) => {
    const found = contestOf(results, scenario, contest);
    return found && timesBase(found, contender, base, metric);
  };
}

/** The goals with what the recorded results say. */
export function goalsTable(goals: readonly Goal[], results: Results): string {
  const pinned = [...results.values()].every(({ cores }) => cores?.load !== undefined);
  const rows = goals.map(({ name, must, aim, less = false, measure, elsewhere = '' }) => {
    const sign = less ? '≤' : '≥';
    const found = measure?.(results);
    const met = found && (less ? found.median <= must : found.median >= must);
    const measured =
      measure === undefined
        ? `see ${elsewhere}`
        : found === undefined
          ? 'not measured yet'
          : `${valueText(found, ' to ')}${pinned ? (met ? ', met' : ', **missed**') : ''}`;
    return `| ${name} | ${sign} ${number(must)} | ${sign} ${number(aim)} | ${measured} |`;
  });
  return ['| goal | must | aim | measured |', '|---|---:|---:|---:|', ...rows].join('\n');
}
