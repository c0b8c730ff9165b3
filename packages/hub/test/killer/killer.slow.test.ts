import { lacksDaemon, nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { natsServer } from '../nats/setup.ts';
import { redisServer } from './engines.ts';
import { type Engine, kill } from './killer.ts';

/** `pnpm long hub` has more seeds and faults. */
const SEEDS = (process.env['HUB_SEEDS'] ?? '1').split(',').map(Number);
const FAULTS = Number(process.env['HUB_FAULTS'] ?? 4);

const ENGINES: readonly [string, () => Promise<Engine>][] = [
  ['redis-server', redisServer],
  [
    'nats-server',
    async () => ({
      name: 'nats',
      ordered: ['ordered'],
      // After a kill of the server its stream may be missing at first, and then have another epoch.
      repeats: ['ordered'],
      ...(await natsServer('')),
    }),
  ],
];

// Each node is a process, which starts slowly on a busy machine.
const timeout = 60_000 * (1 + FAULTS);

describe.each(ENGINES)('three nodes and 200 clients over %s', { timeout }, (program, start) => {
  nothingLeft();

  it.skipIf(lacksDaemon(program)).each(SEEDS)(
    'lose no message without a gap in its place (seed %i)',
    async (seed) => {
      const result = await kill(await start(), seed, FAULTS);
      console.log(`${program} ${JSON.stringify({ ...result, unreported: undefined })}`);
      expect(result.unreported).toEqual([]);
      expect(result.wrongGaps).toEqual([]);
    },
  );
});
