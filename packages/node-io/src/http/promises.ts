import { typeName } from './options.ts';

/** Returns whether `value` has to be waited for. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}

/**
 * Returns the type of a result that a function must not have, for a message. A promise is
 * discarded: the function must be synchronous.
 */
export function describeResult(result: unknown): string {
  if (isThenable(result)) {
    discardPromise(result);
    return 'a promise; it must be synchronous';
  }
  return typeName(result);
}

/** Discards a promise: its rejection is not reported as unhandled. */
export function discardPromise(promise: PromiseLike<unknown>): void {
  promise.then(undefined, () => {});
}
