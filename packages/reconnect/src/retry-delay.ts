import { duration } from '@ws/conn/internal';

/** In ms. */
type DelayRange = { readonly minDelay: number; readonly maxDelay: number };

/** Checks the options `minDelay` and `maxDelay`. */
export function delayRange(min: number | undefined, max: number | undefined): DelayRange {
  const least = duration('minDelay', min, 1000, false);
  const most = duration('maxDelay', max, 30_000, false);
  if (min !== undefined && max !== undefined && least > most) {
    throw new RangeError(`minDelay: ${least} is more than maxDelay, ${most}`);
  }
  return {
    minDelay: min === undefined ? Math.min(least, most) : least,
    maxDelay: max === undefined ? Math.max(least, most) : most,
  };
}

/**
 * Returns the usual wait before the next dial. It grows exponentially. The upper half of each step
 * is random, the first step from 0, so that the clients of a restarted server do not all reconnect
 * at once. `ConnectionSeries` adds the `extraDelay` of the error, restarts the waits after a long
 * connection, and skips the wait after a wake of the page.
 *
 * @param waits - Number of waits with this one, 1 or more. The wait is at most `minDelay * 2 **
 *   waits`.
 * @param random - 0 to 1, from `Math.random`.
 * @returns Milliseconds up to `maxDelay`; from the second wait on at least `minDelay`.
 */
export function retryDelay(
  waits: number,
  { minDelay, maxDelay }: DelayRange,
  random: number,
): number {
  const most = Math.min(maxDelay, minDelay * 2 ** waits);
  const least = waits === 1 ? 0 : Math.max(minDelay, most / 2);
  return Math.min(maxDelay, Math.ceil(least + (most - least) * random));
}
