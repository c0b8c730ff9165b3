// The memory of `limits`. The clock stands, so no bucket fills again: the worst for the keys that are kept.
import { collectGarbage } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { AppRequest } from '../../src/conn-handler.ts';
import { checkLimits } from '../../src/policies/limit-options.ts';
import { Limits } from '../../src/policies/limits.ts';
import { stopClock } from '../clock.ts';

const OPEN = 10_000;
const KEPT = 100_000;

/** The heap of clients that each have a new key. The first ones stay, the others leave at once. */
function heapOf(count: number, keyOf: (client: number) => string | number): number {
  stopClock();
  const connections = Array.from({ length: OPEN }, (_, n) => ({ n }));
  let client = 0;
  const entries = checkLimits([
    { by: () => keyOf(client++), connections: 5, handshakes: { perSecond: 1, burst: 3 } },
  ]);
  const max = { maxHandshakes: 10, maxConnections: Infinity, pace: undefined, entries };
  const limits = new Limits(max, () => {});
  const asks = { req: {} as AppRequest, address: undefined, context: undefined };
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < count; i++) {
    const reservation = limits.reserve(undefined);
    reservation.countClient(asks);
    const connection = connections[i] ?? {};
    reservation.opened(connection);
    if (i >= OPEN) limits.closed(connection);
  }
  collectGarbage();
  const bytes = process.memoryUsage().heapUsed - before;
  expect(limits.connections).toBe(OPEN);
  return bytes;
}

describe('102 the memory of limits', () => {
  it.each<[string, number, (client: number) => string | number]>([
    ['20,000 numbers a second for a minute', 1_200_000, (client) => client],
    ['200,000 texts', 200_000, (client) => `user ${client}`],
    // V8 keeps the whole text for each of its parts.
    [
      'parts of 16 KiB',
      20_000,
      (client) => `user-with-number-${client};`.padEnd(16_384, 'x').split(';')[0]!,
    ],
  ])('is at most 200 bytes a connection and a kept key, after %s', (_keys, count, keyOf) => {
    expect(heapOf(count, keyOf)).toBeLessThan(200 * (OPEN + KEPT));
  });
});
