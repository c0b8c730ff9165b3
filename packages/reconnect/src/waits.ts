import { TimeoutError } from '@ws/conn';

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

/** The events of a page, or of a worker, that has network again. */
interface WakeTarget {
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
}

/**
 * Calls `wake` when a page gets its network back, becomes visible, comes back from the back/forward
 * cache or is no longer frozen. Browsers throttle the timers of a hidden page. Other runtimes have no
 * such events.
 *
 * @returns Removes the listeners.
 */
export function onPageWake(wake: () => void): () => void {
  const { document } = globalThis as { document?: WakeTarget & { visibilityState?: string } };
  const page = globalThis as WakeTarget;
  const seen = (): void => {
    if (document?.visibilityState === 'visible') wake();
  };
  for (const type of ['online', 'pageshow']) page.addEventListener?.(type, wake);
  document?.addEventListener?.('resume', wake);
  document?.addEventListener?.('visibilitychange', seen);
  return () => {
    for (const type of ['online', 'pageshow']) page.removeEventListener?.(type, wake);
    document?.removeEventListener?.('resume', wake);
    document?.removeEventListener?.('visibilitychange', seen);
  };
}

/** The time in ms of `onOpen` after which a message that waits for it is reported. */
const WAITING_MS = 3_000;
const CURE = 'write to the conn that onOpen gets: send of this object waits for onOpen';

/**
 * Waits for the promise of `onOpen`.
 *
 * @param ms - The longest time; Infinity for no bound.
 * @param sendWaits - Whether `send` was called since `onOpen` was.
 * @param report - Gets an error about that.
 * @throws (rejects) the error of `onOpen`; TimeoutError.
 */
export async function openWithin(
  ms: number,
  work: PromiseLike<unknown>,
  sendWaits: () => boolean,
  report: (error: Error) => void,
): Promise<void> {
  const waiting = setTimeout(() => {
    if (sendWaits()) report(new Error(`onOpen has not finished after ${WAITING_MS} ms; ${CURE}`));
  }, WAITING_MS);
  let timeUp: unknown;
  const over = new Promise<never>((_, reject) => {
    if (ms === Infinity) return;
    timeUp = setTimeout(() => {
      const fault = `onOpen: not finished after ${ms} ms (option handshakeTimeout)`;
      reject(new TimeoutError(`${fault}; ${CURE}`));
    }, ms);
  });
  try {
    await Promise.race([work, over]);
  } finally {
    clearTimeout(waiting);
    clearTimeout(timeUp);
  }
}
