/** The median of several readings, with their range. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/**
 * The median and the range of several readings.
 *
 * @throws RangeError for no readings, or for NaN.
 */
export function spreadOf(readings: readonly number[]): Spread {
  const sorted = readings.toSorted((a, b) => a - b);
  if (sorted.length === 0 || sorted.some(Number.isNaN)) {
    throw new RangeError(`expected numbers, got [${readings.join(', ')}]`);
  }
  const half = sorted.length >> 1;
  const middle = sorted[half]!;
  return {
    median: sorted.length % 2 === 1 ? middle : (sorted[half - 1]! + middle) / 2,
    least: sorted[0]!,
    most: sorted.at(-1)!,
  };
}

/** The value that `share` of the sorted values do not exceed; NaN without values. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  const place = Math.max(0, Math.ceil(share * sorted.length) - 1);
  return sorted[place] ?? Number.NaN;
}
