import { poolGuard } from '@ws/codec';
import { expect } from 'vitest';
import { turn } from '../fake-host.ts';
import { type Assertion, boundOf, securityMap } from './bounds.ts';
import { type Cost, type Watch, Watcher } from './watch.ts';

/** What an attack came to: close codes, statuses, counts. A name that the row asserts is compared with its figure. */
export type Outcome = Readonly<Record<string, unknown>>;

/** How {@link survives} goes about it. */
export interface SurvivalOptions {
  /**
   * How often the attack is made at most. Its cost is that of the cheapest round: code is compiled and pools are filled
   * in the first ones. No round follows once all bounds have held. Default 12.
   */
  readonly rounds?: number;
}

/**
 * Runs an attack and holds it to its row of `security-map.json`: the outcome, the memory held, the longest stall of the
 * event loop, and nothing uncaught. What is prepared before does not count; what `attack` itself does in the same
 * process does.
 *
 * @param id - The row.
 * @param attack - One round, from the first byte to the last thing asserted; it leaves nothing behind.
 * @returns What the last round came to, for further assertions.
 */
export async function survives<T extends Outcome>(
  id: number,
  attack: (watch: Watch) => T | Promise<T>,
  { rounds = 12 }: SurvivalOptions = {},
): Promise<T> {
  const memory = boundOf(id, 'memory');
  const outcomes = outcomesOf(id);
  const exact = outcomes.filter(({ noisy }) => noisy === undefined);
  // Pools that are made to debug take memory of their own, and time to look at it.
  const measured =
    poolGuard('memory') === undefined
      ? [memory, boundOf(id, 'stall'), ...outcomes.filter(({ noisy }) => noisy)]
      : [];
  const trap = new Trap();
  const cheapest = new Cheapest();
  let outcome: T | undefined;
  try {
    for (let i = 0; i < rounds; i++) {
      const watcher = new Watcher(memory);
      let cost: Cost;
      try {
        outcome = await attack(watcher);
      } finally {
        cost = watcher.end();
      }
      cheapest.note({ ...outcome, ...cost });
      for (const assertion of exact) compare(assertion, outcome[assertion.what]);
      if (measured.every((assertion) => cheapest.holds(assertion))) break;
    }
    // What was left behind may still be rejected.
    await turn();
  } finally {
    trap.close();
  }
  expect(trap.caught, 'uncaught').toEqual([]);
  for (const assertion of measured) compare(assertion, cheapest.of(assertion));
  return outcome!;
}

function outcomesOf(id: number): readonly Assertion[] {
  const entry = securityMap()[id];
  if (entry === undefined) throw new Error(`security-map.json has no row ${id}`);
  return entry.asserts.filter(({ what }) => what !== 'memory' && what !== 'stall');
}

function compare({ what, is, most, least }: Assertion, measured: unknown): void {
  if (is !== undefined) expect(measured, what).toEqual(is);
  if (most !== undefined) expect(measured, what).toBeLessThanOrEqual(most);
  if (least !== undefined) expect(measured, what).toBeGreaterThanOrEqual(least);
}

/** The least of what is measured, over the rounds. */
class Cheapest {
  readonly #figures: Record<string, unknown> = {};

  note(figures: Outcome): void {
    for (const [what, figure] of Object.entries(figures)) {
      const least = this.#figures[what];
      if (typeof least !== 'number' || (figure as number) < least) this.#figures[what] = figure;
    }
  }

  of({ what }: Assertion): unknown {
    return this.#figures[what];
  }

  holds({ what, is, most }: Assertion): boolean {
    const least = this.#figures[what] as number;
    return least === is || least <= most!;
  }
}

/** Catches what nobody else caught, and the warnings about listeners that pile up. */
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
