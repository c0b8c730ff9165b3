/** Returns whether `value` has to be waited for. */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function';
}

/** Discards a promise: its rejection is not reported as unhandled. */
export function discardPromise(promise: PromiseLike<unknown>): void {
  promise.then(undefined, () => {});
}
