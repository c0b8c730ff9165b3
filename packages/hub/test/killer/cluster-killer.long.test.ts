import process from 'node:process';
import { lacksDaemon, nothingLeft, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { TestCluster } from '../redis/cluster.ts';
import { killCluster } from './cluster-killer.ts';
import { SEEDS } from './seeds.ts';

/** HUB_FAULTS and HUB_SEEDS as in killer.slow.test.ts. `pnpm long hub` runs it: a run takes 40 s. */
const { HUB_FAULTS, HUB_ENGINES = 'cluster' } = process.env;
const COUNT = Number(HUB_FAULTS ?? 4);
const MEMBERS = HUB_FAULTS === undefined ? 100 : 300;
const title = `three nodes and ${MEMBERS} members over a cluster of Redis`;
describe.runIf(HUB_ENGINES.includes('cluster'))(title, { timeout: 60_000 * (2 + COUNT) }, () => {
  nothingLeft();

  it.skipIf(lacksDaemon('redis-server')).each(SEEDS)(
    'lose no message without a gap in its place, and only in the slots of the faults (seed %i)',
    async (seed) => {
      const began = performance.now();
      const cluster = await TestCluster.start();
      whenOver(() => cluster.close());
      const result = await killCluster(cluster, seed, COUNT, MEMBERS);
      const { unreported, doubles, disorders, strangeGaps, steps, presence } = result;
      const s = Math.round((performance.now() - began) / 1_000);
      console.log(
        `cluster seed ${seed}: ${COUNT} faults, ${result.received} received, ` +
          `${doubles.length} doubles, ${disorders.length} out of order, ${result.holes} lost with a gap, ` +
          `${unreported.length} lost without, ${result.uncounted} not counted, ${result.gaps} gaps, ${strangeGaps.length} strange, ` +
          `${presence.ghosts.length} ghosts, ${presence.missing.length} members missing, ${s} s`,
      );
      const strangers = Object.values(presence).flat().slice(0, 50);
      const faults = [...unreported, ...doubles, ...disorders, ...strangeGaps, ...strangers];
      if (faults.length > 0) console.log([...steps, ...result.notes, ...faults].join('\n'));
      expect(result.received).toBeGreaterThan(0);
      expect({ unreported, doubles, disorders, strangeGaps }).toEqual({
        unreported: [],
        doubles: [],
        disorders: [],
        strangeGaps: [],
      });
      expect(presence).toEqual({ ghosts: [], missing: [], untold: [] });
    },
  );
});
