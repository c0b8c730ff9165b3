import { tmpdir } from 'node:os';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { minimise } from '../harness/finding.ts';
import { runInWorker } from '../harness/supervisor.ts';
import { plantedBugs } from './planted-bugs.ts';

const SEEDS = [1, 2, 3, 4, 5, 6];

const hunts = plantedBugs.flatMap((planted) => SEEDS.map((seed) => ({ seed, ...planted })));

describe('the search', () => {
  it.each(hunts)(
    'finds a planted bug from the seeds of its target: $bug, seed $seed',
    { timeout: 300_000 },
    async ({ target, executions, seed }) => {
      const { finding } = await runInWorker({
        list: new URL('./planted-bugs.ts', import.meta.url).href,
        target: target.name,
        corpus: pathToFileURL(`${tmpdir()}/no-corpus/`).href,
        job: { kind: 'search', seed, executions, slow: 60_000 },
      });
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
