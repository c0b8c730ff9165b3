import { describe, expect, it } from 'vitest';
import { minimise } from '../harness/finding.ts';
import type { Target } from '../harness/target.ts';
import { targets } from '../targets.ts';
import { plantedBugs } from './planted-bugs.ts';

async function breaks(target: Target, input: Uint8Array): Promise<boolean> {
  try {
    await target.run(input);
    return false;
  } catch {
    return true;
  }
}

// The recorded inputs replace the search, which takes half a minute: see planted.long.test.ts.
describe('a planted bug', () => {
  it.each(plantedBugs)('fails with its recorded input: $bug', async ({ target, input }) => {
    expect(await breaks(target, input)).toBe(true);
    const smaller = await minimise(input, (bytes) => breaks(target, bytes), 30);
    expect(smaller.length).toBeLessThanOrEqual(input.length);
    expect(await breaks(target, smaller)).toBe(true);
  });

  it.each(plantedBugs)('is the only fault of its target: $bug', async ({ target, input }) => {
    const sound = targets.find(({ name }) => name === target.name)!;
    await sound.run(input);
  });

  it.each(plantedBugs)('needs a search, no seed shows it: $bug', async ({ target }) => {
    for (const seed of [new Uint8Array(0), ...target.seeds]) {
      expect(await breaks(target, seed)).toBe(false);
    }
  });

  it('exists for each target', () => {
    const names = plantedBugs.map(({ target }) => target.name);
    expect(names.toSorted()).toEqual(targets.map(({ name }) => name).toSorted());
  });
});
