import { type Conn, connPair } from '@ws/conn';
import { internalsOf } from '@ws/conn/internal';
import { contract, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { collectGarbage } from '../../../tests/kit/heap.ts';

const COUNT = 800;
/** Single readings differ by up to 700 bytes. */
const ROUNDS = 5;
const adds = contract({ server: { add: method(z.number(), z.number()) } });
const serve = adds.serve({ add: (n) => n });

/** As a server observes what a handler returns. */
const observer = { fulfilled: () => undefined, rejected: () => undefined };

const median = (readings: readonly number[]): number =>
  readings.toSorted((a, b) => a - b)[ROUNDS >> 1]!;

/** Bytes of heap that an idle connection needs, with both ends of the pair. */
async function bytesOf(read: (conn: Conn) => unknown): Promise<number> {
  const kept: Conn[] = [];
  const open = async (count: number): Promise<void> => {
    let observed = 0;
    for (let i = 0; i < count; i++) {
      const pair = connPair();
      kept.push(...pair);
      if (internalsOf(pair[1]).observeReceive(read(pair[1]), observer)) observed++;
    }
    expect(observed).toBe(count);
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
  };
  await open(COUNT);
  const before = process.memoryUsage().heapUsed;
  await open(COUNT);
  const bytes = (process.memoryUsage().heapUsed - before) / COUNT;
  for (const conn of kept) conn.terminate();
  return bytes;
}

describe('an idle connection', () => {
  it('needs at most 600 bytes more than one that is read by hand', async () => {
    const byHand: number[] = [];
    const byContract: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      byHand.push(await bytesOf((conn) => conn.receive(() => {})));
      byContract.push(await bytesOf(serve));
    }
    expect(median(byContract) - median(byHand)).toBeLessThan(600);
  });
});
