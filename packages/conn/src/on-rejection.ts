/**
 * Whether `value` is a promise. One of another realm, or a query of a database, is no instance of
 * this realm's Promise.
 */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  const isObject = typeof value === 'object' || typeof value === 'function';
  return isObject && typeof (value as { then?: unknown } | null)?.then === 'function';
}

/**
 * Calls `failed` when `result` is a promise that rejects: the result of a function that returns
 * nothing by contract. Unhandled, the rejection would end the process.
 */
export function onRejection(result: unknown, failed: (error: unknown) => void): void {
  if (isThenable(result)) Promise.resolve(result).then(undefined, failed);
}
