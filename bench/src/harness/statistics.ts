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

/** `a / b`, round by round. A disturbance of a round affects both, so the ratio stays fair. */
export function ratios(a: readonly number[], b: readonly number[]): number[] {
  if (a.length !== b.length) throw new RangeError(`${a.length} rounds against ${b.length}`);
  return a.map((value, round) => value / b[round]!);
}

/**
 * The names in the order of a round. Each round starts with another one, so that no subject is
 * always the warm one.
 */
export function rotated<T>(names: readonly T[], round: number): T[] {
  const first = names.length === 0 ? 0 : round % names.length;
  return [...names.slice(first), ...names.slice(0, first)];
}
