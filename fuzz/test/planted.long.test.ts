import { describe, expect, it } from 'vitest';
import { type Finding, minimise } from '../harness/finding.ts';
import { Fuzzer } from '../harness/fuzzer.ts';
import type { Target } from '../harness/target.ts';
import { plantedBugs } from './planted-bugs.ts';

// The covered code decides which seed finds a bug: the search restarts with the next seed after a
// number of executions.
const SEEDS = [1, 2, 3, 4, 5, 6];

/** Searches with each seed in turn. */
async function search(target: Target, executions: number): Promise<Finding | undefined> {
  for (const seed of SEEDS) {
    const fuzzer = new Fuzzer(target, { seed, corpus: [], slow: 60_000 });
    let finding = await fuzzer.start();
    while (finding === undefined && fuzzer.executions < executions) finding = await fuzzer.batch();
    fuzzer.stop();
    if (finding !== undefined) return finding;
  }
  return undefined;
}

describe('the search', () => {
  it.each(plantedBugs)(
    'finds a planted bug from the seeds of its target: $bug',
    { timeout: 300_000 },
    async ({ target, executions }) => {
      const finding = await search(target, executions);
      expect(finding).toBeDefined();
      // The input alone fails again, also after minimisation.
      const breaks = async (input: Uint8Array): Promise<boolean> => {
        try {
          await target.run(input);
          return false;
        } catch {
          return true;
        }
      };
      const smaller = await minimise(finding!.input, breaks, 30);
      expect(smaller.length).toBeLessThanOrEqual(finding!.input.length);
      expect(await breaks(smaller)).toBe(true);
    },
  );
});
