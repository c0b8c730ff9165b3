import { onPageWake } from './page-wake.ts';

/**
 * Waits `ms` milliseconds, until `signal` aborts, or until a page wakes. The wait keeps the process
 * alive.
 *
 * @param started - Gets the function that ends the wait.
 */
export function sleep(
  ms: number,
  signal: AbortSignal,
  started: (wake: () => void) => void,
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      removeWake();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    const removeWake = onPageWake(done);
    signal.addEventListener('abort', done);
    started(done);
  });
}

/**
 * Waits for `work`, or until `signal` aborts.
 *
 * @returns The result of `work`; undefined after the abort.
 * @throws (rejects) the error of `work`. An error after the abort is ignored.
 */
export async function untilAborted<T>(
  signal: AbortSignal,
  work: Promise<T>,
): Promise<T | undefined> {
  let done!: () => void;
  const aborted = new Promise<undefined>((resolve) => {
    done = () => resolve(undefined);
    if (signal.aborted) done();
    else signal.addEventListener('abort', done);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', done);
  }
}
