import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from '../kit/index.ts';
import { expectedPairs } from './expected.ts';
import { OPERATIONS, type OperationName } from './operations.ts';
import { pairsPage } from './page.ts';
import { runPair } from './run-pair.ts';

const NAMES = Object.keys(OPERATIONS) as OperationName[];
const ALL = expectedPairs();
const PAIRS = ALL.filter(({ expected }) => expected !== undefined);

it('expected.txt has each pair of operations', () => {
  expect(ALL.map(({ first, second }) => [first, second])).toEqual(
    NAMES.flatMap((first) => NAMES.map((second) => [first, second])),
  );
});

describe.each(['server', 'client'] as const)('on a %s', (role) => {
  describe.each([
    { messages: 'plain', compressed: false },
    { messages: 'compressed', compressed: true },
  ])('with $messages messages', ({ compressed }) => {
    nothingLeft();

    it.each(PAIRS)('$first, then $second', async ({ first, second, expected }) => {
      const { outcome, broken } = await runPair(first, second, { role, compressed });
      expect({ outcome, broken }).toEqual({ outcome: expected, broken: [] });
    });
  });
});

describe('tests/pairs/README.md', () => {
  it('has the outcome of every pair; `npx vitest run tests/pairs -u` writes it', async () => {
    await expect(pairsPage()).toMatchFileSnapshot(join(import.meta.dirname, 'README.md'));
  });
});
