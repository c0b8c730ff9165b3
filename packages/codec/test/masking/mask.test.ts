import { sharedMessageBuffers, unmask } from '@ws/codec';
import { naiveMask } from '@ws/tests';
import { afterEach, describe, expect, it, vi } from 'vitest';
import {
  misalignmentOf,
  rotate,
  swap,
  wordsOver,
  xorAnywhere,
  xorBytes,
  xorOwned,
  xorWords,
} from '../../src/masking/mask.ts';
import { simd } from '../../src/masking/simd.ts';
import { bytes } from '../support.ts';

const KEY = 0x37fa213d;

afterEach(() => {
  vi.restoreAllMocks();
});

type Kernel = (bytes: Uint8Array, start: number, end: number, key: number) => void;

const kernels: Record<string, Kernel> = {
  'single bytes': xorBytes,
  'words, edges by bytes': (b, start, end, key) =>
    xorWords(b, wordsOver(b), misalignmentOf(b), start, end, key),
  'words, edges by masks': (b, start, end, key) =>
    xorOwned(b, wordsOver(b), misalignmentOf(b), start, end, key),
  'SIMD, staged': (b, start, end, key) => simd()!.xorForeign(b, start, end, key),
  'whichever fits': xorAnywhere,
  unmask: (b, start, end, key) => void unmask(b, start, end, swap(key)),
};

/** Checks a kernel on `memory` with the given alignment: no byte outside the range may change. */
function check(
  kernel: Kernel,
  memory: Uint8Array,
  start: number,
  length: number,
  key: number,
): void {
  const before = bytes(memory.length, length);
  memory.set(before);
  kernel(memory, start, start + length, swap(key));
  before.set(naiveMask(before.slice(start, start + length), key), start);
  // Compared as strings: ten thousand times as fast as toEqual.
  if (Buffer.compare(memory, before) !== 0) {
    expect({ start, length, memory }).toEqual({ start, length, memory: before });
  }
}

describe.each(Object.entries(kernels))('unmasking by %s', (_, kernel) => {
  it('equals the byte loop at every length and alignment, and touches nothing else', () => {
    const room = new Uint8Array(64 + 200 + 64 + 64);
    for (let align = 0; align < 64; align++) {
      const memory = room.subarray(align, align + 200 + 64);
      for (let length = 0; length <= 200; length++) check(kernel, memory, 31, length, KEY);
    }
    expect.assertions(0);
  });

  it.each([224, 255, 1000, 4111, 8192, 8193, 16_384, 32_768, 70_001, 200_003])(
    'equals it at %d bytes',
    (length) => {
      for (let align = 0; align < 8; align++) {
        const memory = new Uint8Array(length + 100).subarray(align);
        check(kernel, memory, 13, length, KEY | (align << 28));
      }
      expect.assertions(0);
    },
  );

  it.each([0, -1, 0x80, 0xff000000, 0x000000ff])('accepts the key %d', (key) => {
    check(kernel, new Uint8Array(600), 3, 500, key);
    check(kernel, new Uint8Array(60), 3, 30, key);
    expect.assertions(0);
  });
});

describe('unmasking at the borders of a view', () => {
  it('changes no byte before its first or after its last', () => {
    for (const kernel of [kernels['words, edges by masks']!, kernels['unmask']!]) {
      for (let align = 0; align < 8; align++) {
        for (let length = 0; length < 300; length += 1) {
          const room = bytes(400);
          const expected = room.slice();
          const payload = expected.subarray(40 + align, 40 + align + length);
          payload.set(naiveMask(payload, KEY));
          kernel(room.subarray(40 + align, 40 + align + length), 0, length, swap(KEY));
          if (Buffer.compare(room, expected) !== 0) expect(room).toEqual(expected);
        }
      }
    }
    expect.assertions(0);
  });
});

describe('unmasking by words', () => {
  it.each([
    { says: 'inside', skew: 0, start: 3, end: 61, alone: true },
    { says: 'inside a view that is not aligned', skew: 3, start: 6, end: 44, alone: true },
    {
      says: 'in its first word, which holds a byte before it',
      skew: 3,
      start: 1,
      end: 44,
      alone: false,
    },
    { says: 'in its last word', skew: 0, start: 3, end: 64, alone: false },
    { says: 'within a word', skew: 0, start: 3, end: 7, alone: false },
  ])('uses whole words $says: $alone', ({ skew, start, end, alone }) => {
    // The words are over other memory here, so that writes of single bytes and of words are told
    // apart.
    const single = new Uint8Array(64).subarray(skew);
    const words = new BigInt64Array(8);
    xorOwned(single, words, skew, start, end, KEY);
    expect(single.every((byte) => byte === 0)).toBe(alone);
    const wide = new Uint8Array(words.buffer);
    const changed = wide.filter((byte) => byte !== 0).length;
    if (alone) expect(changed).toBe(end - start);
  });

  it('uses single bytes at both ends when other bytes must not be written', () => {
    const single = new Uint8Array(64);
    const words = new BigInt64Array(8);
    xorWords(single, words, 0, 3, 61, KEY);
    const ofWords = new Uint8Array(words.buffer);
    for (let i = 0; i < 64; i++) {
      const isWhole = i >= 8 && i < 56;
      expect([single[i] !== 0, ofWords[i] !== 0]).toEqual([i >= 3 && i < 61 && !isWhole, isWhole]);
    }
  });
});

describe('unmasking inside the SIMD memory', () => {
  it('equals the byte loop at every length and alignment, and touches nothing else', () => {
    const buffer = sharedMessageBuffers().take(4096);
    // Not toBe of the buffers: a difference of 16 MiB takes minutes to print.
    expect(buffer.buffer === simd()!.buffer).toBe(true);
    for (let align = 0; align < 64; align++) {
      const memory = buffer.subarray(align, align + 300);
      for (let length = 0; length <= 200; length++) {
        check(kernels['unmask']!, memory, 40, length, KEY);
        check(
          (b, s, e, k) => simd()!.xor(b.byteOffset + s, b.byteOffset + e, k),
          memory,
          40,
          length,
          KEY,
        );
      }
    }
    const whole = buffer.subarray(0, 4096);
    check(kernels['unmask']!, whole, 5, 4001, KEY);
    sharedMessageBuffers().give(buffer);
  });
});

describe('the kernel that fits', () => {
  /** Bytes of each call of the SIMD kernel. */
  function calls(memory: Uint8Array, start: number, end: number, key: number): number[] {
    const xor = vi.spyOn(simd()!, 'xor').mockClear();
    xorAnywhere(memory, start, end, key);
    return xor.mock.calls.map(([at, stop]) => stop - at);
  }

  it('is the SIMD kernel in its memory, from 128 bytes on', () => {
    const inside = new Uint8Array(simd()!.buffer, 0, 1000);
    expect(calls(inside, 100, 227, KEY)).toEqual([]);
    expect(calls(inside, 100, 228, KEY)).toEqual([128]);
  });

  it('is the SIMD kernel for other memory from 8 KiB on, in pieces of 16 KiB', () => {
    const outside = new Uint8Array(50_000);
    expect(calls(outside, 100, 8291, KEY)).toEqual([]);
    expect(calls(outside, 100, 8292, KEY)).toEqual([8192]);
    expect(calls(outside, 100, 100 + 16384, KEY)).toEqual([16384]);
    expect(calls(outside, 100, 100 + 40_000, KEY)).toEqual([16384, 16384, 7232]);
  });

  it('is none for an empty range or the key 0', () => {
    expect(calls(new Uint8Array(simd()!.buffer, 0, 1000), 0, 1000, 0)).toEqual([]);
  });
});

describe('unmask', () => {
  it.each([1, 2, 3, 4, 5, 130, 1000, 1001, 1002, 1003])(
    'gives the key for the next piece after %d bytes',
    (cut) => {
      const payload = bytes(5000);
      const pieces = payload.slice();
      let key = KEY;
      key = unmask(pieces, 0, cut, key);
      key = unmask(pieces, cut, cut + 7, key);
      unmask(pieces, cut + 7, pieces.length, key);
      expect(pieces).toEqual(naiveMask(payload, KEY));
    },
  );

  it('returns a signed key, for any random source', () => {
    expect(unmask(bytes(4), 0, 0, 0xffffffff)).toBe(-1);
    expect(unmask(bytes(4), 0, 1, 0x00ff0000)).toBe(0xff000000 | 0);
  });

  it('rejects invalid arguments', () => {
    expect(() => unmask([1, 2] as never, 0, 1, KEY)).toThrow(TypeError);
    expect(() => unmask(bytes(4), 0, 5, KEY)).toThrow(RangeError);
    expect(() => unmask(bytes(4), 3, 2, KEY)).toThrow(RangeError);
    expect(() => unmask(bytes(4), -1, 2, KEY)).toThrow(RangeError);
    expect(() => unmask(bytes(4), 0, Number.NaN, KEY)).toThrow(RangeError);
    expect(() => unmask(bytes(4), 0.5, 4, KEY)).toThrow(RangeError);
    expect(() => unmask(bytes(4), 0, 2.5, KEY)).toThrow(RangeError);
    expect(() => unmask(bytes(4), 0, 4, '1' as never)).toThrow(TypeError);
  });
});

describe('rotate', () => {
  it('rotates a little-endian key by the remainder of four', () => {
    expect([0, 1, 2, 3, 4].map((n) => rotate(0x44332211, n))).toEqual([
      0x44332211, 0x11443322, 0x22114433, 0x33221144, 0x44332211,
    ]);
  });
});
