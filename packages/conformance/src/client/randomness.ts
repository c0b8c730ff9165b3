/** Under how many samples a count says nothing. */
const FEWEST = 32;
/** How far a count may be from what chance gives, in standard deviations: beyond it chance hardly ever is (1e-9). */
const DEVIATIONS = 6.2;

/** Which bits of samples of the same size are not 1 in about half of them, a phrase each. */
export function bitFaults(samples: readonly Uint8Array[]): string[] {
  const faults: string[] = [];
  const count = samples.length;
  if (count < FEWEST) return faults;
  const bits = (samples[0]?.length ?? 0) * 8;
  for (let bit = 0; bit < bits; bit++) {
    const ones = samples.filter(
      (bytes) => ((bytes[bit >> 3]! >> (7 - (bit & 7))) & 1) === 1,
    ).length;
    if (Math.abs(ones - count / 2) <= (DEVIATIONS * Math.sqrt(count)) / 2) continue;
    faults.push(`bit ${bit} is 1 in ${ones} of ${count}`);
  }
  return faults;
}

/**
 * How many numbers of 32 bits that were drawn at random may have been there before: about n²/2^33 are expected, and more
 * than this bound hardly ever come.
 */
export function mostRepeats(count: number): number {
  const expected = count ** 2 / 2 ** 33;
  return Math.ceil(expected + 6 * Math.sqrt(expected)) + 2;
}

/** How many of the numbers were there before. */
export function repeats(numbers: readonly number[]): number {
  return numbers.length - new Set(numbers).size;
}
