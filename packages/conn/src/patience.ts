import { TimeoutError } from './errors.ts';
import type { Host } from './host.ts';
import { duration } from './options.ts';
import { deferred, rejected } from './promises.ts';
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
 * with the reason, unless `giveUp` says false: it has happened already, and nothing that happened is lost. Listener and timer are gone when it settles. With a signal that is aborted already nothing starts.
 */
export function patiently<T>(
  host: Host,
  { signal, timeout }: Patience,
  start: () => Promise<T>,
  giveUp: (started: Promise<T>, reason: unknown) => boolean,
): Promise<T> {
  if (signal?.aborted) return rejected(signal.reason);
  let ms: number;
  try {
    ms = duration('timeout', timeout, Infinity, false);
  } catch (error) {
    return rejected(error);
  }
  const started = start();
  if (signal === undefined && ms === Infinity) return started;
  const { promise, resolve, reject } = deferred<T>();
  const alarm: Alarm = {
    tick: undefined,
    ring: () => stop(new TimeoutError(`nothing came in ${ms} ms`)),
  };
  const aborted = (): void => stop(signal?.reason);
  const forget = (): void => {
    timersOf(host).clear(alarm);
    signal?.removeEventListener('abort', aborted);
  };
  const stop = (reason: unknown): void => {
    forget();
    if (giveUp(started, reason)) reject(reason);
  };
  if (ms !== Infinity) timersOf(host).set(alarm, ms);
  signal?.addEventListener('abort', aborted);
  started.then(
    (value) => {
      forget();
      resolve(value);
    },
    (error: unknown) => {
      forget();
      reject(error);
    },
  );
  return promise;
}
