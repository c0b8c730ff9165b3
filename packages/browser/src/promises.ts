import { TimeoutError, type WaitOptions } from '@ws/conn';
import { badType, kind, markHandled, RESOLVED, rejected, whole } from '@ws/conn/internal';

/** The most ms that `setTimeout` takes: 24 days. */
export const LONGEST_TIMER = 2_147_483_647;

export function nothing(): void {}

/** Reports an error of the application as the runtime reports an uncaught one. Ends nothing. */
export function report(error: unknown): void {
  // Node has no `reportError`, and that of Deno and Bun ends the process.
  const { Deno, Bun, reportError } = globalThis;
  ((!Deno && !Bun && reportError) || console.error)(error);
}

/**
 * Runs the checks of the arguments of a public function. In V8 the stack of their error starts at
 * its caller. The function `checked` of the codec is larger: it also works for methods and foreign
 * errors.
 */
export function checked<T>(check: () => T, called: unknown): T {
  try {
    return check();
  } catch (error) {
    Error.captureStackTrace?.(error as object, called);
    throw error;
  }
}

/** Returns the promise of `call`. An error that it throws goes to `to`, and the promise rejects. */
export function attempt<T>(call: () => Promise<T>, to: typeof report = report): Promise<T> {
  try {
    const promise = call();
    // The promise of a write while there is room.
    return promise === RESOLVED ? promise : markHandled(promise);
  } catch (error) {
    to(error);
    return rejected(error);
  }
}

/**
 * Calls `call` after `ms` milliseconds; never after more than a timer takes. Returns the function
 * that cancels it.
 */
export function after(ms: number, call: () => void): () => void {
  const timer = ms > LONGEST_TIMER ? undefined : setTimeout(call, ms);
  return () => clearTimeout(timer);
}

/** @throws TypeError for what is no signal. */
export function checkSignal(signal: unknown): void {
  // A TaskSignal is an AbortSignal too.
  if (signal !== undefined && !kind(signal).endsWith('Signal')) {
    throw badType('signal: expected an AbortSignal', signal);
  }
}

/**
 * A promise with a bounded wait.
 *
 * @param start - As the function that a Promise takes. It returns what ends the wait early.
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
