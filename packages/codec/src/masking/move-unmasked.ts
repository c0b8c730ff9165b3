import { bufferOf, byteOffsetOf } from '../byte-facts.ts';
import { copyRange } from './copy.ts';
import { xorAnywhere } from './mask.ts';
import { existingSimd, simd } from './simd.ts';
import { MOVE_FROM, MOVE_OUTSIDE_FROM, STAGE_FROM } from './size-thresholds.ts';

const OUTSIDE = -1;
/**
 * Largest array in bytes that V8 stores inside the array object. Reading its `buffer` would move it
 * out.
 */
const ON_HEAP = 64;

// The arrays that were used last, and their addresses in the SIMD memory or OUTSIDE. Reading
// `buffer` and `byteOffset` takes longer than moving 125 bytes, and a thread reads into one buffer
// and moves most messages to one place.
let lastFrom: Uint8Array = /* @__PURE__ */ new Uint8Array(0);
let lastFromAddress = OUTSIDE;
let lastTo: Uint8Array = lastFrom;
let lastToAddress = OUTSIDE;

/**
 * Copies `from[start, end)` to `to[toAt]` and XORs the bytes on the way. It allocates nothing when
 * both arrays are in the SIMD memory, or for less than 128 bytes. Otherwise it creates a view.
 *
 * The caller has checked that the ranges are inside the arrays and do not overlap: a wrong range
 * overwrites other bytes of the SIMD memory.
 *
 * @param to - Any memory, any alignment.
 * @param from - Any memory. Its bytes in the range are arbitrary afterwards: they may be unmasked
 *   before they are copied.
 * @param key - Little-endian: its lowest byte applies to `start`. 0 copies.
 * @returns True: all moved bytes are ASCII. False: one is not, or this way of moving did not check.
 */
export function moveUnmasked(
  to: Uint8Array,
  toAt: number,
  from: Uint8Array,
  start: number,
  end: number,
  key: number,
): boolean {
  const n = end - start;
  if (n < MOVE_FROM || to.length <= ON_HEAP) return moveBytes(to, toAt, from, start, end, key);
  const source = from === lastFrom ? lastFromAddress : findSource(from);
  const target = to === lastTo ? lastToAddress : findTarget(to);
  if (source !== OUTSIDE && target !== OUTSIDE) {
    return existingSimd()!.move(source + start, source + end, key, target + toAt) === 0;
  }
  if (n < MOVE_OUTSIDE_FROM) return moveBytes(to, toAt, from, start, end, key);
  if (source !== OUTSIDE) {
    const ascii = moveInPlace(source + start, source + end, key);
    copyRange(to, from, start, end, toAt);
    return ascii;
  }
  if (target === OUTSIDE && n >= STAGE_FROM && key !== 0) {
    const fast = simd();
    if (fast !== undefined) return fast.moveForeign(to, toAt, from, start, end, key) === 0;
  }
  copyRange(to, from, start, end, toAt);
  if (target !== OUTSIDE) return moveInPlace(target + toAt, target + toAt + n, key);
  xorAnywhere(to, toAt, toAt + n, key);
  return false;
}

function moveInPlace(at: number, end: number, key: number): boolean {
  return existingSimd()!.move(at, end, key, at) === 0;
}

function findSource(from: Uint8Array): number {
  const address = addressOf(from);
  if (address !== OUTSIDE) {
    lastFrom = from;
    lastFromAddress = address;
  }
  return address;
}

function findTarget(to: Uint8Array): number {
  const address = addressOf(to);
  if (address !== OUTSIDE) {
    lastTo = to;
    lastToAddress = address;
  }
  return address;
}

/** Index of the first byte in the SIMD memory, or OUTSIDE. */
function addressOf(bytes: Uint8Array): number {
  const simd = existingSimd();
  return simd !== undefined && bufferOf(bytes) === simd.buffer ? byteOffsetOf(bytes) : OUTSIDE;
}

/** The naive kernel, unrolled by four. */
function moveBytes(
  to: Uint8Array,
  toAt: number,
  from: Uint8Array,
  start: number,
  end: number,
  key: number,
): boolean {
  const k1 = key >>> 8;
  const k2 = key >>> 16;
  const k3 = key >>> 24;
  let all = 0;
  let i = start;
  let o = toAt;
  for (const last = end - 3; i < last; i += 4, o += 4) {
    const a = from[i]! ^ key;
    const b = from[i + 1]! ^ k1;
    const c = from[i + 2]! ^ k2;
    const d = from[i + 3]! ^ k3;
    all |= a | b | c | d;
    to[o] = a;
    to[o + 1] = b;
    to[o + 2] = c;
    to[o + 3] = d;
  }
  for (let rest = key; i < end; i++, o++, rest >>>= 8) {
    const byte = from[i]! ^ rest;
    all |= byte;
    to[o] = byte;
  }
  return (all & 0x80) === 0;
}
