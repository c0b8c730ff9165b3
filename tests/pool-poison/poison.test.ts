// `wire.slow.test.ts` again with debug pools, which poison free memory and check it when it is
// taken. `pnpm long poison` runs a million frames.
import { debugPools, sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import { expect, it } from 'vitest';
import { traffic } from './traffic.ts';

debugPools();

it('traffic never sends, reads or writes released memory', async () => {
  const uncaught: unknown[] = [];
  const note = (error: unknown): number => uncaught.push(error);
  process.on('uncaughtException', note);
  const seen = await traffic(100_000, 0xdb);
  process.off('uncaughtException', note);
  expect(uncaught).toEqual([]);
  expect(seen.found).toEqual([]);
  expect(seen.hits).toBe(0);
  expect(seen.frames).toBeGreaterThanOrEqual(100_000);
  expect([sharedSlabPool().lent, sharedMessageBuffers().lent]).toEqual([0, 0]);
}, 120_000);
