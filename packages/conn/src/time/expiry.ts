import type { Platform } from '../platform/platform.ts';
import { schedulerOf } from '../scheduler/scheduler.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import { timeOf } from './deadline.ts';

/** How often the time of day is looked at, in ms, when nothing else happens. */
const LOOK_EVERY = 20_000;

/**
 * Ends a login at a time of day, or after the wait until then, if that is earlier. A monotonic clock
 * measures the wait, so a time of day that is set back does not extend it. That clock stops while the
 * machine sleeps. So the time of day is looked at with each chunk, and from time to time.
 */
export class Expiry implements TimerEntry {
  slot: number | undefined;
  readonly #platform: Platform;
  readonly #onExpired: () => void;
  readonly #lookEvery: number;
  /** In ms since 1970; Infinity: never. */
  #at = Infinity;
  /** The end of the wait, in ms of the platform's clock. */
  #waitsUntil = Infinity;

  /**
   * @param onExpired - Called once for each {@link set}.
   * @param lookEvery - In ms; more than 20 s counts as 20 s.
   */
  constructor(platform: Platform, onExpired: () => void, lookEvery: number = LOOK_EVERY) {
    this.#platform = platform;
    this.#onExpired = onExpired;
    this.#lookEvery = Math.min(lookEvery, LOOK_EVERY);
  }

  /** Sets it to `at`, a Date or ms since 1970; null: never. A past time expires at once. */
  set(at: Date | number | null): void {
    this.clear();
    this.#at = timeOf(at, 'expires');
    this.#waitsUntil = this.#platform.now() + this.#at - Date.now();
    if (this.#at !== Infinity) this.fire();
  }

  /** Looks at the time of day, for each chunk. Returns whether the login expires with this call. */
  check(): boolean {
    if (Date.now() < this.#at) return false;
    this.#expire();
    return true;
  }

  fire(): void {
    const left = Math.min(this.#at - Date.now(), this.#waitsUntil - this.#platform.now());
    if (left <= 0) return this.#expire();
    schedulerOf(this.#platform).timers.set(this, Math.min(left, this.#lookEvery));
  }

  #expire(): void {
    this.clear();
    this.#onExpired();
  }

  clear(): void {
    this.#at = Infinity;
    schedulerOf(this.#platform).timers.clear(this);
  }
}
