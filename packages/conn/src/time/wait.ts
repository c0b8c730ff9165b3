import { addAbortListener, removeAbortListener } from './abort-listeners.ts';
import { TimeoutError } from './errors.ts';
import type { Host } from './host.ts';
import { duration, kind } from './options.ts';
import { Deferred, rejected } from './promises.ts';
import { type Alarm, timersOf } from './timers.ts';

/** How long to wait. Both are soft: the connection goes on, and nothing is lost. */
export interface Patience {
  /** Gives up when it is aborted; the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Gives up after this many ms with a TimeoutError. */
  readonly timeout?: number | undefined;
}

/**
 * Waits for what `start` starts, at most as long as `patience` says; then `giveUp` is called and the promise rejects
 * with the reason, unless `giveUp` says false: it has happened already, and nothing that happened is lost. Listener and
 * timer are gone when it settles. With a signal that is aborted already nothing starts.
 */
export function patiently<T>(
  host: Host,
  patience: Patience,
  start: () => Promise<T>,
  giveUp: (started: Promise<T>, reason: unknown) => boolean,
): Promise<T> {
  let ms: number;
  try {
    checkPatience(patience);
    ms = duration('timeout', patience.timeout, Infinity, false);
  } catch (error) {
    return rejected(error);
  }
  const { signal } = patience;
  if (signal?.aborted) return rejected(signal.reason);
  const started = start();
  if (signal === undefined && ms === Infinity) return started;
  const outcome = new Deferred<T>();
  const alarm: Alarm = {
    tick: undefined,
    ring: () => stop(new TimeoutError(`nothing came in ${ms} ms`)),
  };
  const aborted = (): void => stop(signal?.reason);
  const forget = (): void => {
    timersOf(host).clear(alarm);
    if (signal !== undefined) removeAbortListener(signal, aborted);
  };
  const stop = (reason: unknown): void => {
    forget();
    if (giveUp(started, reason)) outcome.reject(reason);
  };
  if (ms !== Infinity) timersOf(host).set(alarm, ms);
  if (signal !== undefined) addAbortListener(signal, aborted);
  started.then(
    (value) => {
      forget();
      outcome.resolve(value);
    },
    (error: unknown) => {
      forget();
      outcome.reject(error);
    },
  );
  return outcome.promise;
}

/** @throws TypeError when the options are no object, or their signal is no AbortSignal. */
export function checkPatience(options: unknown): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`expected options, got ${kind(options)}`);
  }
  const { signal } = options as { signal?: { addEventListener?: unknown } };
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw new TypeError(`signal: expected an AbortSignal, got ${kind(signal)}`);
  }
}
