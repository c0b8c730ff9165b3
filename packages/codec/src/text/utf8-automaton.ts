import { rejectPromise } from '../arguments.ts';
import { viewOf } from '../byte-facts.ts';
import { checkRange } from '../masking/mask.ts';
import type { OwnedBytes } from '../memory/slab.ts';

// A table automaton over byte classes. A state says which bytes must follow:
//
//   0  a character boundary
//   1  one continuation byte
//   2  two of them
//   3  three of them
//   4  A0-BF, then one more (after E0)
//   5  80-9F, then one more (after ED)
//   6  90-BF, then two more (after F0)
//   7  80-8F, then two more (after F4)
//   8  invalid
//
// So overlong forms, surrogates and code points above U+10FFFF are rejected at the first byte that
// shows them.

/** State of {@link utf8Step} at a character boundary: a text begins and may end here. */
export const UTF8_ACCEPT = 0;
/** State of {@link utf8Step} after bytes that are not UTF-8. */
export const UTF8_REJECT = 8;

/** From this many bytes on, the platform's check pays for the view that it needs. */
const PLATFORM_FROM = 64;
/**
 * Up to this many bytes, a text is checked for ASCII before a view is created: most texts are
 * ASCII.
 */
const ASCII_UP_TO = 144;
const R = UTF8_REJECT;

// A column for each class of bytes, a row for each state.
const NEXT = /* @__PURE__ */ Uint8Array.from(
  /* @__PURE__ */ [
    // 00-7F 80-8F 90-9F A0-BF never C2-DF E0 E1-EF ED F0 F1-F3 F4
    [0, R, R, R, R, 1, 4, 2, 5, 6, 3, 7],
    [R, 0, 0, 0, R, R, R, R, R, R, R, R],
    [R, 1, 1, 1, R, R, R, R, R, R, R, R],
    [R, 2, 2, 2, R, R, R, R, R, R, R, R],
    [R, R, R, 1, R, R, R, R, R, R, R, R],
    [R, 1, 1, R, R, R, R, R, R, R, R, R],
    [R, R, 2, 2, R, R, R, R, R, R, R, R],
    [R, 2, R, R, R, R, R, R, R, R, R, R],
    [R, R, R, R, R, R, R, R, R, R, R, R],
  ].flat(),
);
const CLASSES = 12;
const CLASS_OF = /* @__PURE__ */ Uint8Array.from({ length: 256 }, (_, byte) => classOf(byte));

function classOf(byte: number): number {
  if (byte < 0x80) return 0;
  if (byte < 0x90) return 1;
  if (byte < 0xa0) return 2;
  if (byte < 0xc0) return 3;
  if (byte < 0xc2 || byte > 0xf4) return 4;
  if (byte < 0xe0) return 5;
  if (byte === 0xe0) return 6;
  if (byte === 0xed) return 8;
  if (byte < 0xf0) return 7;
  return byte === 0xf0 ? 9 : byte < 0xf4 ? 10 : 11;
}

/**
 * Checks the next piece of a UTF-8 text. The state is a number, so a text may be cut anywhere and
 * no bytes are kept. Start with `UTF8_ACCEPT` and pass each result to the next call. The text is
 * valid when the last result is `UTF8_ACCEPT`. It is invalid as soon as a result is `UTF8_REJECT`:
 * the piece with the invalid byte returns it.
 *
 * @param state - The result for the piece before.
 * @param bytes - Borrowed for the call.
 * @param isUtf8 - The platform's check of a whole text, such as `isUtf8` of node:buffer. Much
 *   faster for 64 bytes and more. It must follow RFC 3629.
 * @returns The state after the piece, 0 to 8. `MessageDecoder` fails a text with 1007 by it: at
 *   the first invalid piece, or at an end inside a character.
 * @throws TypeError or RangeError for invalid arguments, TypeError when `isUtf8` returns a promise.
 * @see RFC 6455, section 8.1
 *
 * @example
 * ```ts
 * import { UTF8_ACCEPT, utf8Step } from '@ws/codec';
 *
 * const half = utf8Step(UTF8_ACCEPT, Uint8Array.of(0xc3), 0, 1);
 * console.log(half === UTF8_ACCEPT); // false: the character continues
 * console.log(utf8Step(half, Uint8Array.of(0xbc), 0, 1) === UTF8_ACCEPT); // true: ü
 * ```
 */
export function utf8Step(
  state: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  isUtf8?: (bytes: Uint8Array) => boolean,
): number {
  checkRange(bytes, start, end);
  if (!(state >= 0 && state <= UTF8_REJECT)) throw new RangeError('state must be of 0 to 8');
  let s = state;
  let i = start;
  // The character that began in the piece before.
  while (s !== UTF8_ACCEPT && i < end) {
    s = NEXT[s * CLASSES + CLASS_OF[bytes[i++]!]!]!;
    if (s === UTF8_REJECT) return UTF8_REJECT;
  }
  if (isUtf8 !== undefined && end - i >= PLATFORM_FROM && end - i <= ASCII_UP_TO) {
    for (const last = end - 7; i < last && isAscii8(bytes, i); i += 8);
  }
  if (isUtf8 !== undefined && end - i >= PLATFORM_FROM) {
    const last = lastCharacter(bytes, end);
    // Not `subarray`: of a Buffer it creates a Buffer.
    const isValid: unknown = isUtf8(viewOf(bytes, i, last));
    if (isValid !== true) {
      rejectPromise('isUtf8', isValid);
      return UTF8_REJECT;
    }
    i = last;
  }
  return walk(s, bytes, i, end);
}

/**
 * Index of the last character's first byte, as far as three bytes show it. The character may be
 * cut.
 */
function lastCharacter(bytes: Uint8Array, end: number): number {
  for (let i = end - 1; i > end - 4; i--) {
    if ((bytes[i]! & 0xc0) !== 0x80) return i;
  }
  // The last three bytes are continuation bytes. The character is complete or invalid, and the
  // platform's check covers it.
  return end;
}

/** The automaton, with a stride over ASCII: nearly all text is ASCII. */
function walk(state: number, bytes: Uint8Array, start: number, end: number): number {
  let s = state;
  let i = start;
  while (i < end) {
    if (s === UTF8_ACCEPT) {
      for (const last = end - 7; i < last && isAscii8(bytes, i); i += 8);
      if (i === end) return s;
    }
    s = NEXT[s * CLASSES + CLASS_OF[bytes[i++]!]!]!;
    if (s === UTF8_REJECT) return UTF8_REJECT;
  }
  return s;
}

function isAscii8(b: Uint8Array, i: number): boolean {
  const or =
    b[i]! | b[i + 1]! | b[i + 2]! | b[i + 3]! | b[i + 4]! | b[i + 5]! | b[i + 6]! | b[i + 7]!;
  return or < 0x80;
}

/** Bytes of `text` in UTF-8. A lone surrogate counts as the three bytes of U+FFFD. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) {
      bytes++;
    } else {
      bytes += 2;
      // A pair has 2 units and 4 bytes: the second half adds no byte to the count.
      if (isHigh(unit) && isLow(text.charCodeAt(i + 1))) i++;
    }
  }
  return bytes;
}

/** Whether `unit` is the first half of a surrogate pair. */
export function isHigh(unit: number): boolean {
  return (unit & 0xfc00) === 0xd800;
}

function isLow(unit: number): boolean {
  return (unit & 0xfc00) === 0xdc00;
}

let encoder: TextEncoder | undefined;
let decoder: TextDecoder | undefined;

/**
 * Writes `text` as UTF-8 to `into` from `at` on, as far as it fits. Returns the number of bytes.
 */
export function writeUtf8(into: Uint8Array, at: number, text: string): number {
  encoder ??= new TextEncoder();
  return encoder.encodeInto(text, into.subarray(at)).written;
}

/** Returns `text` as UTF-8. A lone surrogate becomes U+FFFD. */
export function toUtf8(text: string): Uint8Array {
  encoder ??= new TextEncoder();
  return encoder.encode(text);
}

/** UTF-16 units of the first characters of `text` that have at most `most` bytes together. */
export function unitsWithin(text: string, most: number): number {
  encoder ??= new TextEncoder();
  return encoder.encodeInto(text, new Uint8Array(most)).read;
}

/** Reads a text that is known to be UTF-8. A byte order mark is kept. */
export function readUtf8(bytes: OwnedBytes): string {
  decoder ??= new TextDecoder('utf-8', { ignoreBOM: true });
  return decoder.decode(bytes);
}
