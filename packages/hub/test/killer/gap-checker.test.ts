import { describe, expect, it } from 'vitest';
import { judgeGaps } from './gap-checker.ts';
import type { Log } from './history-checker.ts';

/** A log such as `a1 | a2`, in which `|` is a gap. A log that ends with `x` has ended early. */
function logOf(text: string): Log {
  let gap = 0;
  const words = text.split(' ');
  const ended = words.at(-1) === 'x';
  const events = (ended ? words.slice(0, -1) : words).map((word) =>
    word === '|' ? { gap: ++gap } : { run: word[0]!, number: Number(word.slice(1)) },
  );
  return { name: 'r client', run: 'own', events, startedAt: new Map(), ended };
}

/** Node `a` publishes its message n at n s, and node `b` half a second later. */
const published = new Map([
  ['a', new Map([1, 2, 3, 4, 5].map((n) => [n, n * 1_000]))],
  ['b', new Map([1, 2, 3, 4, 5].map((n) => [n, n * 1_000 + 500]))],
]);

describe('judgeGaps', () => {
  it.each([
    ['a1 b1 | a3 b2', [3_000], [1], [], 'a lost message'],
    ['a1 b1 | a2 b2 a3 b3 a4 b4 a5 b5', [1_900], [], [1], 'no lost message'],
    ['a1 | b1 a2 b2', [1_200], [], [], 'a node without a message before'],
    ['a1 | a2 a3', [1_200], [], [1], 'a node without any message'],
    ['a1 | a2 a3 x', [1_200], [], [], 'a log that ends before the first message of a node'],
    ['a1 b1 | a4 | b4', [4_000, 4_500], [1], [2], 'a second gap for earlier losses'],
    ['a1 b1 | a3 | b4', [3_000, 4_500], [1, 2], [], 'a later loss'],
    ['a1 b1 | a3 | b3', [3_000, 4_100], [1, 2], [], 'a loss that a late message shows'],
    ['a1 b1 a2 |', [12_000], [1], [], 'a lost last message'],
  ])('%s: gaps at %o ms are needed: %o, unneeded: %o (%s)', (text, times, needed, unneeded) => {
    const judged = judgeGaps(logOf(text), published, (gap) => times[gap - 1]!);
    expect([[...judged.needed], [...judged.unneeded]]).toEqual([needed, unneeded]);
  });
});
