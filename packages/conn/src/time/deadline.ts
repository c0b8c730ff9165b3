import { TimeoutError } from '../errors.ts';
import type { Platform } from '../platform/platform.ts';
import { schedulerOf } from '../scheduler/scheduler.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import { isDate, kind } from '../validate.ts';

/** A deadline of reads or writes, as in Go. {@link set} also moves a deadline. */
export class Deadline implements TimerEntry {
  slot: number | undefined;
  readonly #platform: Platform;
  readonly #calls: 'read' | 'write';
  readonly #onExpired: (error: TimeoutError) => void;
  #at: Date | number | null = null;
  /** Time in ms from the call of {@link set} to the deadline. */
  #ms = 0;

  /** @param onExpired - Gets the error of all later calls. */
  constructor(
    platform: Platform,
    calls: 'read' | 'write',
    onExpired: (error: TimeoutError) => void,
  ) {
    this.#platform = platform;
    this.#calls = calls;
    this.#onExpired = onExpired;
  }

  /** @param at - A Date or ms since 1970; null: none. A past time expires at once. */
  set(at: Date | number | null): void {
    const ms = untilOf(at);
    schedulerOf(this.#platform).timers.clear(this);
    this.#at = at;
    this.#ms = ms;
    if (ms <= 0) this.fire();
    else if (ms !== Infinity) schedulerOf(this.#platform).timers.set(this, ms);
  }

  fire(): void {
    const when = this.#ms > 0 ? ` after ${this.#ms} ms` : pastText(this.#at);
    const setter = this.#calls === 'read' ? 'setReadDeadline' : 'setWriteDeadline';
    const text = `${this.#calls} timeout${when} (${setter})`;
    this.#onExpired(new TimeoutError(text, { permanent: true }));
  }

  clear(): void {
    schedulerOf(this.#platform).timers.clear(this);
  }
}

/** The start of 1971, in ms since 1970. A smaller number is a duration by mistake. */
const EARLIEST = 31_536_000_000;
/** The largest time of a Date. */
const LATEST = 8.64e15;

/** The end of an error message for a deadline that was in the past when set. */
function pastText(at: Date | number | null): string {
  const time = isDate(at) ? Date.prototype.getTime.call(at) : Number(at);
  const name = Math.abs(time) <= LATEST ? new Date(time).toISOString() : String(time);
  const isDuration = typeof at === 'number' && at > 0 && at < EARLIEST;
  return `: the deadline ${name} has passed${isDuration ? `; pass Date.now() + ${at}` : ''}`;
}

/**
 * Checks the time at which a login expires.
 *
 * @throws TypeError, RangeError as {@link untilOf}; RangeError for a time in 1970, which is a
 *   duration or the seconds of a JWT.
 */
export function checkExpires(at: Date | number | null): void {
  untilOf(at, 'expires');
  if (typeof at !== 'number' || at <= 0 || at >= EARLIEST) return;
  throw new RangeError(
    `expires: expected ms since 1970, got ${at}; pass Date.now() + ms, or exp * 1000 of a JWT`,
  );
}

/** Returns the time from now to `at` in ms, Infinity for null. @throws As {@link timeOf}. */
export function untilOf(at: Date | number | null, name = 'deadline'): number {
  return timeOf(at, name) - Date.now();
}

/**
 * Returns `at` in ms since 1970, Infinity for null.
 *
 * @throws TypeError when `at` is neither a Date nor a number nor null, RangeError for NaN or an
 *   invalid Date.
 */
export function timeOf(at: Date | number | null, name: string): number {
  if (at === null) return Infinity;
  const time = isDate(at) ? Date.prototype.getTime.call(at) : at;
  if (typeof time !== 'number') {
    throw new TypeError(`${name}: expected a Date, ms since 1970 or null, got ${kind(at)}`);
  }
  if (Number.isNaN(time)) throw new RangeError(`${name}: expected a valid time, got NaN`);
  return time;
}
