import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { readCorpus } from '../harness/corpus.ts';
import { targets } from '../targets.ts';

const packages = fileURLToPath(new URL('../../packages/', import.meta.url));
const sources = readdirSync(packages).flatMap((name) => {
  const folder = `${packages}${name}/src`;
  return readdirSync(folder, { recursive: true }).map(
    (file) => `packages/${name}/src/${String(file).replaceAll('\\', '/')}`,
  );
});

describe.each(targets)('$name', (target) => {
  const corpus = readCorpus(target.name);

  it('finds nothing in its corpus and its seeds', async () => {
    expect(corpus.length).toBeGreaterThan(0);
    for (const { name, bytes } of corpus) {
      await expect(Promise.resolve(target.run(bytes)), name).resolves.toBeUndefined();
    }
    for (const seed of target.seeds) await target.run(seed);
  });

  it('has no corpus input above its maximum length', () => {
    for (const { name, bytes } of corpus) {
      expect(bytes.length, name).toBeLessThanOrEqual(target.maxLength);
    }
  });

  // A path that matches no file would turn the search into a blind one.
  it.each(target.covers)('covers source files: %s', (part) => {
    expect(sources.filter((file) => file.includes(part) && file.endsWith('.ts'))).not.toEqual([]);
  });
});

describe('the corpus', () => {
  it('has thirteen targets and less than 5 MB', () => {
    const bytes = targets
      .flatMap(({ name }) => readCorpus(name))
      .reduce((sum, input) => sum + input.bytes.length, 0);
    expect(bytes).toBeLessThan(5_000_000);
    expect(targets).toHaveLength(13);
  });
});
