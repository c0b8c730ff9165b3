import { TimeoutError } from '@ws/conn';

/**
 * Waits `ms` milliseconds, until `signal` aborts, or until a page wakes. The wait keeps the process
 * alive.
 *
 * @param started - Called with a function that ends the wait.
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

/** An object with the events of {@link onPageWake}, in a page or a worker. */
interface WakeTarget {
  addEventListener?(type: string, listener: (event: object) => void): void;
  removeEventListener?(type: string, listener: (event: object) => void): void;
}

/** Time in ms that a page was hidden before it counts as asleep: a user may only switch tabs. */
const HIDDEN_MS = 2_000;

/**
 * Calls `wake` when a page is online again, is visible after {@link HIDDEN_MS}, comes back from the
 * back/forward cache or is no longer frozen. Browsers throttle the timers of a hidden page. Other
 * runtimes have no such events.
 *
 * @returns A function that removes the listeners.
 */
export function onPageWake(wake: () => void): () => void {
  const { document } = globalThis as { document?: WakeTarget & { visibilityState?: string } };
  const page = globalThis as WakeTarget;
  const isHidden = (): boolean => document?.visibilityState === 'hidden';
  let hidden = isHidden() ? LONG_AGO : undefined;
  const changed = (): void => {
    const before = hidden;
    hidden = isHidden() ? (before ?? now()) : undefined;
    if (before !== undefined && hidden === undefined && sleptSince(before)) wake();
  };
  // Each page has this event after its load too.
  const shown = (event?: { readonly persisted?: boolean }): void => {
    if (event?.persisted === true) wake();
  };
  page.addEventListener?.('online', wake);
  page.addEventListener?.('pageshow', shown);
  document?.addEventListener?.('resume', wake);
  document?.addEventListener?.('visibilitychange', changed);
  return () => {
    page.removeEventListener?.('online', wake);
    page.removeEventListener?.('pageshow', shown);
    document?.removeEventListener?.('resume', wake);
    document?.removeEventListener?.('visibilitychange', changed);
  };
}

/** The time in ms by two clocks: `performance.now` may stop while the machine sleeps. */
type Clocks = readonly [number, number];
const LONG_AGO: Clocks = [-Infinity, -Infinity];
const now = (): Clocks => [performance.now(), Date.now()];

function sleptSince(since: Clocks): boolean {
  return now().some((time, i) => time - since[i]! >= HIDDEN_MS);
}

/** When `onOpen` has taken so many ms, a message that waits for it is reported. */
const WAITING_MS = 3_000;
const CURE = 'write to the conn that onOpen gets: send of this object waits for onOpen';

/**
 * Waits for `work`, the promise of `onOpen`.
 *
 * @param ms - The longest time; Infinity for no bound.
 * @param sendWaits - Returns whether `send` was called since the call of `onOpen`.
 * @param report - Called with an error about such a `send`.
 * @throws (rejects) the error of `onOpen`; TimeoutError.
 */
export async function openWithin(
  ms: number,
  work: PromiseLike<unknown>,
  sendWaits: () => boolean,
  report: (error: Error) => void,
): Promise<void> {
  const reportTimer = setTimeout(() => {
    if (sendWaits()) report(new Error(`onOpen has not finished after ${WAITING_MS} ms; ${CURE}`));
  }, WAITING_MS);
  let timer: unknown;
  const timedOut = new Promise<never>((_, reject) => {
    if (ms === Infinity) return;
    timer = setTimeout(() => {
      const fault = `onOpen: not finished after ${ms} ms (option handshakeTimeout)`;
      reject(new TimeoutError(`${fault}; ${CURE}`));
    }, ms);
  });
  try {
    await Promise.race([work, timedOut]);
  } finally {
    clearTimeout(reportTimer);
    clearTimeout(timer);
  }
}
