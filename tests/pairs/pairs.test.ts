import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from '../kit/index.ts';
import { EXPECTED } from './expected.ts';
import { OPERATIONS, type OperationName } from './operations.ts';
import { pairsPage } from './page.ts';
import { runPair } from './run-pair.ts';

const NAMES = Object.keys(OPERATIONS) as OperationName[];
const PAIRS = NAMES.flatMap((first) =>
  NAMES.flatMap((second) => {
    const expected = EXPECTED[first][second];
    return 'why' in expected ? [] : [{ first, second, expected }];
  }),
);

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
