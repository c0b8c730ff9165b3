import { lacksDaemon, nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { natsServer } from '../nats/setup.ts';
import { redisServer } from './engines.ts';
import { type Engine, FAULTS, type Fault, kill } from './killer.ts';

/** `pnpm long hub` has NATS too, more seeds and faults, and a silent network, which takes seconds to notice. */
const { HUB_SEEDS = '1', HUB_FAULTS } = process.env;
const SEEDS = HUB_SEEDS.split(',').map(Number);
const KINDS: readonly Fault[] =
  HUB_FAULTS === undefined ? FAULTS.filter((fault) => fault !== 'blackhole') : FAULTS;
const COUNT = Number(HUB_FAULTS ?? KINDS.length);

const ALL: readonly [string, () => Promise<Engine>][] = [
  ['redis-server', redisServer],
  [
    'nats-server',
    async () => ({
      name: 'nats',
      ordered: ['ordered'],
      ...(await natsServer('')),
    }),
  ],
];
const ENGINES = HUB_FAULTS === undefined ? ALL.slice(0, 1) : ALL;

// Each node is a process, which starts slowly on a busy machine.
const timeout = 60_000 * (1 + COUNT);

describe.each(ENGINES)('three nodes and 200 clients over %s', { timeout }, (program, start) => {
  nothingLeft();

  it.skipIf(lacksDaemon(program)).each(SEEDS)(
    'lose no message without a gap in its place (seed %i)',
    async (seed) => {
      const result = await kill(await start(), seed, KINDS, COUNT);
      console.log(`${program} ${JSON.stringify({ ...result, unreported: undefined })}`);
      expect(result.received).toBeGreaterThan(0);
      expect(result.unreported).toEqual([]);
      expect(result.wrongGaps).toEqual([]);
    },
  );
});
