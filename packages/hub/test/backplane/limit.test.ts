import { describe, expect, it } from 'vitest';
import { collectGarbage } from '../../../../tests/kit/heap.ts';
import { Limit } from '../../src/backplane/limit.ts';

describe('Limit', () => {
  it('runs the tasks in the order of the calls, and no more than the limit at a time', async () => {
    const limit = new Limit(2);
    const order: number[] = [];
    let [running, most] = [0, 0];
    const tasks = Array.from({ length: 50 }, (_, i) =>
      limit.run(async () => {
        order.push(i);
        most = Math.max(most, ++running);
        for (let turns = i % 3; turns >= 0; turns--) await Promise.resolve();
        running--;
      }),
    );
    await Promise.all(tasks);
    expect(order).toEqual(Array.from({ length: 50 }, (_, i) => i));
    expect(most).toBe(2);
  });

  it('keeps nothing of the tasks that have run, while others always wait', async () => {
    const limit = new Limit(1);
    const held: WeakRef<object>[] = [];
    let last: Promise<void> | undefined;
    const add = (count: number): void => {
      const own = {};
      held.push(new WeakRef(own));
      last = limit.run(async () => {
        if (own !== undefined && count > 0) add(count - 1);
      });
    };
    add(1_000);
    add(1_000);
    for (let i = 0; i < 500; i++) await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    const kept = held.slice(0, -10).filter((each) => each.deref() !== undefined);
    expect(kept.length).toBeLessThan(10);
    await last;
  });
});
