import type { Side } from '@ws/browser/internal';

/** The longest time in ms between two looks. */
const LONGEST = 250;

/**
 * Makes the turns of waits. They count looks and read no clock: at Cloudflare the clock stands
 * still between two events.
 *
 * @param first - Looks without a pause.
 * @param wait - Calls `look` after `ms`: 0 for the first looks, then 1, 2, ... 250.
 */
export function turns(
  first: number,
  wait: (ms: number, look: () => void) => unknown,
): Side['turns'] {
  return () => {
    let round = 0;
    return {
      next(look) {
        wait(round < first ? 0 : Math.min(2 ** (round - first), LONGEST), look);
        round++;
      },
    };
  };
}

/** Looks that wait for a timer, by its ms. */
const looks = /* @__PURE__ */ new Map<number, (() => void)[]>();

/** Calls `look` after at most `ms`. All connections of the process share a timer. */
export function lookWithin(ms: number, look: () => void): void {
  const shared = looks.get(ms);
  if (shared) return void shared.push(look);
  const all = [look];
  looks.set(ms, all);
  setTimeout(() => {
    looks.delete(ms);
    for (const each of all) each();
  }, ms);
}
