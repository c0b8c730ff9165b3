import { errorOf } from '@ws/conn/internal';

/** Errors of the caller's functions. */
const functionErrors = new WeakSet<object>();

/**
 * Calls a function of the caller for a dial: for the URL, the headers, the proxy or the cookies.
 *
 * @throws (rejects with) its error, which {@link isFunctionError} recognizes.
 */
export async function callFunction<T>(call: () => T | PromiseLike<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (isObject(error)) functionErrors.add(error);
    throw error;
  }
}

/** Returns whether a dial has failed by a function of the caller. */
export function isFunctionError(error: unknown): boolean {
  return isObject(error) && functionErrors.has(error);
}

/** Returns the error of a dial. Only functions of the caller throw values that are no objects. */
export function withError(thrown: unknown): object {
  if (isObject(thrown)) return thrown;
  const error = errorOf(thrown) ?? new Error('a function of the options has thrown undefined');
  functionErrors.add(error);
  return error;
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}
