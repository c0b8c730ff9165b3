/** Whether a function is async that was to decide at once. */
export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as Partial<PromiseLike<unknown>> | null | undefined)?.then === 'function';
}

/** Nobody waits for it, and nobody is to be told that nobody does. */
export function forget(promise: PromiseLike<unknown>): void {
  promise.then(undefined, () => {});
}
