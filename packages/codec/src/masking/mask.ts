import { bufferOf, byteOffsetOf, isBytes, lengthOf } from '../byte-facts.ts';
import { HAS_FAST_BIGINT } from './engine.ts';
import { existingSimd, type Simd, simd } from './simd.ts';
import { STAGE_FROM, VIEW_AHEAD } from './size-thresholds.ts';

// The word kernel needs the key in the byte order of memory. On big-endian machines single bytes
// are correct too, but slower.
const LITTLE_ENDIAN = /* @__PURE__ */ isLittleEndian();

function isLittleEndian(): boolean {
  return new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;
}

/**
 * Masks or unmasks `bytes[start, end)` in place: XOR with the key, byte by byte. A second call with
 * the same key restores the bytes. From 8 KiB on it uses WebAssembly SIMD where that is available.
 *
 * @param bytes - Changed in place. Any memory, any alignment.
 * @param start - Index of the first byte.
 * @param end - Index after the last byte.
 * @param key - Masking key as 32 bits, big-endian: the key `37 fa 21 3d` is `0x37fa213d`.
 * @returns The key for the byte at `end` (signed), so that a payload can be unmasked in pieces.
 * @throws TypeError when `bytes` is not a Uint8Array or `key` not a number, RangeError when the
 *   range is not inside `bytes`.
 * @see RFC 6455, section 5.3
 *
 * @example
 * ```ts
 * import { unmask } from '@ws/codec';
 *
 * const payload = Uint8Array.of(0x5f, 0x93);
 * unmask(payload, 0, payload.length, 0x37fa213d);
 * console.log(new TextDecoder().decode(payload)); // hi
 * ```
 */
export function unmask(bytes: Uint8Array, start: number, end: number, key: number): number {
  checkRange(bytes, start, end);
  if (typeof key !== 'number') throw new TypeError('key must be a 32-bit number');
  xorAnywhere(bytes, start, end, swap(key));
  return swap(rotate(swap(key), end - start));
}

/** XORs with the right kernel for any memory. `key` is little-endian. */
export function xorAnywhere(bytes: Uint8Array, start: number, end: number, key: number): void {
  if (key === 0 || start === end) return;
  // Only the stage pays for a memory that does not exist.
  xorWith(end - start >= STAGE_FROM ? simd() : existingSimd(), bytes, start, end, key);
}

/** The same, with the SIMD memory if there is one. */
export function xorWith(
  fast: Simd | undefined,
  bytes: Uint8Array,
  start: number,
  end: number,
  key: number,
): void {
  const n = end - start;
  if (n < VIEW_AHEAD) {
    xorBytes(bytes, start, end, key);
  } else if (fast !== undefined && bufferOf(bytes) === fast.buffer) {
    const offset = byteOffsetOf(bytes);
    fast.xor(offset + start, offset + end, key);
  } else if (fast !== undefined && n >= STAGE_FROM) {
    fast.xorForeign(bytes, start, end, key);
  } else {
    xorWords(bytes, wordsOver(bytes), misalignmentOf(bytes), start, end, key);
  }
}

/** The naive kernel, unrolled by four. The lowest byte of `key` applies to `start`. */
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

/**
 * Bytes from the 64-bit boundary at or before the first byte, 0 to 7. Callers cache it: a read of
 * `byteOffset` costs 8 ns.
 */
export function misalignmentOf(bytes: Uint8Array): number {
  return byteOffsetOf(bytes) & 7;
}

/** The payload as words. One engine uses one of the two types for all memory. */
export type Words = BigInt64Array | Int32Array;

/**
 * The words that contain `bytes`, from the 64-bit boundary at or before its first byte: index `i`
 * of `bytes` is in byte `i + misalignment` of the words.
 */
export function wordsOver(bytes: Uint8Array): Words {
  const misalignment = misalignmentOf(bytes);
  const start = byteOffsetOf(bytes) - misalignment;
  const length = lengthOf(bytes) + misalignment;
  if (HAS_FAST_BIGINT) return new BigInt64Array(bufferOf(bytes), start, (length / 8) | 0);
  return new Int32Array(bufferOf(bytes), start, (length / 4) | 0);
}

// The key twice, read back as one 64-bit word. In V8's optimized code neither this word nor the
// words of the payload are BigInt objects: half the time of 32-bit words, and no garbage.
const KEY64 = /* @__PURE__ */ new BigInt64Array(1);
const KEY32 = /* @__PURE__ */ halvesOf(KEY64);

// Masks for the words at both ends. Entry n keeps the bytes from n on, entry 8 + n the bytes before
// n.
const EDGES = /* @__PURE__ */ edgeMasks();

// A function: a bundler keeps a read of `buffer` that nothing uses.
function halvesOf({ buffer }: BigInt64Array): Int32Array {
  return new Int32Array(buffer);
}

function edgeMasks(): BigInt64Array {
  const bytes = new Uint8Array(128);
  for (let n = 0; n < 8; n++) {
    bytes.fill(0xff, 8 * n + n, 8 * n + 8);
    bytes.fill(0xff, 64 + 8 * n, 64 + 8 * n + n);
  }
  return new BigInt64Array(bytes.buffer);
}

type WordKernel = (
  bytes: Uint8Array,
  words: Words,
  misalignment: number,
  start: number,
  end: number,
  key: number,
) => void;

/**
 * XORs whole words, and the words at both ends under a mask. No loop over edge bytes, so no
 * mispredicted branch. It rewrites up to seven bytes before `start` and after `end` with their
 * current values, so the memory must belong to the caller alone. {@link xorWords} handles the range
 * when such a byte would be outside `bytes`.
 *
 * @param words - `wordsOver(bytes)`.
 * @param misalignment - `misalignmentOf(bytes)`.
 */
export const xorOwned: WordKernel = LITTLE_ENDIAN
  ? HAS_FAST_BIGINT
    ? xorOwned64
    : xorOwned32
  : xorWords;

function xorOwned64(
  bytes: Uint8Array,
  words: Words,
  misalignment: number,
  start: number,
  end: number,
  key: number,
): void {
  const from = start + misalignment;
  const to = end + misalignment;
  const w = from >>> 3;
  const stop = to >>> 3;
  if ((w === 0 && misalignment !== 0) || stop >= words.length || w === stop) {
    xorWords(bytes, words, misalignment, start, end, key);
    return;
  }
  const wide = widen(rotate(key, -from));
  const words64 = words as BigInt64Array;
  words64[w]! ^= wide & EDGES[from & 7]!;
  xorWhole64(words64, w + 1, stop, wide);
  // When `to & 7` is 0, the next word is outside the range. Do not touch it: a read into it may be
  // in progress.
  if ((to & 7) !== 0) words64[stop]! ^= wide & EDGES[8 + (to & 7)]!;
}

function xorOwned32(
  bytes: Uint8Array,
  words: Words,
  misalignment: number,
  start: number,
  end: number,
  key: number,
): void {
  const from = start + misalignment;
  const to = end + misalignment;
  const w = from >>> 2;
  const stop = to >>> 2;
  // The first word may begin before `bytes`.
  if (w << 2 < misalignment || stop >= words.length || w === stop) {
    xorWords(bytes, words, misalignment, start, end, key);
    return;
  }
  const aligned = rotate(key, -from);
  const words32 = words as Int32Array;
  words32[w]! ^= aligned & (-1 << ((from & 3) << 3));
  xorWhole32(words32, w + 1, stop, aligned);
  // As in xorOwned64: the next word may be outside the range.
  const bits = (to & 3) << 3;
  if (bits !== 0) words32[stop]! ^= aligned & ~(-1 << bits);
}

/**
 * XORs single bytes up to a word boundary, then words, then single bytes. It writes no byte outside
 * `[start, end)`, not even with its own value: another thread may be reading into it.
 *
 * @param words - `wordsOver(bytes)`.
 * @param misalignment - `misalignmentOf(bytes)`.
 */
export function xorWords(
  bytes: Uint8Array,
  words: Words,
  misalignment: number,
  start: number,
  end: number,
  key: number,
): void {
  const first = start + (-(start + misalignment) & 7);
  const last = end - ((end + misalignment) & 7);
  if (first >= last || !LITTLE_ENDIAN) {
    xorBytes(bytes, start, end, key);
    return;
  }
  const aligned = rotate(key, first - start);
  xorBytes(bytes, start, first, key);
  const from = first + misalignment;
  const to = last + misalignment;
  if (HAS_FAST_BIGINT) xorWhole64(words as BigInt64Array, from >>> 3, to >>> 3, widen(aligned));
  else xorWhole32(words as Int32Array, from >>> 2, to >>> 2, aligned);
  xorBytes(bytes, last, end, aligned);
}

/** The key twice, as one 64-bit word. */
function widen(key: number): bigint {
  KEY32[0] = key;
  KEY32[1] = key;
  return KEY64[0]!;
}

function xorWhole64(words: BigInt64Array, start: number, end: number, wide: bigint): void {
  let w = start;
  for (const last = end - 3; w < last; w += 4) {
    words[w]! ^= wide;
    words[w + 1]! ^= wide;
    words[w + 2]! ^= wide;
    words[w + 3]! ^= wide;
  }
  for (; w < end; w++) words[w]! ^= wide;
}

function xorWhole32(words: Int32Array, start: number, end: number, key: number): void {
  let w = start;
  for (const last = end - 7; w < last; w += 8) {
    words[w]! ^= key;
    words[w + 1]! ^= key;
    words[w + 2]! ^= key;
    words[w + 3]! ^= key;
    words[w + 4]! ^= key;
    words[w + 5]! ^= key;
    words[w + 6]! ^= key;
    words[w + 7]! ^= key;
  }
  for (; w < end; w++) words[w]! ^= key;
}

/** The little-endian key for the byte `n` bytes later. */
export function rotate(key: number, n: number): number {
  const bits = (n & 3) << 3;
  return bits === 0 ? key : (key >>> bits) | (key << (32 - bits));
}

/**
 * Converts a key between big-endian, as in the public API, and little-endian, as in the kernels.
 */
export function swap(key: number): number {
  const pairs = ((key & 0xff00ff) << 8) | ((key >>> 8) & 0xff00ff);
  return (pairs << 16) | (pairs >>> 16);
}

/**
 * @throws TypeError when `bytes` is not a Uint8Array, RangeError when `[start, end)` is not inside
 *   it.
 */
export function checkRange(bytes: Uint8Array, start: number, end: number): void {
  if (!isBytes(bytes)) throw new TypeError('bytes must be a Uint8Array');
  const whole = Number.isInteger(start) && Number.isInteger(end);
  const length = lengthOf(bytes);
  if (!whole || start < 0 || start > end || end > length) {
    throw new RangeError(`range [${start}, ${end}) is not inside ${length} bytes`);
  }
}
