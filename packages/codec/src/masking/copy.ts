import { lengthOf, viewOf } from '../byte-facts.ts';

// Copies of bytes, with masking on the way where one pass over a small payload is faster than two.

// oxlint-disable-next-line typescript/unbound-method -- always called with an array as its `this`
const { set } = Uint8Array.prototype;

/**
 * `to.set(from, at)`. The method is read from the prototype once: a lookup per call costs 2 ns,
 * since Node has changed these prototypes.
 */
export function copyInto(to: Uint8Array, from: Uint8Array, at: number): void {
  set.call(to, from, at);
}

/** Below this many bytes a loop copies faster than `set`, which needs a view of the range. */
export const VIEW_FROM = 72;

/** Copies `from[start, end)` to `to[at]`. */
export function copyRange(
  to: Uint8Array,
  from: Uint8Array,
  start: number,
  end: number,
  at: number,
): void {
  const n = end - start;
  if (n === lengthOf(from)) copyInto(to, from, at);
  else if (n < VIEW_FROM) xorCopy(from, start, end, to, at, 0);
  // Not `subarray`: of a Buffer it creates a Buffer, which takes three times as long.
  else copyInto(to, viewOf(from, start, end), at);
}

/** Copies `from[start, end)` to `to[at]` and XORs on the way. `key` is little-endian. */
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
 * Writes ASCII `text`, of at most 127 units, to the first 128 KiB of `to`, XORed with `key`,
 * big-endian.
 *
 * @returns False when `text` is not ASCII. Ignore the written bytes then.
 */
export function xorAscii(text: string, to: DataView, at: number, key: number): boolean {
  // Masked, so that the compiler knows the range: no overflow check per byte.
  const n = text.length & 0x7f;
  const o = at & 0x1ffff;
  let i = 0;
  let all = 0;
  for (; i < n - 3; i += 4) {
    const a = text.charCodeAt(i);
    const b = text.charCodeAt(i + 1);
    const c = text.charCodeAt(i + 2);
    const d = text.charCodeAt(i + 3);
    all |= a | b | c | d;
    to.setInt32(o + i, ((a << 24) | (b << 16) | (c << 8) | d) ^ key);
  }
  for (let rest = key; i < n; i++, rest <<= 8) {
    const unit = text.charCodeAt(i);
    all |= unit;
    to.setInt8(o + i, unit ^ (rest >> 24));
  }
  return all < 0x80;
}
