import { describe, expect, it } from 'vitest';
import { PieceQueue } from '../../src/read/piece-queue.ts';

/** The cost of a piece besides its bytes. */
const PIECE = 128;

function inflowOf(...initial: readonly number[][]): PieceQueue {
  const pieces = new PieceQueue();
  for (const piece of initial) pieces.push(Uint8Array.from(piece));
  return pieces;
}

/** The result of one `take` of `room` bytes. */
function taken(pieces: PieceQueue, room: number): number[] {
  const into = new Uint8Array(room).fill(99);
  const n = pieces.take(into);
  expect(into.subarray(n)).toEqual(new Uint8Array(room - n).fill(99));
  return [...into.subarray(0, n)];
}

describe('PieceQueue', () => {
  it('returns its bytes in order, across pieces', () => {
    const pieces = inflowOf([1, 2, 3], [4], [5, 6]);
    expect(pieces.empty).toBe(false);
    expect(taken(pieces, 2)).toEqual([1, 2]);
    expect(taken(pieces, 3)).toEqual([3, 4, 5]);
    expect(taken(pieces, 10)).toEqual([6]);
    expect(taken(pieces, 10)).toEqual([]);
    expect(pieces.empty).toBe(true);
  });

  it('returns the rest of a partly read piece, and the next one whole', () => {
    const pieces = inflowOf([1, 2, 3], [4, 5]);
    expect(taken(pieces, 1)).toEqual([1]);
    expect(pieces.shift()).toEqual(Uint8Array.of(2, 3));
    expect(pieces.shift()).toEqual(Uint8Array.of(4, 5));
    expect(pieces.shift()).toBeUndefined();
  });

  it('counts the bytes of partly read pieces, and a constant for each piece', () => {
    const pieces = inflowOf([1, 2, 3], [4, 5]);
    expect(pieces.cost).toBe(5 + 2 * PIECE);
    taken(pieces, 2);
    expect(pieces.cost).toBe(5 + 2 * PIECE);
    taken(pieces, 1);
    expect(pieces.cost).toBe(2 + PIECE);
    pieces.shift();
    expect(pieces.cost).toBe(0);
  });

  it.each([false, true])('ends with a failure after unread bytes were dropped', (over) => {
    const pieces = inflowOf([1, 2, 3], [4, 5]);
    taken(pieces, 2);
    if (over) pieces.end();
    pieces.drop();
    expect([pieces.empty, pieces.cost, pieces.over]).toEqual([true, 0, false]);
    pieces.push(Uint8Array.of(6, 7, 8));
    pieces.end();
    expect([pieces.empty, pieces.cost, pieces.over]).toEqual([true, 0, false]);
    const failure = { reason: new Error('gone') };
    pieces.end(failure);
    expect([pieces.over, pieces.failure]).toEqual([true, failure]);
  });

  it('stays complete when nothing unread was dropped', () => {
    const pieces = inflowOf([1]);
    pieces.end();
    taken(pieces, 1);
    pieces.drop();
    expect([pieces.over, pieces.failure]).toEqual([true, undefined]);
  });

  it('keeps its failure when unread bytes are dropped', () => {
    const pieces = inflowOf([1]);
    const failure = { reason: new Error('gone') };
    pieces.end(failure);
    pieces.drop();
    expect([pieces.empty, pieces.over, pieces.failure]).toEqual([true, true, failure]);
  });

  it('ignores empty pieces, and pieces after its end', () => {
    const pieces = inflowOf([]);
    expect([pieces.empty, pieces.cost]).toEqual([true, 0]);
    pieces.end();
    pieces.push(Uint8Array.of(1));
    expect([pieces.empty, pieces.cost]).toEqual([true, 0]);
  });

  it('keeps the first end', () => {
    const pieces = inflowOf();
    const failure = { reason: new Error('gone') };
    pieces.end(failure);
    pieces.end();
    expect([pieces.over, pieces.failure]).toEqual([true, failure]);
  });

  it('notifies once for a piece or the end', async () => {
    const pieces = inflowOf();
    const told: string[] = [];
    const listen = (): void => void pieces.news().then(() => told.push('news'));
    listen();
    listen();
    pieces.push(Uint8Array.of(1));
    await Promise.resolve();
    expect(told).toEqual(['news', 'news']);
    listen();
    await Promise.resolve();
    expect(told).toHaveLength(2);
    pieces.end();
    await Promise.resolve();
    expect(told).toHaveLength(3);
  });

  it('requests no more after a piece or the end', () => {
    const pieces = inflowOf();
    expect(pieces.demanding).toBe(false);
    pieces.demanding = true;
    pieces.push(Uint8Array.of(1));
    expect(pieces.demanding).toBe(false);
    pieces.demanding = true;
    pieces.end();
    expect(pieces.demanding).toBe(false);
  });
});
