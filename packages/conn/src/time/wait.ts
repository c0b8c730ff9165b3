import { TimeoutError } from '../errors.ts';
import type { Platform } from '../platform/platform.ts';
import { schedulerOf } from '../scheduler/scheduler.ts';
import type { TimerEntry } from '../scheduler/timers.ts';
import { duration, kind } from '../validate.ts';
import { addAbortListener, removeAbortListener } from './abort-listeners.ts';
import { CallPromise } from './call-promise.ts';
import { Deferred, rejected } from './promises.ts';

/**
 * Bounds of a wait. For reads, `signal` and `timeout` end only the wait: the connection stays open, and
 * no data is lost. For `Conn.close`, both destroy the transport.
 */
export interface WaitOptions {
  /** An abort ends the wait. The promise rejects with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Ms after which the promise rejects with a TimeoutError. Until then the process stays alive.
   */
  readonly timeout?: number | undefined;
}

/**
 * Waits for the promise of `start`. With an aborted signal, `start` is not called.
 *
 * @param giveUp - Called when the wait ends early. Returns false if the result already exists: the
 *   promise then settles with this result, so that no result is lost.
 * @throws TypeError, RangeError for bad options. (rejects) {@link TimeoutError}, the reason of the
 *   signal, the error of `start`.
 */
export function withTimeout<T>(
  platform: Platform,
  wait: WaitOptions,
  start: () => Promise<T>,
  giveUp: (started: Promise<T>, reason: unknown) => boolean,
): Promise<T> {
  checkWaitOptions(wait);
  const ms = duration('timeout', wait.timeout, Infinity, false);
  const { signal } = wait;
  if (signal?.aborted) return rejected(signal.reason, signal);
  const started = start();
  // A CallPromise belongs to a refused call, and rejects by itself.
  if ((signal === undefined && ms === Infinity) || started instanceof CallPromise) return started;
  const outcome = new Deferred<T>();
  const entry: TimerEntry = {
    slot: undefined,
    fire: () => endWait(new TimeoutError(`timed out after ${ms} ms (option timeout)`)),
  };
  const onAbort = (): void => endWait(signal?.reason);
  const removeBounds = (): void => {
    schedulerOf(platform).timers.clear(entry);
    if (signal !== undefined) removeAbortListener(signal, onAbort);
  };
  const endWait = (reason: unknown): void => {
    removeBounds();
    if (giveUp(started, reason)) outcome.reject(reason);
  };
  if (ms !== Infinity) schedulerOf(platform).timers.set(entry, ms, true);
  if (signal !== undefined) addAbortListener(signal, onAbort);
  // `start` may run code of the application.
  if (signal?.aborted) onAbort();
  started.then(
    (value) => {
      removeBounds();
      outcome.resolve(value);
    },
    (error: unknown) => {
      removeBounds();
      outcome.reject(error);
    },
  );
  return outcome.promise;
}

/** Keeps the process alive until `work` settles, for at most `ms`. Returns `work`. */
export function keepAliveFor<T>(platform: Platform, ms: number, work: Promise<T>): Promise<T> {
  const entry: TimerEntry = { slot: undefined, fire() {} };
  const settled = (): void => schedulerOf(platform).timers.clear(entry);
  schedulerOf(platform).timers.set(entry, ms, true);
  work.then(settled, settled);
  return work;
}

/** The names of {@link WaitOptions}. */
export const WAIT_OPTION_NAMES: readonly string[] = [
  'signal',
  'timeout',
] satisfies (keyof WaitOptions)[];

/** @throws TypeError when the options are not an object, or the signal is not an AbortSignal. */
export function checkWaitOptions(options: unknown): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`expected options, got ${kind(options)}`);
  }
  const { signal } = options as { signal?: { addEventListener?: unknown } };
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw new TypeError(`signal: expected an AbortSignal, got ${kind(signal)}`);
  }
}
