import { describe, expect, it } from 'vitest';
import { readCorpus } from '../harness/corpus.ts';
import { targets } from '../targets.ts';

describe.each(targets)('$name', (target) => {
  const corpus = readCorpus(target.name);

  it('finds nothing in what is kept of it, nor in its seeds', { timeout: 60_000 }, async () => {
    expect(corpus.length).toBeGreaterThan(0);
    for (const { name, bytes } of corpus) {
      await expect(Promise.resolve(target.run(bytes)), name).resolves.toBeUndefined();
    }
    for (const seed of target.seeds) await target.run(seed);
  });

  it('keeps nothing that it could not have made itself', () => {
    for (const { name, bytes } of corpus) {
      expect(bytes.length, name).toBeLessThanOrEqual(target.maxLength);
    }
  });
});

describe('the corpus', () => {
  it('stays below 5 MB, and is that of the ten targets', () => {
    const bytes = targets
      .flatMap(({ name }) => readCorpus(name))
      .reduce((sum, kept) => sum + kept.bytes.length, 0);
    expect(bytes).toBeLessThan(5_000_000);
    expect(targets).toHaveLength(10);
  });
});
