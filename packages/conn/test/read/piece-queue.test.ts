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

  it('counts the unread bytes, and a constant for each piece', () => {
    const pieces = inflowOf([1, 2, 3], [4, 5]);
    expect(pieces.cost).toBe(5 + 2 * PIECE);
    taken(pieces, 2);
    expect(pieces.cost).toBe(3 + 2 * PIECE);
    taken(pieces, 1);
    expect(pieces.cost).toBe(2 + PIECE);
    pieces.shift();
    expect(pieces.cost).toBe(0);
  });

  it('gives the next bytes to a read that waits, and keeps what does not fit', () => {
    const pieces = new PieceQueue();
    const into = new Uint8Array(4);
    pieces.fillNext(into);
    pieces.pushCopy(Uint8Array.of(0, 1, 2, 3), 1, 4);
    pieces.pushCopy(Uint8Array.of(4, 5, 6), 0, 3);
    expect([...into]).toEqual([1, 2, 3, 4]);
    expect([pieces.empty, pieces.cost]).toEqual([false, 2 + PIECE]);
    expect(pieces.take(into)).toBe(4);
    expect(taken(pieces, 4)).toEqual([5, 6]);
    expect([pieces.empty, pieces.cost]).toEqual([true, 0]);
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

  it('requests no more after 4 KiB, the end, or a read', () => {
    const pieces = inflowOf();
    expect(pieces.demanding).toBe(false);
    pieces.demanding = true;
    pieces.pushCopy(new Uint8Array(4_096 - PIECE - 1), 0, 4_096 - PIECE - 1);
    expect(pieces.demanding).toBe(true);
    pieces.pushCopy(Uint8Array.of(1), 0, 1);
    expect(pieces.demanding).toBe(false);
    pieces.demanding = true;
    pieces.shift();
    expect(pieces.demanding).toBe(false);
    pieces.demanding = true;
    pieces.end();
    expect(pieces.demanding).toBe(false);
  });

  it('merges small pieces while they are unread', () => {
    const pieces = inflowOf();
    const bytes = Uint8Array.from({ length: 10_000 }, (_, i) => i);
    for (let i = 0; i < bytes.length; i++) pieces.pushCopy(bytes, i, i + 1);
    expect(pieces.cost).toBe(10_000 + 3 * PIECE);
    const parts = [pieces.shift()!, pieces.shift()!, pieces.shift()!];
    expect(parts.map(({ length }) => length)).toEqual([4_096, 4_096, 1_808]);
    expect(Buffer.compare(Buffer.concat(parts), bytes)).toBe(0);
    expect([pieces.empty, pieces.cost, pieces.shift()]).toEqual([true, 0, undefined]);
  });

  it('gives a small piece that is alone a buffer of its size', () => {
    const pieces = inflowOf();
    pieces.pushCopy(new Uint8Array(100), 10, 20);
    expect(pieces.shift()!.buffer.byteLength).toBe(10);
  });

  it('keeps the order of merged pieces, larger ones and reads', () => {
    const pieces = inflowOf();
    pieces.pushCopy(Uint8Array.of(1, 2, 3), 0, 3);
    expect(taken(pieces, 1)).toEqual([1]);
    pieces.pushCopy(Uint8Array.of(4), 0, 1);
    pieces.push(Uint8Array.of(5));
    pieces.pushCopy(Uint8Array.of(6), 0, 1);
    pieces.pushCopy(new Uint8Array(5_000).fill(7), 0, 5_000);
    expect(taken(pieces, 7)).toEqual([2, 3, 4, 5, 6, 7, 7]);
    expect(pieces.shift()!.length).toBe(4_998);
    expect([pieces.empty, pieces.cost]).toEqual([true, 0]);
  });

  it('drops merged pieces', () => {
    const pieces = inflowOf();
    pieces.pushCopy(Uint8Array.of(1), 0, 1);
    pieces.drop();
    expect([pieces.empty, pieces.cost, pieces.shift()]).toEqual([true, 0, undefined]);
    pieces.pushCopy(Uint8Array.of(1), 0, 1);
    expect(pieces.empty).toBe(true);
  });
});
