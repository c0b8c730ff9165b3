import { TimeoutError, type WaitOptions } from '@ws/conn';
import { badType, kind, markHandled, RESOLVED, rejected, whole } from '@ws/conn/internal';

/** Longest time of `setTimeout` in ms: 24 days. */
export const LONGEST_TIMER = 2_147_483_647;

export function nothing(): void {}

/** Reports an error of the application as an uncaught one, without an end of the process. */
export function report(error: unknown): void {
  // Node has no `reportError`, and that of Deno and Bun ends the process.
  const { Deno, Bun, reportError } = globalThis;
  ((!Deno && !Bun && reportError) || console.error)(error);
}

/**
 * Calls `check`, which checks the arguments of the public function `called`. In V8 the stack of an
 * error starts at the caller of that function. The function `checked` of the codec also works for
 * methods and foreign errors, and is larger.
 */
export function checked<T>(check: () => T, called: unknown): T {
  try {
    return check();
  } catch (error) {
    Error.captureStackTrace?.(error as object, called);
    throw error;
  }
}

/** Returns the promise of `call`. An error that `call` throws is reported and rejects the promise. */
export function attempt<T>(call: () => Promise<T>, reportTo: typeof report = report): Promise<T> {
  try {
    const promise = call();
    // A write with room returns RESOLVED.
    return promise === RESOLVED ? promise : markHandled(promise);
  } catch (error) {
    reportTo(error);
    return rejected(error);
  }
}

/**
 * Calls `call` after `ms` milliseconds; never, if `ms` exceeds {@link LONGEST_TIMER}. Returns a
 * function that cancels the timer.
 */
export function after(ms: number, call: () => void): () => void {
  const timer = ms > LONGEST_TIMER ? undefined : setTimeout(call, ms);
  return () => clearTimeout(timer);
}

/** @throws TypeError if `signal` is not an AbortSignal. */
export function checkSignal(signal: unknown): void {
  // A TaskSignal is an AbortSignal too.
  if (signal !== undefined && !kind(signal).endsWith('Signal')) {
    throw badType('signal: expected an AbortSignal', signal);
  }
}

/**
 * Creates a promise that `signal` or `timeout` may settle early.
 *
 * @param start - As the executor of a Promise. It returns a function that ends the wait for a reason.
 * @throws TypeError, RangeError for a bad `signal` or `timeout`.
 */
export function bounded<T>(
  { signal, timeout }: WaitOptions,
  start: (
    resolve: (value: T | PromiseLike<T>) => void,
    reject: (reason: unknown) => void,
  ) => (reason: unknown) => void,
  text = `timed out after ${timeout} ms (option timeout)`,
): Promise<T> {
  checkSignal(signal);
  const ms = timeout === undefined ? Infinity : whole('timeout', timeout);
  if (signal?.aborted) return rejected(signal.reason, signal);
  let settled = nothing;
  const promise = new Promise<T>((resolve, reject) => {
    const stop = start(resolve, reject);
    const aborted = (): void => stop(signal!.reason);
    const cancel = after(ms, () => stop(new TimeoutError(text)));
    signal?.addEventListener('abort', aborted);
    settled = () => {
      cancel();
      signal?.removeEventListener('abort', aborted);
    };
  });
  promise.then(settled, settled);
  return promise;
}
