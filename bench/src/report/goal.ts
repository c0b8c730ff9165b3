import type { Spread } from '../statistics.ts';
import { number } from './table.ts';

/** What a figure is to be: the least or the most of it. */
export interface Goal {
  /** What every release holds. */
  readonly must: number;
  /** What was reached without limits. */
  readonly aim: number;
}

/** Whether more is better or less. */
export type Direction = 'at least' | 'at most';

/** Whether a figure is what it is to be. */
export function isMet(value: number, bound: number, direction: Direction): boolean {
  return direction === 'at least' ? value >= bound : value <= bound;
}

/** `must` and `aim` as cells: each the bound and whether it was met. Four of them, empty without a goal. */
export function goalCells(value: number, goal: Goal | undefined, direction: Direction): string[] {
  if (goal === undefined) return ['', '', '', ''];
  const sign = direction === 'at least' ? '>=' : '<=';
  return [goal.must, goal.aim].flatMap((bound) => [
    `${sign} ${bound}`,
    isMet(value, bound, direction) ? 'met' : 'missed',
  ]);
}

/** The heads of {@link goalCells}. */
export const GOAL_HEAD: readonly string[] = ['must', '', 'aim', ''];

/** A spread as cells: the median, and from the least to the most. */
export function spreadCells({ median, least, most }: Spread): string[] {
  return [number(median), `${number(least)}-${number(most)}`];
}
