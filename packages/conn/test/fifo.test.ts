import { describe, expect, it } from 'vitest';
import { Fifo } from '../src/fifo.ts';

describe('Fifo', () => {
  it('returns values in their order, without those that were removed', () => {
    const fifo = new Fifo<number>();
    const entries = [1, 2, 3, 4, 5].map((value) => fifo.add(value));
    expect([fifo.length, fifo.peek()]).toEqual([5, 1]);
    for (const i of [0, 2, 4]) expect(fifo.remove(entries[i]!)).toBe(true);
    expect(fifo.remove(entries[2]!)).toBe(false);
    expect([fifo.length, fifo.shift(), fifo.shift(), fifo.shift()]).toEqual([2, 2, 4, undefined]);
    expect(fifo.remove(entries[1]!)).toBe(false);
    fifo.add(6);
    expect([fifo.length, fifo.shift(), fifo.length]).toEqual([1, 6, 0]);
  });
});
