import { collectGarbage } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { WriteQueue } from '../../src/write/write-queue.ts';

/** A queue of some that say when their turn has come, and when it never will. */
function lineOf(...sizes: readonly number[]) {
  const queue = new WriteQueue(() => {});
  const seen: string[] = [];
  const promises = sizes.map((size, i) =>
    queue.enqueue(
      size,
      () => {
        seen.push(`turn of ${i}`);
        return i;
      },
      () => void seen.push(`no turn for ${i}`),
    ),
  );
  return { queue, seen, promises };
}

describe('WriteQueue', () => {
  it('keeps no write that has begun, although others wait', async () => {
    const queue = new WriteQueue(() => {});
    void queue.enqueue(1, () => {});
    const begun: WeakRef<Promise<unknown>>[] = [];
    for (let i = 0; i < 100; i++) {
      begun.push(new WeakRef(queue.enqueue(1, () => {})));
      queue.advance();
      expect(queue.length).toBe(1);
    }
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    expect(begun.filter((one) => one.deref() !== undefined).length).toBeLessThan(10);
    expect(queue.bytes).toBe(1);
  });

  it('is first in, first out, and counts the bytes that wait', async () => {
    const { queue, seen, promises } = lineOf(10, 20, 30);
    expect([queue.empty, queue.bytes, seen]).toEqual([false, 60, []]);
    queue.advance();
    expect([queue.empty, queue.bytes, seen]).toEqual([false, 50, ['turn of 0']]);
    queue.advance();
    queue.advance();
    expect([queue.empty, queue.bytes]).toEqual([true, 0]);
    queue.advance();
    expect(seen).toEqual(['turn of 0', 'turn of 1', 'turn of 2']);
    expect(await Promise.all(promises)).toEqual([0, 1, 2]);
  });

  it('accepts a write from within a started one', () => {
    const { queue, seen } = lineOf(10);
    void queue.enqueue(1, () => void queue.enqueue(2, () => void seen.push('joined')));
    queue.advance();
    queue.advance();
    expect([queue.empty, queue.bytes]).toEqual([false, 2]);
    queue.advance();
    expect([queue.empty, queue.bytes]).toEqual([true, 0]);
    expect(seen).toEqual(['turn of 0', 'joined']);
  });

  it('rejects with the error of a started write', async () => {
    const queue = new WriteQueue(() => {});
    const error = new Error('a pool that fails');
    const turn = queue.enqueue(1, () => {
      throw error;
    });
    queue.advance();
    await expect(turn).rejects.toBe(error);
  });

  it('rejects the writes that have not started, and only them', async () => {
    const { queue, seen, promises } = lineOf(10, 20, 30);
    queue.advance();
    const error = new Error('gone');
    queue.rejectAll(error);
    expect([queue.empty, queue.bytes]).toEqual([true, 0]);
    expect(seen).toEqual(['turn of 0', 'no turn for 1', 'no turn for 2']);
    expect(await Promise.allSettled(promises)).toEqual([
      { status: 'fulfilled', value: 0 },
      { status: 'rejected', reason: error },
      { status: 'rejected', reason: error },
    ]);
    queue.advance();
    expect(seen).toHaveLength(3);
  });

  it('rejects a write without a drop function', async () => {
    const queue = new WriteQueue(() => {});
    const turn = queue.enqueue(1, () => {});
    queue.rejectAll(new Error('gone'));
    await expect(turn).rejects.toThrow('gone');
  });

  it('removes a write that still waits', async () => {
    const { queue, seen, promises } = lineOf(10, 20, 30);
    queue.advance();
    queue.cancel(promises[1]!, new Error('enough'));
    await expect(promises[1]).rejects.toThrow('enough');
    expect([queue.empty, queue.bytes]).toEqual([false, 30]);
    queue.advance();
    expect(queue.empty).toBe(true);
    expect(seen).toEqual(['turn of 0', 'no turn for 1', 'turn of 2']);
  });

  it('keeps the order when a started or unknown write is removed', () => {
    const { queue, seen, promises } = lineOf(10, 20, 30);
    queue.advance();
    queue.cancel(promises[0]!, new Error('enough'));
    queue.cancel(Promise.resolve(), new Error('enough'));
    expect([queue.bytes, seen]).toEqual([50, ['turn of 0']]);
    queue.cancel(promises[2]!, new Error('enough'));
    expect([queue.empty, queue.bytes]).toEqual([false, 20]);
  });

  it('removes the first write before any write has started', async () => {
    const { queue, promises } = lineOf(10, 20);
    queue.cancel(promises[0]!, new Error('enough'));
    await expect(promises[0]).rejects.toThrow('enough');
    expect(queue.bytes).toBe(20);
  });
});
