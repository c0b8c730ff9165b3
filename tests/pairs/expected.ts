import { readFileSync } from 'node:fs';
import type { OperationName } from './operations.ts';
import type { Outcome } from './run-pair.ts';

export interface ExpectedPair {
  readonly first: OperationName;
  readonly second: OperationName;
  /** Undefined for a pair that is impossible. */
  readonly expected: Outcome | undefined;
}

/**
 * The outcome of every ordered pair of operations. It is the same for both roles, plain and
 * compressed. docs/conn.md and docs/errors.md have the rules.
 */
export function expectedPairs(): ExpectedPair[] {
  const text = readFileSync(new URL('expected.txt', import.meta.url), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, first, second, outcome] = /^(.*), then (.*?): (.*)$/.exec(line)!;
      const expected = outcome!.startsWith('impossible, ') ? undefined : outcome!.split(' | ');
      return { first, second, expected } as unknown as ExpectedPair;
    });
}
