import { InflateDone, InflateTooLong } from '@ws/conn/internal';
import { deflateWith } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { OneshotDeflater } from '../../src/deflate/oneshot-deflater.ts';
import { OneshotInflater } from '../../src/deflate/oneshot-inflater.ts';

/** Feeds `pieces` flushed pieces of a message. Returns the bytes of output after each piece. */
function puts(plain: Uint8Array, pieces: number): [number, number][] {
  const deflater = new OneshotDeflater(0, 15);
  const inflater = new OneshotInflater();
  inflater.limit = plain.length * pieces;
  inflater.reset(undefined);
  const output = new Uint8Array(plain.length * pieces);
  const put: [number, number][] = [];
  let sum = 0;
  for (let i = 1; i <= pieces; i++) {
    const piece = deflateWith(deflater, plain);
    const status = inflater.write(piece, 0, piece.length, false, output, 0, output.length);
    expect([status, inflater.used]).toEqual([InflateDone, piece.length]);
    sum += inflater.produced;
    if (inflater.produced > 0) put.push([i, sum]);
  }
  return put;
}

describe('OneshotInflater', () => {
  it('inflates the first pieces of a message as they come, and then what has grown by a quarter', () => {
    const put = puts(Buffer.from('abcdefghij'), 200);
    expect(put.map(([i]) => i)).toEqual([
      ...Array.from({ length: 64 }, (_, i) => i + 1),
      80,
      100,
      125,
      157,
      197,
    ]);
    for (const [i, sum] of put) expect(sum).toBe(i * 10);
  });

  it('inflates large pieces only when the message has grown by a quarter', () => {
    const put = puts(new Uint8Array(20_000), 20);
    expect(put.map(([i]) => i)).toEqual([1, 2, 3, 4, 5, 7, 9, 12, 15, 19]);
  });

  it('reports a message that is too long before it inflates all of it', () => {
    const deflater = new OneshotDeflater(9, 15);
    const bomb = deflateWith(deflater, Buffer.alloc(1_000_000)).subarray(0, -4);
    const inflater = new OneshotInflater();
    const output = new Uint8Array(10);
    for (const [limit, status] of [
      [999_999, InflateTooLong],
      [0, InflateTooLong],
    ] as const) {
      inflater.limit = limit;
      inflater.reset(undefined);
      expect(inflater.write(bomb, 0, bomb.length, true, output, 0, 10)).toBe(status);
      // The state stays the same for any later input.
      expect(inflater.write(bomb, 0, 1, false, output, 0, 10)).toBeLessThan(0);
    }
  });
});
