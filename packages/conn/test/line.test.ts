import { describe, expect, it } from 'vitest';
import { Line } from '../src/line.ts';

/** A line of some that say when their turn has come, and when it never will. */
function lineOf(...sizes: readonly number[]) {
  const line = new Line();
  const seen: string[] = [];
  const promises = sizes.map((size, i) =>
    line.join(
      size,
      () => {
        seen.push(`turn of ${i}`);
        return i;
      },
      () => void seen.push(`no turn for ${i}`),
    ),
  );
  return { line, seen, promises };
}

describe('Line', () => {
  it('is first in, first out, and counts the bytes that wait', async () => {
    const { line, seen, promises } = lineOf(10, 20, 30);
    expect([line.empty, line.bytes, seen]).toEqual([false, 60, []]);
    line.advance();
    expect([line.empty, line.bytes, seen]).toEqual([false, 50, ['turn of 0']]);
    line.advance();
    line.advance();
    expect([line.empty, line.bytes]).toEqual([true, 0]);
    line.advance();
    expect(seen).toEqual(['turn of 0', 'turn of 1', 'turn of 2']);
    expect(await Promise.all(promises)).toEqual([0, 1, 2]);
  });

  it('may be joined again by whoever has his turn', () => {
    const { line, seen } = lineOf(10);
    void line.join(1, () => void line.join(2, () => void seen.push('joined')));
    line.advance();
    line.advance();
    expect([line.empty, line.bytes]).toEqual([false, 2]);
    line.advance();
    expect([line.empty, line.bytes]).toEqual([true, 0]);
    expect(seen).toEqual(['turn of 0', 'joined']);
  });

  it('rejects with what a turn throws', async () => {
    const line = new Line();
    const error = new Error('a pool that fails');
    const turn = line.join(1, () => {
      throw error;
    });
    line.advance();
    await expect(turn).rejects.toBe(error);
  });

  it('refuses those whose turn has not come, and only them', async () => {
    const { line, seen, promises } = lineOf(10, 20, 30);
    line.advance();
    const error = new Error('gone');
    line.refuse(error);
    expect([line.empty, line.bytes]).toEqual([true, 0]);
    expect(seen).toEqual(['turn of 0', 'no turn for 1', 'no turn for 2']);
    expect(await Promise.allSettled(promises)).toEqual([
      { status: 'fulfilled', value: 0 },
      { status: 'rejected', reason: error },
      { status: 'rejected', reason: error },
    ]);
    line.advance();
    expect(seen).toHaveLength(3);
  });

  it('refuses one that has nothing to drop', async () => {
    const line = new Line();
    const turn = line.join(1, () => {});
    line.refuse(new Error('gone'));
    await expect(turn).rejects.toThrow('gone');
  });

  it('lets one leave that still waits', async () => {
    const { line, seen, promises } = lineOf(10, 20, 30);
    line.advance();
    line.leave(promises[1]!, new Error('enough'));
    await expect(promises[1]).rejects.toThrow('enough');
    expect([line.empty, line.bytes]).toEqual([false, 30]);
    line.advance();
    expect(line.empty).toBe(true);
    expect(seen).toEqual(['turn of 0', 'no turn for 1', 'turn of 2']);
  });

  it('keeps the place of all when one leaves whose turn has come, or who never stood in it', () => {
    const { line, seen, promises } = lineOf(10, 20, 30);
    line.advance();
    line.leave(promises[0]!, new Error('enough'));
    line.leave(Promise.resolve(), new Error('enough'));
    expect([line.bytes, seen]).toEqual([50, ['turn of 0']]);
    line.leave(promises[2]!, new Error('enough'));
    expect([line.empty, line.bytes]).toEqual([false, 20]);
  });

  it('lets the first leave before anybody had a turn', async () => {
    const { line, promises } = lineOf(10, 20);
    line.leave(promises[0]!, new Error('enough'));
    await expect(promises[0]).rejects.toThrow('enough');
    expect(line.bytes).toBe(20);
  });
});
