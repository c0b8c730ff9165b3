// The same as `wire.test.ts` where all memory that is not lent is poisoned, and looked at when it is lent again.
import { debugPools, sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import { expect, it } from 'vitest';
import { traffic } from './traffic.ts';

debugPools();

it('nothing is sent, read or written to after its release', async () => {
  const uncaught: unknown[] = [];
  const note = (error: unknown): number => uncaught.push(error);
  process.on('uncaughtException', note);
  const seen = await traffic(200_000, 0xdb);
  process.off('uncaughtException', note);
  expect(uncaught).toEqual([]);
  expect(seen.found).toEqual([]);
  expect(seen.hits).toBe(0);
  expect(seen.frames).toBeGreaterThanOrEqual(200_000);
  expect([sharedSlabPool().lent, sharedMessageBuffers().lent]).toEqual([0, 0]);
}, 120_000);
