import { describe, expect, it } from 'vitest';
import { Inflow } from '../src/inflow.ts';

/** The cost of a piece besides its bytes. */
const PIECE = 128;

function inflowOf(...pieces: readonly number[][]): Inflow {
  const inflow = new Inflow();
  for (const piece of pieces) inflow.push(Uint8Array.from(piece));
  return inflow;
}

/** What one `take` of `room` bytes gives. */
function taken(inflow: Inflow, room: number): number[] {
  const into = new Uint8Array(room).fill(99);
  const n = inflow.take(into);
  expect(into.subarray(n)).toEqual(new Uint8Array(room - n).fill(99));
  return [...into.subarray(0, n)];
}

describe('Inflow', () => {
  it('gives its bytes in order, over the borders of pieces', () => {
    const inflow = inflowOf([1, 2, 3], [4], [5, 6]);
    expect(inflow.empty).toBe(false);
    expect(taken(inflow, 2)).toEqual([1, 2]);
    expect(taken(inflow, 3)).toEqual([3, 4, 5]);
    expect(taken(inflow, 10)).toEqual([6]);
    expect(taken(inflow, 10)).toEqual([]);
    expect(inflow.empty).toBe(true);
  });

  it('gives the rest of a piece that is read in part, and the next whole', () => {
    const inflow = inflowOf([1, 2, 3], [4, 5]);
    expect(taken(inflow, 1)).toEqual([1]);
    expect(inflow.shift()).toEqual(Uint8Array.of(2, 3));
    expect(inflow.shift()).toEqual(Uint8Array.of(4, 5));
    expect(inflow.shift()).toBeUndefined();
  });

  it('costs the bytes of the pieces that are not read to their end, and some for each', () => {
    const inflow = inflowOf([1, 2, 3], [4, 5]);
    expect(inflow.cost).toBe(5 + 2 * PIECE);
    taken(inflow, 2);
    expect(inflow.cost).toBe(5 + 2 * PIECE);
    taken(inflow, 1);
    expect(inflow.cost).toBe(2 + PIECE);
    inflow.shift();
    expect(inflow.cost).toBe(0);
  });

  it('forgets what is unread when it is cleared, and how far it was read', () => {
    const inflow = inflowOf([1, 2, 3], [4, 5]);
    taken(inflow, 2);
    inflow.clear();
    expect([inflow.empty, inflow.cost]).toEqual([true, 0]);
    inflow.push(Uint8Array.of(6, 7, 8));
    expect(taken(inflow, 10)).toEqual([6, 7, 8]);
  });

  it('takes no empty piece, and none once it is over', () => {
    const inflow = inflowOf([]);
    expect([inflow.empty, inflow.cost]).toEqual([true, 0]);
    inflow.finish();
    inflow.push(Uint8Array.of(1));
    expect([inflow.empty, inflow.cost]).toEqual([true, 0]);
  });

  it('ends once, as it was ended first', () => {
    const inflow = inflowOf();
    const failure = { reason: new Error('gone') };
    inflow.finish(failure);
    inflow.finish();
    expect([inflow.over, inflow.failure]).toEqual([true, failure]);
  });

  it('tells of news once, of a piece as of the end', async () => {
    const inflow = inflowOf();
    const told: string[] = [];
    const listen = (): void => void inflow.news().then(() => told.push('news'));
    listen();
    listen();
    inflow.push(Uint8Array.of(1));
    await Promise.resolve();
    expect(told).toEqual(['news', 'news']);
    listen();
    await Promise.resolve();
    expect(told).toHaveLength(2);
    inflow.finish();
    await Promise.resolve();
    expect(told).toHaveLength(3);
  });

  it('stops asking for more when something comes, or nothing will', () => {
    const inflow = inflowOf();
    expect(inflow.demanding).toBe(false);
    inflow.demanding = true;
    inflow.push(Uint8Array.of(1));
    expect(inflow.demanding).toBe(false);
    inflow.demanding = true;
    inflow.finish();
    expect(inflow.demanding).toBe(false);
  });
});
