import { TimeoutError } from '../errors.ts';

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
