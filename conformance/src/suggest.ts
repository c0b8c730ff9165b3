/** Maximum number of changed letters between a misspelled word and the suggestion. */
const MAX_CHANGES = 2;

/**
 * Ends an error message about an unknown word: with the known word that it probably means, or with
 * `; see --help`.
 */
export function suggestion(word: string, known: readonly string[], dashes = ''): string {
  const scored = known
    .map((one) => ({ one, changes: one.startsWith(word) ? 1 : changesBetween(word, one) }))
    .filter(({ one, changes }) => changes <= MAX_CHANGES && changes < one.length - 1)
    .toSorted((a, b) => a.changes - b.changes);
  return scored[0] === undefined ? '; see --help' : `; did you mean ${dashes}${scored[0].one}?`;
}

/** Number of letters to insert, remove, replace or swap with a neighbour. */
function changesBetween(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swaps = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = swaps ? before[j - 2]! + 1 : replaced;
      next.push(Math.min(replaced, swapped, row[j]! + 1, next[j - 1]! + 1));
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}
