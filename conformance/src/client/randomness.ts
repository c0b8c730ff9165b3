import type { Attempt } from '../model/attempt.ts';

/** Minimum number of samples for a meaningful count. */
const MIN_SAMPLES = 32;
/**
 * Skips a case about all connections of a run that has found nothing in too few samples: a run of
 * some cases has few.
 */
export function needsSamples(
  attempt: Attempt,
  count: number,
  what: string,
  least: number = MIN_SAMPLES,
): void {
  if (count >= least) return;
  attempt.skip(`${what} so far: ${count}, and the case needs ${least}; run more cases`);
}

/**
 * Allowed distance of a count from its mean, in standard deviations. Chance exceeds it with 1e-9.
 */
const MAX_DEVIATIONS = 6.2;

/** Lists the bits that are not 1 in about half of the samples, one phrase each. */
export function bitFaults(samples: readonly Uint8Array[]): string[] {
  const faults: string[] = [];
  const count = samples.length;
  if (count < MIN_SAMPLES) return faults;
  const bits = (samples[0]?.length ?? 0) * 8;
  for (let bit = 0; bit < bits; bit++) {
    const ones = samples.filter(
      (bytes) => ((bytes[bit >> 3]! >> (7 - (bit & 7))) & 1) === 1,
    ).length;
    if (Math.abs(ones - count / 2) <= (MAX_DEVIATIONS * Math.sqrt(count)) / 2) continue;
    faults.push(`bit ${bit} is 1 in ${ones} of ${count}`);
  }
  return faults;
}

/**
 * Returns the maximum number of repeated values among `count` random 32-bit numbers. The mean is
 * about n²/2^33; the result leaves a wide margin above it.
 */
export function maxRepeats(count: number): number {
  const expected = count ** 2 / 2 ** 33;
  return Math.ceil(expected + 6 * Math.sqrt(expected)) + 2;
}

/** Counts the numbers that occurred earlier in the list. */
export function countRepeats(numbers: readonly number[]): number {
  return numbers.length - new Set(numbers).size;
}
