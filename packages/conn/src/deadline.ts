import type { Host } from './host.ts';
import { kind } from './options.ts';
import { type Alarm, timersOf } from './timers.ts';

/** The alarms that few connections ever set. */
export interface Deadlines {
  read?: Deadline;
  write?: Deadline;
  /** Rings when the transport has been paused too long with nobody reading. */
  idle?: Alarm;
}

/** A moment after which something is no longer allowed, as Go's deadlines. It can be moved until it strikes. */
export class Deadline implements Alarm {
  tick: number | undefined;
  readonly #host: Host;
  readonly #strike: () => void;

  constructor(host: Host, strike: () => void) {
    this.#host = host;
    this.#strike = strike;
  }

  /** Sets it to `at`, a Date or ms since 1970; null takes it away. One that is past strikes at once. */
  set(at: Date | number | null): void {
    const ms = untilOf(at);
    timersOf(this.#host).clear(this);
    if (ms <= 0) this.#strike();
    else if (ms !== Infinity) timersOf(this.#host).set(this, ms);
  }

  ring(): void {
    this.#strike();
  }

  clear(): void {
    timersOf(this.#host).clear(this);
  }
}

/**
 * Milliseconds from now to `at`, Infinity for null.
 *
 * @throws TypeError when it is neither a Date nor a number nor null, RangeError when it is no moment.
 */
export function untilOf(at: Date | number | null): number {
  if (at === null) return Infinity;
  const time = at instanceof Date ? at.getTime() : at;
  if (typeof time !== 'number') {
    throw new TypeError(`deadline: expected a Date, ms since 1970 or null, got ${kind(at)}`);
  }
  if (Number.isNaN(time)) throw new RangeError('deadline: expected a moment, got NaN');
  return time - Date.now();
}
