import { simd } from './simd.ts';

// Which kernel for how many bytes: measured with `pnpm bench codec` (section "unmask"), chosen here and nowhere else.

/** Below: single bytes. A word loop has a head and a tail to walk. */
export const WORDS_FROM = 12;
/** A new Int32Array costs 20 ns and 104 bytes: it is made when this much input is still ahead. */
export const WORD_VIEW_FROM = 128;
/** From here up two copies and the SIMD kernel beat words. Two views: not worth their garbage any earlier. */
export const STAGE_FROM = 4096;
/** From here up a call of the SIMD kernel beats single bytes, where the bytes lie in its memory. */
export const SIMD_FROM = 8;

// The kernels want words in the byte order of memory. Elsewhere single bytes are right as well, only slower.
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
  if (n < WORD_VIEW_FROM) {
    xorBytes(bytes, start, end, key);
    return;
  }
  const fast = simd();
  if (fast !== undefined && bytes.buffer === fast.buffer) {
    fast.xor(bytes.byteOffset + start, bytes.byteOffset + end, key);
  } else if (fast !== undefined && n >= STAGE_FROM) {
    fast.xorForeign(bytes, start, end, key);
  } else {
    xorWords(bytes, wordsOver(bytes), start, end, key);
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

/** Copies `from[start, end)` to `to` at `at` and XORs on the way: for payloads too small to touch twice. */
export function xorCopy(
  from: Uint8Array,
  start: number,
  end: number,
  to: Uint8Array,
  at: number,
  key: number,
): void {
  const k1 = key >>> 8;
  const k2 = key >>> 16;
  const k3 = key >>> 24;
  let i = start;
  let o = at;
  for (const last = end - 3; i < last; i += 4, o += 4) {
    to[o] = from[i]! ^ key;
    to[o + 1] = from[i + 1]! ^ k1;
    to[o + 2] = from[i + 2]! ^ k2;
    to[o + 3] = from[i + 3]! ^ k3;
  }
  if (i < end) to[o] = from[i]! ^ key;
  if (i + 1 < end) to[o + 1] = from[i + 1]! ^ k1;
  if (i + 2 < end) to[o + 2] = from[i + 2]! ^ k2;
}

/**
 * The words that lie under `bytes`, from the word boundary at or before its first byte. Index `i` of `bytes` is in
 * word `(i + (bytes.byteOffset & 3)) >> 2`.
 */
export function wordsOver(bytes: Uint8Array): Int32Array {
  const skew = bytes.byteOffset & 3;
  return new Int32Array(bytes.buffer, bytes.byteOffset - skew, (bytes.length + skew) >> 2);
}

/** Single bytes up to a word boundary, then eight words a turn, then single bytes. `words` is `wordsOver(bytes)`. */
export function xorWords(
  bytes: Uint8Array,
  words: Int32Array,
  start: number,
  end: number,
  key: number,
): void {
  if (!LITTLE_ENDIAN) return xorBytes(bytes, start, end, key);
  const skew = bytes.byteOffset & 3;
  let k = key;
  let i = start;
  while (((i + skew) & 3) !== 0 && i < end) {
    bytes[i++]! ^= k;
    k = (k >>> 8) | (k << 24);
  }
  let w = (i + skew) >> 2;
  const stop = (end + skew) >> 2;
  for (const last = stop - 7; w < last; w += 8) {
    words[w]! ^= k;
    words[w + 1]! ^= k;
    words[w + 2]! ^= k;
    words[w + 3]! ^= k;
    words[w + 4]! ^= k;
    words[w + 5]! ^= k;
    words[w + 6]! ^= k;
    words[w + 7]! ^= k;
  }
  for (; w < stop; w++) words[w]! ^= k;
  // Nothing was left for words when the head already reached the end.
  for (i = Math.max(i, (w << 2) - skew); i < end; i++) {
    bytes[i]! ^= k;
    k >>>= 8;
  }
}

/** The little-endian key for the byte that comes `n` bytes later. */
export function rotate(key: number, n: number): number {
  const bits = (n & 3) << 3;
  return bits === 0 ? key : (key >>> bits) | (key << (32 - bits));
}

/** Turns a key from big-endian, as the public face has it, to little-endian, as the kernels have it, or back. */
export function swap(key: number): number {
  return (key << 24) | ((key & 0xff00) << 8) | ((key >>> 8) & 0xff00) | (key >>> 24);
}

function rotateBigEndian(key: number, n: number): number {
  const bits = (n & 3) << 3;
  return bits === 0 ? key | 0 : (key << bits) | (key >>> (32 - bits));
}

/** Throws unless `bytes` is a Uint8Array and `[start, end)` lies in it. */
export function checkRange(bytes: Uint8Array, start: number, end: number): void {
  if (!(bytes instanceof Uint8Array)) throw new TypeError('bytes must be a Uint8Array');
  // Written so that NaN fails.
  if (!(start >= 0 && start <= end && end <= bytes.length)) {
    throw new RangeError(`range [${start}, ${end}) is not inside ${bytes.length} bytes`);
  }
}
