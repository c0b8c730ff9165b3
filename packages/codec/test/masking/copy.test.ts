import { naiveMask } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { xorAscii, xorCopy } from '../../src/masking/copy.ts';
import { swap } from '../../src/masking/mask.ts';
import { bytes } from '../support.ts';

const KEY = 0x37fa213d;
const KEYS = [0, -1, 0x80, 0xff000000, 0x000000ff, KEY];

/** Compared as strings: ten thousand times as fast as toEqual. */
function same(actual: Uint8Array, expected: Uint8Array): void {
  if (Buffer.compare(actual, expected) !== 0) expect(actual).toEqual(expected);
}

/** `before` with the payload at `at`, masked by the naive kernel. */
function naive(before: Uint8Array, at: number, payload: Uint8Array, key: number): Uint8Array {
  const expected = before.slice();
  expected.set(naiveMask(payload.slice(), key), at);
  return expected;
}

describe('copying and masking', () => {
  it('equals the byte loop at every length and alignment, and touches nothing else', () => {
    const before = bytes(220, 3);
    for (let align = 0; align < 8; align++) {
      for (let n = 0; n <= 127; n++) {
        const from = bytes(n + 20, n);
        const to = before.slice().subarray(align);
        xorCopy(from, 7, 7 + n, to, 31, swap(KEY));
        same(to, naive(before.subarray(align), 31, from.subarray(7, 7 + n), KEY));
        same(from, bytes(n + 20, n));
      }
    }
    expect.assertions(0);
  });

  it.each(KEYS)('accepts the key %d', (key) => {
    const to = bytes(100, 1);
    xorCopy(bytes(50), 3, 44, to, 5, swap(key));
    same(to, naive(bytes(100, 1), 5, bytes(50).subarray(3, 44), key));
    expect.assertions(0);
  });
});

describe('copying and masking ASCII', () => {
  const text = String.fromCharCode(...Array.from({ length: 127 }, (_, i) => (i * 31) & 0x7f));

  it('equals an encoder and the byte loop at every length, and touches nothing else', () => {
    for (const key of KEYS) {
      for (let n = 0; n <= 127; n++) {
        const to = bytes(200, n);
        expect(xorAscii(text.slice(0, n), new DataView(to.buffer), 9, key)).toBe(true);
        same(to, naive(bytes(200, n), 9, Buffer.from(text.slice(0, n)), key));
      }
    }
  });

  it.each(['\u0080', 'é', '\u0141', '語', '\ud83d'])('rejects %j at every position', (char) => {
    for (let n = 0; n < 12; n++) {
      for (let i = 0; i <= n; i++) {
        const mixed = text.slice(0, i) + char + text.slice(i, n);
        expect(xorAscii(mixed, new DataView(new ArrayBuffer(20)), 1, KEY)).toBe(false);
      }
    }
  });
});
