import { addAbortListener, removeAbortListener, TimeoutError } from '@ws/conn/parts';
import type { Wait } from './options.ts';

/**
 * Returns a promise that `start` settles. It rejects when `wait` is over: with a TimeoutError, or
 * with the reason of the signal.
 *
 * @param missing - Returns what does not come, for the message of the TimeoutError.
 * @param ended - Called when the promise settles, with the reason of its rejection.
 */
export function bounded<T>(
  { signal, timeout }: Wait,
  missing: () => string,
  start: (resolve: (value: T) => void, reject: (reason: unknown) => void) => void,
  ended: (reason?: unknown) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const end = (reason?: unknown): void => {
      clearTimeout(timer);
      if (signal !== undefined) removeAbortListener(signal, aborted);
      ended(reason);
    };
    const fail = (reason: unknown): void => {
      end(reason);
      reject(reason);
    };
    const aborted = (): void => fail(signal?.reason);
    const expired = (): void =>
      fail(new TimeoutError(`${missing()} for ${timeout} ms (option timeout)`));
    if (signal !== undefined) addAbortListener(signal, aborted);
    const timer = timeout === Infinity ? undefined : setTimeout(expired, timeout);
    start((value) => {
      end();
      resolve(value);
    }, fail);
  });
}
