// What ended waits and ended sessions leave in memory.
import type { Hub } from '@ws/hub';
import { describe, expect, it } from 'vitest';
import { collectGarbage } from '../../../tests/kit/heap.ts';
import { alone, enter, turns, useFakeTime, wait } from './nodes.ts';

useFakeTime();

/** How many of the objects are still in memory. */
async function kept(held: readonly WeakRef<object>[]): Promise<number> {
  for (let i = 0; i < 4; i++) {
    collectGarbage();
    await turns();
  }
  return held.filter((each) => each.deref() !== undefined).length;
}

describe('A4 a wait that ends by its timeout', () => {
  const rooms = { r: { history: true, delivery: 'through' } } as const;
  const never = (): Promise<never> => new Promise(() => {});
  const outages: Record<string, () => Promise<Hub>> = {
    'the engine is away': async () => {
      const { hub, broker } = alone({ rooms });
      await turns();
      broker.disconnect();
      return hub;
    },
    'the engine never starts': async () => alone({ rooms }, () => ({ start: never })).hub,
    'the engine never subscribes': async () => alone({ rooms }, () => ({ subscribe: never })).hub,
  };

  /** Bytes that each of many failed calls leaves. */
  async function bytesOf(calls: number, call: () => void): Promise<number> {
    const run = async (count: number): Promise<number> => {
      for (let i = 0; i < count; i++) call();
      await wait(70_000);
      await kept([]);
      return process.memoryUsage().heapUsed;
    };
    await run(calls / 5);
    const before = await run(calls / 5);
    return ((await run(calls)) - before) / calls;
  }

  it.each(Object.entries(outages))('leaves nothing of a join while %s', async (_, start) => {
    const hub = await start();
    const { session } = enter(hub);
    const bytes = await bytesOf(500, () => {
      session.join('r', { since: { epoch: 'e', offset: 1 } }).catch(() => {});
      session.leave('r');
    });
    expect(bytes).toBeLessThan(800);
  });

  it('leaves nothing of a question to nodes that are not known yet', async () => {
    const { hub } = alone({}, () => ({ start: never }));
    const bytes = await bytesOf(900, () => {
      hub.everywhere.count('r').catch(() => {});
    });
    expect(bytes).toBeLessThan(300);
  });
});
