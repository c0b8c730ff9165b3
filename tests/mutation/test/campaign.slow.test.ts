import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { campaign } from '../harness/campaign.ts';
import { shown } from '../harness/source.ts';

const SOURCE = `export function sum(n: number): number {
  let all = 0;
  for (let i = 1; i <= n; i++) all += i;
  return all > 99 ? 99 : all;
}
export function unknown(a: number): number {
  return -a;
}
`;
const TEST = `import { expect, it } from 'vitest';
import { sum } from '../src/sum.ts';
it('adds up', () => {
  expect.assertions(1);
  expect(sum(3)).toBe(6);
});
`;

const root = mkdtempSync(join(tmpdir(), 'mutation-'));
afterAll(() => rmSync(root, { recursive: true }));

function write(path: string, text: string): void {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), text);
}

/** The outcome of each mutant, by its change. */
async function outcomes(): Promise<Record<string, string>> {
  const verdicts = await campaign({
    root,
    concurrency: 1,
    sources: ['src/sum.ts'],
    targets: ['src/sum.ts'],
    tests: ['test/sum.test.ts'],
    testTimeoutMs: 10_000,
    budgetMs: 2000,
    fresh: false,
    onProgress: () => {},
    onBroken: (tests) => expect(tests).toEqual([]),
  });
  const text = readFileSync(join(root, 'src/sum.ts'), 'utf8');
  return Object.fromEntries(
    verdicts.map(({ mutant, outcome }) => [shown(text, mutant).change, outcome]),
  );
}

it('campaign reports an outcome per mutant and tries survivors again when tests change', async () => {
  write('src/sum.ts', SOURCE);
  write('test/sum.test.ts', TEST);
  const first = await outcomes();
  expect(first).toMatchObject({
    '<= → <': 'killed',
    '+= → -=': 'killed',
    'all > 99 → true': 'killed',
    'all > 99 → false': 'survived',
    '> → >=': 'survived',
    '++ → --': 'timed out',
    '- → +': 'no coverage',
  });

  write('test/sum.test.ts', `${TEST}it('ends at 99', () => expect(sum(50)).toBe(99));\n`);
  expect(await outcomes()).toEqual({ ...first, 'all > 99 → false': 'killed' });
}, 120_000);
