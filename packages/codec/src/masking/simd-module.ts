// Two WebAssembly functions, written by hand, so that there is nothing to download, decode or
// trust:
//
//   xor(at: i32, end: i32, key: i32)
//   memory[at, end) ^= key, little-endian, its first byte at `at`
//
//   move(at: i32, end: i32, key: i32, to: i32) -> i32
//   memory[to, to + end - at) = memory[at, end) ^ key
//   returns 0 when every moved byte is ASCII
//
// They work on 64 bytes at a time, then 16, then 4, then single bytes. Loads may be unaligned, so
// there is no head.

// Parameters, and the locals after them.
const AT = 0;
const END = 1;
const KEY = 2;
/** Of `xor`: the key four times. */
const XOR_WIDE = 3;
const TO = 3;
/** Of `move`: the key four times. */
const WIDE = 4;
/** The 16 bytes that were moved last. */
const MOVED = 5;
/** All bytes that were moved 16 at a time, ored. */
const SEEN = 6;
/** The bytes that were moved last, up to 4. */
const TAIL = 7;
/** All bytes that were moved up to 4 at a time, ored. */
const TAIL_SEEN = 8;

const GET = 0x20;
const SET = 0x21;
const TEE = 0x22;
const I32_CONST = 0x41;
const I32_LOAD = 0x28;
const I32_LOAD8_U = 0x2d;
const I32_STORE = 0x36;
const I32_STORE8 = 0x3a;
const I32_ADD = 0x6a;
const I32_SUB = 0x6b;
const I32_AND = 0x71;
const I32_OR = 0x72;
const I32_XOR = 0x73;
const I32_SHR_U = 0x76;
const I32_LT_S = 0x48;
const BLOCK = 0x02;
const LOOP = 0x03;
const BR = 0x0c;
const BR_IF = 0x0d;
const BLOCK_END = 0x0b;
const EMPTY_TYPE = 0x40;
const FUNCTION_TYPE = 0x60;
const I32 = 0x7f;
const V128 = 0x7b;
const SIMD = 0xfd;
const V128_LOAD = 0x00;
const V128_STORE = 0x0b;
const I32X4_SPLAT = 0x11;
const V128_OR = 0x50;
const V128_XOR = 0x51;
/** The high bit of each of 16 bytes. */
const I8X16_BITMASK = 0x64;
/** The high bit of each of 4 bytes: 0x80808080 as signed LEB128. */
const HIGH_BITS = [0x80, 0x81, 0x82, 0x84, 0x78];
/** 0xff as signed LEB128. */
const LOW_BYTE = [0xff, 0x01];

/**
 * Returns the bytes of the module. It imports its memory as `m.m` (`pages` of 64 KiB, fixed) and
 * exports `xor` and `move`.
 */
export function simdModule(pages: number): Uint8Array {
  return Uint8Array.from(
    [
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
      section(1, [2, ...functionType(3, []), ...functionType(4, [I32])]),
      // memory m.m, minimum = maximum
      section(2, [1, ...name('m'), ...name('m'), 0x02, 0x01, ...leb(pages), ...leb(pages)]),
      section(3, [2, 0, 1]), // two functions, by their types
      section(7, [2, ...name('xor'), 0x00, 0, ...name('move'), 0x00, 1]),
      section(10, [2, ...code(xor()), ...code(move())]),
    ].flat(),
  );
}

function xor(): number[] {
  const wide = [16, 32, 48].flatMap(xor16);
  return [
    [1, 1, V128], // the local XOR_WIDE
    [GET, KEY, SIMD, I32X4_SPLAT, SET, XOR_WIDE],
    whileLeft(64, [AT], [...xor16(0), ...wide]),
    whileLeft(16, [AT], xor16(0)),
    whileLeft(4, [AT], [GET, AT, GET, AT, I32_LOAD, 0, 0, GET, KEY, I32_XOR, I32_STORE, 0, 0]),
    whileLeft(
      1,
      [AT],
      [
        [GET, AT, GET, AT, I32_LOAD8_U, 0, 0, GET, KEY, I32_XOR, I32_STORE8, 0, 0],
        [GET, KEY, I32_CONST, 8, I32_SHR_U, SET, KEY],
      ].flat(),
    ),
  ].flat();
}

function move(): number[] {
  return [
    [2, 3, V128, 2, I32], // the locals from WIDE on
    [GET, KEY, SIMD, I32X4_SPLAT, SET, WIDE],
    whileLeft(
      64,
      [AT, TO],
      [
        [...move16(0), ...move16(16), SIMD, V128_OR],
        [...move16(32), ...move16(48), SIMD, V128_OR],
        [SIMD, V128_OR, GET, SEEN, SIMD, V128_OR, SET, SEEN],
      ].flat(),
    ),
    whileLeft(16, [AT, TO], [...move16(0), GET, SEEN, SIMD, V128_OR, SET, SEEN]),
    whileLeft(
      4,
      [AT, TO],
      [
        [GET, TO, GET, AT, I32_LOAD, 0, 0, GET, KEY, I32_XOR, TEE, TAIL, I32_STORE, 0, 0],
        [GET, TAIL_SEEN, GET, TAIL, I32_OR, SET, TAIL_SEEN],
      ].flat(),
    ),
    whileLeft(
      1,
      [AT, TO],
      [
        [GET, TO, GET, AT, I32_LOAD8_U, 0, 0, GET, KEY, I32_XOR, TEE, TAIL, I32_STORE8, 0, 0],
        // The higher bytes of TAIL belong to the key.
        [GET, TAIL_SEEN, GET, TAIL, I32_CONST, ...LOW_BYTE, I32_AND, I32_OR, SET, TAIL_SEEN],
        [GET, KEY, I32_CONST, 8, I32_SHR_U, SET, KEY],
      ].flat(),
    ),
    [GET, SEEN, SIMD, I8X16_BITMASK],
    [GET, TAIL_SEEN, I32_CONST, ...HIGH_BITS, I32_AND, I32_OR],
  ].flat();
}

/** `memory[at + offset, 16 bytes] ^= wide` */
function xor16(offset: number): number[] {
  return [
    [GET, AT],
    [GET, AT, SIMD, V128_LOAD, 0, offset],
    [GET, XOR_WIDE, SIMD, V128_XOR],
    [SIMD, V128_STORE, 0, offset],
  ].flat();
}

/**
 * Leaves the 16 bytes `memory[at + offset] ^ wide` on the stack, and stores them at `to + offset`.
 */
function move16(offset: number): number[] {
  return [
    [GET, TO],
    [GET, AT, SIMD, V128_LOAD, 0, offset],
    [GET, WIDE, SIMD, V128_XOR, TEE, MOVED],
    [SIMD, V128_STORE, 0, offset],
    [GET, MOVED],
  ].flat();
}

/** `while (end - at >= step) { body; at += step }`, and `to += step` where it is an index. */
function whileLeft(step: number, indices: number[], body: number[]): number[] {
  const steps = indices.flatMap((i) => [GET, i, I32_CONST, ...signedLeb(step), I32_ADD, SET, i]);
  return [
    [BLOCK, EMPTY_TYPE, LOOP, EMPTY_TYPE],
    [GET, END, GET, AT, I32_SUB, I32_CONST, ...signedLeb(step), I32_LT_S, BR_IF, 1],
    body,
    steps,
    [BR, 0, BLOCK_END, BLOCK_END],
  ].flat();
}

function section(id: number, body: number[]): number[] {
  return [id, ...leb(body.length), ...body];
}

/** The type of a function of `parameters` numbers. */
function functionType(parameters: number, results: number[]): number[] {
  const i32s = Array<number>(parameters).fill(I32);
  return [FUNCTION_TYPE, parameters, ...i32s, results.length, ...results];
}

/** A function: its locals, then its instructions. */
function code(body: number[]): number[] {
  return [...leb(body.length + 1), ...body, BLOCK_END];
}

function name(text: string): number[] {
  return [text.length, ...Array.from(text, (char) => char.charCodeAt(0))];
}

/** Unsigned LEB128 of a number below 2^14. This module needs no larger one. */
function leb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, value >> 7];
}

/** Signed LEB128 of 0 to 2^13 - 1. From 64 on the sign bit needs a second byte. */
function signedLeb(value: number): number[] {
  return value < 0x40 ? [value] : [(value & 0x7f) | 0x80, value >> 7];
}
