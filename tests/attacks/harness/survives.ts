import { poolGuard } from '@ws/codec/internal';
import { expect } from 'vitest';
import { turn } from '../../kit/fake-platform.ts';
import {
  type Attack,
  type Limits,
  memoryLimit,
  type NamedLimit,
  outcomeLimits,
  STALL_MS,
} from './bounds.ts';
import { record } from './record.ts';
import { type Cost, type Watch, Watcher } from './watch.ts';

/** The result of an attack: close codes, statuses, counts. */
export type Outcome = Readonly<Record<string, unknown>>;

/** Measures nothing. */
const UNMEASURED: Watch = { sent() {}, weigh() {}, held: () => 0 };

/**
 * Runs an attack without a bound, so that code is compiled and pools are filled before it counts.
 */
export async function warmUp(attack: (watch: Watch) => unknown, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await attack(UNMEASURED);
}

/**
 * Runs an attack and asserts its bound: the outcome, the memory held, the longest stall of the
 * event loop, and that nothing is uncaught. The preparation before the call does not count. The
 * work that `run` does in this process counts.
 *
 * @param run - One round, from the first byte to the last assertion. It must release everything.
 * @returns The outcome of the last round, for further assertions.
 */
export async function survives<T extends Outcome>(
  attack: Attack,
  bound: Limits,
  run: (watch: Watch) => T | Promise<T>,
): Promise<T> {
  const { rounds = 12, warmUps = 0 } = bound;
  await warmUp(run, warmUps);
  const limits = outcomeLimits(bound);
  const { memory, perByte } = memoryLimit(bound);
  const costs: NamedLimit[] = [
    ['stall', { atMost: STALL_MS }],
    ['memory', { atMost: memory }],
    ...limits.filter(isNoisy),
  ];
  // Pools in debug mode take memory and time for their checks.
  const measured = poolGuard('memory') === undefined ? costs : [];
  const exact = limits.filter((limit) => !isNoisy(limit));
  const trap = new Trap();
  const lowest = new LowestFigures();
  let outcome: T | undefined;
  try {
    for (let i = 0; i < rounds; i++) {
      const watcher = new Watcher(memory, perByte);
      let cost: Cost;
      try {
        outcome = await run(watcher);
      } finally {
        cost = watcher.end();
      }
      lowest.note({ ...outcome, ...cost });
      for (const limit of exact) compare(limit, outcome[limit[0]]);
      if (measured.every((limit) => lowest.keeps(limit))) break;
    }
    // A forgotten promise can still reject.
    await turn();
  } finally {
    trap.close();
  }
  expect(trap.caught, 'uncaught').toEqual([]);
  for (const limit of measured) compare(limit, lowest.of(limit));
  record({ ...attack, ...bound });
  return outcome!;
}

function isNoisy([, limit]: NamedLimit): boolean {
  return typeof limit === 'object' && limit.inLowestRound === true;
}

function compare([figure, limit]: NamedLimit, measured: unknown): void {
  if (typeof limit !== 'object') {
    expect(measured, figure).toEqual(limit);
    return;
  }
  expect(measured, figure).toBeDefined();
  const { atMost, atLeast } = limit;
  if (atMost !== undefined) expect(measured, figure).toBeLessThanOrEqual(atMost);
  if (atLeast !== undefined) expect(measured, figure).toBeGreaterThanOrEqual(atLeast);
}

/** The lowest of each figure over the rounds. */
class LowestFigures {
  readonly #figures: Record<string, unknown> = {};

  note(figures: Outcome): void {
    for (const [name, figure] of Object.entries(figures)) {
      const lowest = this.#figures[name];
      if (typeof lowest !== 'number' || (figure as number) < lowest) this.#figures[name] = figure;
    }
  }

  of([figure]: NamedLimit): unknown {
    return this.#figures[figure];
  }

  keeps(limit: NamedLimit): boolean {
    const { atMost = Infinity } = limit[1] as { atMost?: number };
    return (this.of(limit) as number) <= atMost;
  }
}

/** Catches uncaught errors, and warnings about too many listeners. */
class Trap {
  readonly caught: unknown[] = [];
  readonly #onError = (error: unknown): void => void this.caught.push(error);
  readonly #onWarning = (warning: Error): void => {
    if (warning.name === 'MaxListenersExceededWarning') this.caught.push(warning);
  };

  constructor() {
    process.on('uncaughtException', this.#onError).on('unhandledRejection', this.#onError);
    process.on('warning', this.#onWarning);
  }

  close(): void {
    process.off('uncaughtException', this.#onError).off('unhandledRejection', this.#onError);
    process.off('warning', this.#onWarning);
  }
}
