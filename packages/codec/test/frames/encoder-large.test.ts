import { FrameEncoder, type Role, SlabPool } from '@ws/codec';
import { naiveEncode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { bytes, flush, join } from '../support.ts';

const KEY = 0x37fa213d;
const SLAB = 65536;
/** All tests share it: a pool keeps slabs of the thread's SIMD memory for reuse. */
const pool = new SlabPool({ debug: true });

function make(role: Role, options: object = {}): FrameEncoder {
  return new FrameEncoder({ role, nextKey: () => KEY, ...options });
}

function naive(role: Role, opcode: number, payload: Uint8Array): Uint8Array {
  return naiveEncode(opcode, payload, role === 'client' ? { mask: KEY } : {});
}

function same(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length);
  expect(Buffer.compare(actual, expected)).toBe(0);
}

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

  it('cuts no pair of surrogates, wherever a piece or a slab ends', () => {
    for (const before of ['', 'x', 'xy']) {
      for (const times of [3_000, 30_000]) {
        const text = before + '😀a'.repeat(times);
        const encoder = make(role);
        encoder.text(1, true, 0, text);
        same(flush(encoder), naive(role, 1, new TextEncoder().encode(text)));
      }
    }
  });

  // V8 copies a piece of ASCII. One other character makes it write all that it was given slowly.
  it.each([4_097, 16_384, 65_536])('writes a text of %d units in short pieces', (units) => {
    const pieces: number[] = [];
    const encoder = make(role, {
      writeUtf8(into: Uint8Array, at: number, text: string) {
        pieces.push(text.length);
        return new TextEncoder().encodeInto(text, into.subarray(at)).written;
      },
    });
    encoder.text(1, true, 0, `${'a'.repeat(units - 1)}é`);
    encoder.discard();
    expect(Math.max(...pieces)).toBeLessThanOrEqual(4_096);
    expect(pieces.length).toBeLessThanOrEqual(Math.ceil(units / 4_096) + 2);
  });

  it.each([4_096, 4_097, 10_000, 21_840, 21_841, 40_000, 65_523, 65_535, 65_536, 70_000, 300_000])(
    'writes a text of %d units as the naive encoder does, alone and after others',
    (units) => {
      // Characters of one to four bytes: the guessed size of the header is right for some, wrong for others.
      for (const piece of ['a', 'aé', 'é', 'aa漢', '漢', '😀', '\ud800']) {
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
    },
    60_000,
  );

  it.each([65_540, -1, 1.5, Number.NaN, undefined, '5'])(
    'rejects that writeUtf8 says %s, and appends nothing',
    (written) => {
      for (const units of [5, 200, 5_000, 40_000]) {
        const encoder = make(role, { writeUtf8: () => written as number });
        encoder.frame(2, true, 0, bytes(5));
        expect(() => encoder.text(1, true, 0, 'a'.repeat(units - 1).concat('é'))).toThrow(
          'writeUtf8 must return the number of bytes it wrote',
        );
        same(flush(encoder), naive(role, 2, bytes(5)));
      }
    },
  );

  it('sends the largest control frame, as its first', () => {
    const encoder = make(role);
    encoder.frame(9, true, 0, bytes(125));
    encoder.discard();
    encoder.text(9, true, 0, 'x'.repeat(125));
    same(flush(encoder), naive(role, 9, new TextEncoder().encode('x'.repeat(125))));
  });
});
