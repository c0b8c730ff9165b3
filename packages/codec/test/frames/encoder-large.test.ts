import { SlabPool } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import {
  bytes,
  flush,
  join,
  encoderOf as make,
  naiveFrame as naive,
  expectSame as same,
} from '../support.ts';

const SLAB = 65536;
/** All tests share them: a pool keeps slabs of the thread's SIMD memory for reuse. */
const pools = [true, false].map((simd) => new SlabPool({ debug: true, simd }));

describe.each(['server', 'client'] as const)('FrameEncoder as a %s', (role) => {
  it('leases another slab for a large frame whose header does not fit', () => {
    const header = role === 'client' ? 8 : 4;
    for (let left = 0; left <= 20; left++) {
      const encoder = make(role, { borrowFrom: Infinity });
      const before = bytes(SLAB - left - header, 1);
      encoder.frame(2, true, 0, before);
      encoder.frame(2, true, 0, bytes(SLAB));
      same(flush(encoder), join([naive(role, 2, before), naive(role, 2, bytes(SLAB))]));
    }
  });

  it('writes a part of a large payload, borrowed or not', () => {
    for (const borrowFrom of [0, Infinity]) {
      const encoder = make(role, { borrowFrom });
      const expected = naive(role, 2, bytes(80_000).slice(100, 70_100));
      expect(encoder.frame(2, true, 0, bytes(80_000), 100, 70_100)).toBe(expected.length);
      expect(encoder.pending).toBe(expected.length);
      same(flush(encoder), expected);
    }
  });

  it.each([
    0, 5, 16, 17, 62, 63, 125, 126, 4_096, 4_097, 10_000, 21_840, 21_841, 32_768, 40_000, 65_523,
    65_535, 65_536, 70_000, 300_000,
  ])('writes a text of %d units as the naive encoder does, alone and after others', (units) => {
    // Characters of one to four bytes: the guessed size of the header is right for some, wrong for others.
    for (const [i, piece] of ['a', 'aé', 'é', 'aa漢', '漢', '😀a', 'a\ud800b\udc00'].entries()) {
      const pool = pools[i % 2]!;
      const text = piece.repeat(units).slice(0, units);
      const expected = naive(role, 1, new TextEncoder().encode(text));
      const encoder = make(role, { pool });
      for (const before of [0, 5, 60_000]) {
        const short = bytes(before);
        encoder.frame(2, true, 0, short);
        expect(encoder.text(1, true, 0, text)).toBe(expected.length);
        encoder.frame(2, true, 0, short);
        const around = naive(role, 2, short);
        expect(encoder.pending).toBe(expected.length + 2 * around.length);
        same(flush(encoder), join([around, expected, around]));
      }
      expect(pool.lent).toBe(0);
    }
  });

  it.each<[says: string, written: (text: string) => unknown]>([
    ['one byte too many', (text) => 3 * text.length + 1],
    ['-1', () => -1],
    ['1.5', () => 1.5],
    ['NaN', () => Number.NaN],
    ['nothing', () => undefined],
    ['a text', () => '5'],
  ])('rejects that writeUtf8 says %s, and appends nothing', (_, written) => {
    for (const units of [5, 200, 5_000, 40_000]) {
      const writeUtf8 = (_into: Uint8Array, _at: number, text: string) => written(text);
      const encoder = make(role, { writeUtf8 });
      encoder.frame(2, true, 0, bytes(5));
      expect(() => encoder.text(1, true, 0, 'a'.repeat(units - 1).concat('é'))).toThrow(
        /^writeUtf8 must return the number of bytes it wrote, at most \d+ here, not /,
      );
      same(flush(encoder), naive(role, 2, bytes(5)));
    }
  });

  it('sends the largest control frame, as its first', () => {
    const encoder = make(role);
    encoder.frame(9, true, 0, bytes(125));
    encoder.discard();
    encoder.text(9, true, 0, 'x'.repeat(125));
    same(flush(encoder), naive(role, 9, new TextEncoder().encode('x'.repeat(125))));
  });
});
