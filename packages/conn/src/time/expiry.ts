import type { Platform } from '../platform/platform.ts';
import { schedulerOf } from '../scheduler/scheduler.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import { timeOf } from './deadline.ts';

/** Longest time in ms between two checks of the time of day. */
const MAX_CHECK_MS = 20_000;

/**
 * Ends a login at a time of day. Two clocks decide, and the earlier end counts: the clock of the time
 * of day can be set back, and the platform's monotonic clock may stop while the machine sleeps. Each
 * chunk of input, and a timer, checks the time of day.
 */
export class Expiry implements TimerEntry {
  slot: number | undefined;
  readonly #platform: Platform;
  readonly #onExpired: () => void;
  readonly #checkEvery: number;
  /** End of the login in ms since 1970; Infinity for never. */
  #at = Infinity;
  /** End of the login in ms of the platform's monotonic clock. */
  #waitsUntil = Infinity;

  /**
   * @param onExpired - Called once for each {@link set}.
   * @param checkEvery - Time in ms between two checks, at most 20 s.
   */
  constructor(platform: Platform, onExpired: () => void, checkEvery: number = MAX_CHECK_MS) {
    this.#platform = platform;
    this.#onExpired = onExpired;
    this.#checkEvery = Math.min(checkEvery, MAX_CHECK_MS);
  }

  /** @param at - A Date or ms since 1970; null: never. A past time expires at once. */
  set(at: Date | number | null): void {
    this.clear();
    this.#at = timeOf(at, 'expires');
    this.#waitsUntil = this.#platform.now() + this.#at - Date.now();
    if (this.#at !== Infinity) this.fire();
  }

  /** Called for each chunk: checks the time of day. Returns whether the login expires in this call. */
  check(): boolean {
    if (Date.now() < this.#at) return false;
    this.#expire();
    return true;
  }

  fire(): void {
    const left = Math.min(this.#at - Date.now(), this.#waitsUntil - this.#platform.now());
    if (left <= 0) return this.#expire();
    schedulerOf(this.#platform).timers.set(this, Math.min(left, this.#checkEvery));
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
