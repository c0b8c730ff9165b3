/** Several readings of one thing: the middle one, and how far the others lie from it. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/**
 * The middle of what was measured in several rounds.
 *
 * @throws RangeError for no readings, or one that is no number.
 */
export function spreadOf(readings: readonly number[]): Spread {
  const sorted = readings.toSorted((a, b) => a - b);
  if (sorted.length === 0 || sorted.some(Number.isNaN)) {
    throw new RangeError(`no readings to compare: ${readings.join(', ')}`);
  }
  const half = sorted.length >> 1;
  const middle = sorted[half]!;
  return {
    median: sorted.length % 2 === 1 ? middle : (sorted[half - 1]! + middle) / 2,
    least: sorted[0]!,
    most: sorted.at(-1)!,
  };
}

/** `a / b`, round by round: what disturbed one round disturbed both, so that its ratio stays fair. */
export function ratios(a: readonly number[], b: readonly number[]): number[] {
  if (a.length !== b.length) throw new RangeError(`${a.length} rounds against ${b.length}`);
  return a.map((value, round) => value / b[round]!);
}

/** The names in the order of a round: each round another one comes first, so that no place is always the warm one. */
export function turns<T>(names: readonly T[], round: number): T[] {
  const first = names.length === 0 ? 0 : round % names.length;
  return [...names.slice(first), ...names.slice(0, first)];
}
