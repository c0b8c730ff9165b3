import { naiveMask } from '@ws/tests';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { swap } from '../../src/masking/mask.ts';
import { moveUnmasked } from '../../src/masking/move-unmasked.ts';
import { simd } from '../../src/masking/simd.ts';
import { bytes } from '../support.ts';

const KEY = 0x37fa213d;
const KEYS = [0, -1, 0x80, 0x80000000, 0x000000ff, KEY];

afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
});

/** Memory of `n` bytes inside or outside of the SIMD memory. */
const memory = {
  inside: (n: number): Uint8Array => simd()!.blocks.acquire(n)!.subarray(0, n),
  outside: (n: number): Uint8Array => new Uint8Array(n),
};

interface Move {
  to: Uint8Array;
  toAt: number;
  from: Uint8Array;
  start: number;
  n: number;
  /** Big-endian. */
  key: number;
  /** The bytes that should arrive. */
  payload: Uint8Array;
}

/** Moves the masked payload. No byte outside of either range may change. */
function check({ to, toAt, from, start, n, key, payload }: Move, move = moveUnmasked): boolean {
  const before = bytes(to.length, n);
  const source = bytes(from.length, n + 1);
  source.set(naiveMask(payload.slice(), key), start);
  to.set(before);
  from.set(source);
  const ascii = move(to, toAt, from, start, start + n, swap(key));
  before.set(payload, toAt);
  // Compared as strings: ten thousand times as fast as toEqual.
  if (Buffer.compare(to, before) !== 0) expect({ n, toAt, to }).toEqual({ n, toAt, to: before });
  from.set(source.subarray(start, start + n), start);
  if (Buffer.compare(from, source) !== 0) expect({ n, from }).toEqual({ n, from: source });
  return ascii;
}

/** ASCII, with another byte at `at` if that is a place. */
function text(n: number, at = -1): Uint8Array {
  return new Uint8Array(n).map((_, i) => (i === at ? 0x80 : i * 5) & (i === at ? 0xff : 0x7f));
}

const PLACES = [
  ['inside', 'inside'],
  ['outside', 'inside'],
  ['inside', 'outside'],
  ['outside', 'outside'],
] as const;

describe.each(PLACES)('moveUnmasked from %s to %s the SIMD memory', (source, target) => {
  /** Whether the result is true for ASCII. */
  const tells = (n: number, key = KEY): boolean =>
    source === 'inside' || target === 'inside' || n < 128 || (n >= 8192 && key !== 0);

  it('equals the byte loop at every length and alignment, and touches nothing else', () => {
    const from = memory[source](300);
    const to = memory[target](300);
    for (let align = 0; align < 16; align++) {
      for (let n = 0; n <= 200; n++) {
        const move = { to, toAt: 37 - align, from, start: 20 + align, n, key: KEY };
        const ascii = check({ ...move, payload: bytes(n, n) });
        if (bytes(n, n).some((byte) => byte >= 0x80)) expect(ascii).toBe(false);
      }
    }
  });

  it.each(KEYS)('accepts the key %d', (key) => {
    const from = memory[source](1200);
    const to = memory[target](1200);
    for (const n of [1, 2, 3, 7, 8, 31, 125, 127, 128, 1000]) {
      const ascii = check({ to, toAt: 5, from, start: 3, n, key, payload: text(n) });
      expect(ascii).toBe(tells(n, key));
    }
  });

  it.each([4096, 8192, 16_385, 65_536, 200_003])('equals it at %d bytes', (n) => {
    const from = memory[source](n + 100);
    const to = memory[target](n + 100);
    expect(check({ to, toAt: 16, from, start: 13, n, key: KEY, payload: text(n) })).toBe(tells(n));
    const payload = text(n, n - 3);
    expect(check({ to, toAt: 16, from, start: 13, n, key: KEY, payload })).toBe(false);
  });

  it('notices a byte that is not ASCII at every place', () => {
    const from = memory[source](300);
    const to = memory[target](300);
    for (const n of [1, 7, 8, 21, 64, 100, 127, 150]) {
      for (let at = 0; at < n; at++) {
        const move = { to, toAt: 3, from, start: 9, n, key: KEY };
        expect(check({ ...move, payload: text(n, at) })).toBe(false);
      }
      const ascii = check({ to, toAt: 3, from, start: 9, n, key: KEY, payload: text(n) });
      expect(ascii).toBe(tells(n));
    }
  });

  it('equals the byte loop for any bytes, places and keys', () => {
    const from = memory[source](4096);
    const to = memory[target](4096);
    const place = fc.integer({ min: 0, max: 2000 });
    const key = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    const data = fc.uint8Array({ maxLength: 2000 });
    const property = fc.property(
      data,
      place,
      place,
      key,
      fc.boolean(),
      (data, toAt, start, key, clean) => {
        const payload = clean ? data.map((byte) => byte & 0x7f) : data;
        const n = payload.length;
        const ascii = check({ to, toAt, from, start, n, key, payload });
        const isAscii = payload.every((byte) => byte < 0x80);
        expect(ascii).toBe(isAscii && tells(n));
      },
    );
    fc.assert(property);
  });
});

describe('moveUnmasked', () => {
  it('accepts other arrays at every call', () => {
    const arrays = ['inside', 'outside', 'inside', 'outside'].map((place) =>
      memory[place as 'inside'](600),
    );
    for (let i = 0; i < 200; i++) {
      const from = arrays[i % 4]!;
      const to = arrays[(i + 1 + ((i >> 2) % 3)) % 4]!;
      check({ to, toAt: 50, from, start: 20, n: 20 + i, key: KEY, payload: bytes(20 + i, i) });
    }
    expect.assertions(0);
  });

  it('moves the bytes of a Buffer', () => {
    const from = Buffer.alloc(2000);
    const to = Buffer.alloc(2000);
    for (const n of [10, 100, 1000]) {
      check({ to, toAt: 50, from, start: 20, n, key: KEY, payload: bytes(n, 1) });
    }
    expect.assertions(0);
  });

  it('moves without WebAssembly', async () => {
    vi.stubGlobal('WebAssembly', undefined);
    vi.resetModules();
    const { moveUnmasked: plain } = await import('../../src/masking/move-unmasked.ts');
    const from = memory.outside(20_200);
    const to = memory.outside(20_200);
    for (const n of [0, 1, 8, 31, 127, 128, 1000, 20_000]) {
      const ascii = check({ to, toAt: 60, from, start: 7, n, key: KEY, payload: text(n) }, plain);
      expect(ascii).toBe(n < 128);
    }
  });
});
