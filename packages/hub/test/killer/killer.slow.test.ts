import process from 'node:process';
import { lacksDaemon, nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { ENGINES } from './engines.ts';
import { type Fault, kill } from './killer.ts';
import { SEEDS } from './seeds.ts';

/**
 * `pnpm long hub` sets HUB_FAULTS, the number of faults of a run. It has more members and all kinds of
 * faults, some of which take seconds to notice. HUB_SEEDS is a list such as `1,2,5-8`, HUB_ENGINES one
 * such as `redis,jetstream`.
 */
const { HUB_FAULTS, HUB_ENGINES } = process.env;
const ALL = ['engine', 'engine-stop', 'node', 'node-stop', 'cut', 'tear', 'blackhole', 'route'];
const LONG = HUB_FAULTS !== undefined;
const KINDS = (LONG ? ALL : ['engine', 'node', 'cut', 'tear']) as readonly Fault[];
const COUNT = Number(HUB_FAULTS ?? KINDS.length);
const MEMBERS = LONG ? 500 : 200;
const VISITORS = LONG ? 200 : 50;
const NAMES = (HUB_ENGINES ?? (LONG ? Object.keys(ENGINES).join(',') : 'redis,workers'))
  .split(',')
  .filter((name) => name in ENGINES);

// Each node is a process, which starts slowly on a busy machine.
const timeout = 60_000 * (1 + COUNT);

describe.each(NAMES)(`three nodes and ${MEMBERS} members over %s`, { timeout }, (name) => {
  nothingLeft();
  const [program, start] = ENGINES[name]!;

  it.skipIf(lacksDaemon(program)).each(SEEDS)(
    'lose no message without a gap in its place (seed %i)',
    async (seed) => {
      const began = performance.now();
      const engine = await start();
      const kinds = KINDS.filter((kind) =>
        engine.launch === undefined
          ? kind !== 'route' || engine.route !== undefined
          : // No network is between a worker and its primary, and a stopped primary is a stopped engine.
            kind === 'engine' || kind.startsWith('node'),
      );
      // A visitor cannot resume on an engine without histories.
      const visitors = engine.ordered.includes('ordered') ? VISITORS : 0;
      const result = await kill(engine, seed, kinds, COUNT, MEMBERS, visitors);
      const { unreported, doubles, disorders, wrongGaps, steps } = result;
      const { ghosts, missing, untold } = result.presence;
      const s = Math.round((performance.now() - began) / 1_000);
      console.log(
        `${name} seed ${seed}: ${result.members} members, ${COUNT} faults, ${result.outages} outages, ` +
          `${result.published} published, ${result.received} received, ${doubles.length} doubles, ` +
          `${disorders.length} out of order, ${result.holes} lost with a gap, ` +
          `${unreported.length} lost without, ${result.uncounted} not counted, ${result.gaps} gaps, ${wrongGaps.length} wrong, ` +
          `${ghosts.length} ghosts, ${missing.length} members missing, ${s} s`,
      );
      const { visits, policy } = result;
      console.log(
        `${name} seed ${seed}: visitors with ${policy}: ${visits.resumes} joins, ${visits.complete} ` +
          `complete, ${visits.received} received, ${visits.overflows} connections overflowed, ` +
          `${visits.told} lost and told`,
      );
      const faults = [...unreported, ...doubles, ...disorders, ...wrongGaps];
      const strangers = [...ghosts, ...missing, ...untold].slice(0, 50);
      if (strangers.length > 0) console.log([...steps, ...result.notes, ...strangers].join('\n'));
      if (faults.length > 0) console.log([...steps, ...result.notes, ...faults].join('\n'));
      expect(result.received).toBeGreaterThan(0);
      expect(visits.complete > 0).toBe(visitors > 0);
      expect({ unreported, doubles, disorders, wrongGaps }).toEqual({
        unreported: [],
        doubles: [],
        disorders: [],
        wrongGaps: [],
      });
      expect({ ghosts, missing, untold }).toEqual({ ghosts: [], missing: [], untold: [] });
    },
  );
});
