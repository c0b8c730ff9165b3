import { simd } from './simd.ts';

// Which kernel for how many bytes: measured with `pnpm bench codec`, chosen here and nowhere else. In ns on one machine:
//
//   bytes                       8    16    32   125   256  1024  4096  65536
//   single bytes                5    10    17    55   105   430  1650
//   words, edges by bytes            11    12    17    24    56   180   2900
//   words, edges by masks             8     9    13    20    57   190   2900
//   SIMD, staged                                             95   160   1760
//   SIMD, bytes inside          4     5     6     8    10    18    50    880

/** Below: single bytes. */
export const WORDS_FROM = 12;
/** A new view costs 40 ns and 112 bytes: it is made when this much input is still ahead. */
export const VIEW_AHEAD = 128;
/** Below, words save so little that only many frames pay for the view. */
export const SHORT_FRAME = 32;
/** How much input they take. */
export const SHORT_FRAMES_AHEAD = 2048;
/** Below: single bytes, even where the SIMD kernel needs no view. */
export const SIMD_FROM = 8;
/** From here up two copies and the SIMD kernel beat words. Two views: not worth their garbage any earlier. */
export const STAGE_FROM = 8192;

// The word kernel wants the key in the byte order of memory. Elsewhere single bytes are right as well, only slower.
const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/**
 * Masks or unmasks `bytes[start, end)` in place: XOR with the key, byte after byte. Doing it twice restores the bytes.
 *
 * @param bytes - Changed in place. Any memory, any alignment.
 * @param start - Index of the first byte.
 * @param end - Index after the last byte.
 * @param key - Masking key as 32 bits, big-endian: the key `37 fa 21 3d` is `0x37fa213d`.
 * @returns The key for the byte at `end` (signed), so that a payload can be unmasked in pieces.
 * @throws TypeError when `bytes` is no Uint8Array or `key` no number, RangeError when the range is not inside it.
 * @see RFC 6455, section 5.3
 */
export function unmask(bytes: Uint8Array, start: number, end: number, key: number): number {
  checkRange(bytes, start, end);
  if (typeof key !== 'number') throw new TypeError('key must be a 32-bit number');
  const n = end - start;
  xorAnywhere(bytes, start, end, swap(key));
  return rotateBigEndian(key, n);
}

/** XORs with the kernel that fits, for callers that know nothing of the memory. `key` is little-endian. */
export function xorAnywhere(bytes: Uint8Array, start: number, end: number, key: number): void {
  const n = end - start;
  if (key === 0 || n === 0) return;
  if (n < VIEW_AHEAD) {
    xorBytes(bytes, start, end, key);
    return;
  }
  const fast = simd();
  if (fast !== undefined && bytes.buffer === fast.buffer) {
    const offset = bytes.byteOffset;
    fast.xor(offset + start, offset + end, key);
  } else if (fast !== undefined && n >= STAGE_FROM) {
    fast.xorForeign(bytes, start, end, key);
  } else {
    xorWords(bytes, wordsOver(bytes), skewOf(bytes), start, end, key);
  }
}

/** The naive kernel, four bytes a turn. The lowest byte of `key` falls on `start`. */
export function xorBytes(bytes: Uint8Array, start: number, end: number, key: number): void {
  const k1 = key >>> 8;
  const k2 = key >>> 16;
  const k3 = key >>> 24;
  let i = start;
  for (const last = end - 3; i < last; i += 4) {
    bytes[i]! ^= key;
    bytes[i + 1]! ^= k1;
    bytes[i + 2]! ^= k2;
    bytes[i + 3]! ^= k3;
  }
  if (i < end) bytes[i]! ^= key;
  if (i + 1 < end) bytes[i + 1]! ^= k1;
  if (i + 2 < end) bytes[i + 2]! ^= k2;
}

/** How far the first byte lies behind a boundary of 64-bit words. Kept by callers: reading `byteOffset` costs 8 ns. */
export function skewOf(bytes: Uint8Array): number {
  return bytes.byteOffset & 7;
}

/**
 * The 64-bit words that lie under `bytes`, from the boundary at or before its first byte: index `i` of `bytes` is in
 * word `(i + skew) >> 3`.
 */
export function wordsOver(bytes: Uint8Array): BigInt64Array {
  const skew = skewOf(bytes);
  return new BigInt64Array(bytes.buffer, bytes.byteOffset - skew, (bytes.length + skew) >> 3);
}

// The key twice, read back as one 64-bit word. In optimized code neither it nor what it is XORed with is ever a BigInt
// object: half the time of an Int32Array, and no garbage.
const KEY64 = /* @__PURE__ */ new BigInt64Array(1);
const KEY32 = /* @__PURE__ */ new Int32Array(KEY64.buffer);

// Masks for the words at both ends: entry n keeps the bytes from n on, entry 8 + n those before n.
const EDGES = /* @__PURE__ */ edgeMasks();

function edgeMasks(): BigInt64Array {
  const bytes = new Uint8Array(128);
  for (let n = 0; n < 8; n++) {
    bytes.fill(0xff, 8 * n + n, 8 * n + 8);
    bytes.fill(0xff, 64 + 8 * n, 64 + 8 * n + n);
  }
  return new BigInt64Array(bytes.buffer);
}

/**
 * XORs words, and the words at both ends under a mask, so that there is nothing to count and no branch to mispredict:
 * up to seven bytes before `start` and behind `end` are written with their own value. For memory that is ours alone;
 * where such a byte would lie outside `bytes`, {@link xorWords} does it.
 *
 * @param words - `wordsOver(bytes)`.
 * @param skew - `skewOf(bytes)`.
 */
export function xorOwned(
  bytes: Uint8Array,
  words: BigInt64Array,
  skew: number,
  start: number,
  end: number,
  key: number,
): void {
  const from = start + skew;
  const to = end + skew;
  const w = from >> 3;
  const stop = to >> 3;
  if ((w === 0 && skew !== 0) || stop >= words.length || w === stop || !LITTLE_ENDIAN) {
    xorWords(bytes, words, skew, start, end, key);
    return;
  }
  const wide = widen(rotate(key, -from));
  words[w]! ^= wide & EDGES[from & 7]!;
  xorWhole(words, w + 1, stop, wide);
  // Asked, though the mask would do: the word behind may be one that a read is under way into.
  if ((to & 7) !== 0) words[stop]! ^= wide & EDGES[8 + (to & 7)]!;
}

/**
 * Single bytes up to a word boundary, then words, then single bytes: no byte outside `[start, end)` is written to, not
 * even with its own value, since another thread may be reading into it.
 *
 * @param words - `wordsOver(bytes)`.
 * @param skew - `skewOf(bytes)`.
 */
export function xorWords(
  bytes: Uint8Array,
  words: BigInt64Array,
  skew: number,
  start: number,
  end: number,
  key: number,
): void {
  const first = start + (-(start + skew) & 7);
  const last = end - ((end + skew) & 7);
  if (first >= last || !LITTLE_ENDIAN) {
    xorBytes(bytes, start, end, key);
    return;
  }
  const aligned = rotate(key, first - start);
  xorBytes(bytes, start, first, key);
  xorWhole(words, (first + skew) >> 3, (last + skew) >> 3, widen(aligned));
  xorBytes(bytes, last, end, aligned);
}

/** The key twice, as one 64-bit word. */
function widen(key: number): bigint {
  KEY32[0] = key;
  KEY32[1] = key;
  return KEY64[0]!;
}

function xorWhole(words: BigInt64Array, start: number, end: number, wide: bigint): void {
  let w = start;
  for (const last = end - 3; w < last; w += 4) {
    words[w]! ^= wide;
    words[w + 1]! ^= wide;
    words[w + 2]! ^= wide;
    words[w + 3]! ^= wide;
  }
  for (; w < end; w++) words[w]! ^= wide;
}

/** The little-endian key for the byte that comes `n` bytes later. */
export function rotate(key: number, n: number): number {
  const bits = (n & 3) << 3;
  return bits === 0 ? key : (key >>> bits) | (key << (32 - bits));
}

/** Turns a key from big-endian, as the public face has it, to little-endian, as the kernels have it, or back. */
export function swap(key: number): number {
  const pairs = ((key & 0xff00ff) << 8) | ((key >>> 8) & 0xff00ff);
  return (pairs << 16) | (pairs >>> 16);
}

/** The big-endian key for the byte that comes `n` bytes later. */
export function rotateBigEndian(key: number, n: number): number {
  const bits = (n & 3) << 3;
  return bits === 0 ? key | 0 : (key << bits) | (key >>> (32 - bits));
}

/** Throws unless `bytes` is a Uint8Array and `[start, end)` lies in it. */
export function checkRange(bytes: Uint8Array, start: number, end: number): void {
  if (!isBytes(bytes)) throw new TypeError('bytes must be a Uint8Array');
  const whole = Number.isInteger(start) && Number.isInteger(end);
  if (!whole || start < 0 || start > end || end > bytes.length) {
    throw new RangeError(`range [${start}, ${end}) is not inside ${bytes.length} bytes`);
  }
}

/** Whether it is a Uint8Array, of whichever realm. Engines know the tag at once; `instanceof` walks up prototypes. */
export function isBytes(value: unknown): value is Uint8Array {
  return (value as Uint8Array | undefined)?.[Symbol.toStringTag] === 'Uint8Array';
}
