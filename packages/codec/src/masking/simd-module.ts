// One WebAssembly function, written by hand, so that there is nothing to download, decode or trust:
//
//   xor(at: i32, end: i32, key: i32)
//   memory[at, end) ^= key, little-endian, its first byte at `at`
//
// It works on 64 bytes at a time, then 16, then 4, then single bytes. Loads may be unaligned, so
// there is no head.

const AT = 0;
const END = 1;
const KEY = 2;
const WIDE = 3;

const GET = 0x20;
const SET = 0x21;
const I32_CONST = 0x41;
const I32_LOAD = 0x28;
const I32_LOAD8_U = 0x2d;
const I32_STORE = 0x36;
const I32_STORE8 = 0x3a;
const I32_ADD = 0x6a;
const I32_SUB = 0x6b;
const I32_XOR = 0x73;
const I32_SHR_U = 0x76;
const I32_LT_S = 0x48;
const BLOCK = 0x02;
const LOOP = 0x03;
const BR = 0x0c;
const BR_IF = 0x0d;
const BLOCK_END = 0x0b;
const EMPTY_TYPE = 0x40;
const I32 = 0x7f;
const V128 = 0x7b;
const SIMD = 0xfd;
const V128_LOAD = 0x00;
const V128_STORE = 0x0b;
const I32X4_SPLAT = 0x11;
const V128_XOR = 0x51;

/**
 * Returns the bytes of the module. It imports its memory as `m.m` (`pages` of 64 KiB, fixed) and
 * exports `xor`.
 */
export function simdModule(pages: number): Uint8Array {
  const code = [
    [1, 1, V128], // one local: WIDE
    [GET, KEY, SIMD, I32X4_SPLAT, SET, WIDE],
    whileLeft(64, [xor16(0), xor16(16), xor16(32), xor16(48)].flat()),
    whileLeft(16, xor16(0)),
    whileLeft(4, [GET, AT, GET, AT, I32_LOAD, 0, 0, GET, KEY, I32_XOR, I32_STORE, 0, 0]),
    whileLeft(
      1,
      [
        [GET, AT, GET, AT, I32_LOAD8_U, 0, 0, GET, KEY, I32_XOR, I32_STORE8, 0, 0],
        [GET, KEY, I32_CONST, 8, I32_SHR_U, SET, KEY],
      ].flat(),
    ),
    [BLOCK_END],
  ].flat();
  return Uint8Array.from(
    [
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
      section(1, [1, 0x60, 3, I32, I32, I32, 0]), // one type: (i32, i32, i32) -> ()
      // memory m.m, minimum = maximum
      section(2, [1, 1, 0x6d, 1, 0x6d, 0x02, 0x01, ...leb(pages), ...leb(pages)]),
      section(3, [1, 0]), // one function of that type
      section(7, [1, 3, 0x78, 0x6f, 0x72, 0x00, 0]), // exported as "xor"
      section(10, [1, ...leb(code.length), ...code]),
    ].flat(),
  );
}

/** `memory[at + offset, 16 bytes] ^= wide` */
function xor16(offset: number): number[] {
  return [
    [GET, AT],
    [GET, AT, SIMD, V128_LOAD, 0, offset],
    [GET, WIDE, SIMD, V128_XOR],
    [SIMD, V128_STORE, 0, offset],
  ].flat();
}

/** `while (end - at >= step) { body; at += step }` */
function whileLeft(step: number, body: number[]): number[] {
  return [
    [BLOCK, EMPTY_TYPE, LOOP, EMPTY_TYPE],
    [GET, END, GET, AT, I32_SUB, I32_CONST, ...signedLeb(step), I32_LT_S, BR_IF, 1],
    body,
    [GET, AT, I32_CONST, ...signedLeb(step), I32_ADD, SET, AT],
    [BR, 0, BLOCK_END, BLOCK_END],
  ].flat();
}

function section(id: number, body: number[]): number[] {
  return [id, ...leb(body.length), ...body];
}

/** Unsigned LEB128 of a number below 2^14. This module needs no larger one. */
function leb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, value >> 7];
}

/** Signed LEB128 of 0 to 2^13 - 1. From 64 on the sign bit needs a second byte. */
function signedLeb(value: number): number[] {
  return value < 0x40 ? [value] : [(value & 0x7f) | 0x80, value >> 7];
}
