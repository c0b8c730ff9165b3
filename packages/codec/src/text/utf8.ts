// A table automaton over byte classes. Its states say what must follow:
//
//   0 a character boundary        4 A0-BF, then one more (after E0)    7 80-8F, then two more (after F4)
//   1 one continuation byte       5 80-9F, then one more (after ED)    8 nothing helps any more
//   2 two of them                 6 90-BF, then two more (after F0)
//   3 three of them
//
// Thereby overlong forms, surrogates and what lies above U+10FFFF are refused at the first byte that shows them.

/** State of {@link utf8Step} at a character boundary: where a text begins and may end. */
export const UTF8_ACCEPT = 0;
/** State of {@link utf8Step} after bytes that are not UTF-8. */
export const UTF8_REJECT = 8;

/** From here up the platform's check pays for the view it wants. */
const PLATFORM_FROM = 64;
/** Up to here a text that is ASCII, as most are, is checked before a view is made. */
const ASCII_UP_TO = 144;
const R = UTF8_REJECT;

// A column for each class of bytes, a row for each state.
const NEXT = /* @__PURE__ */ Uint8Array.from(
  [
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
 * Checks the next piece of a UTF-8 text. The state is a number, so a text may be cut anywhere and nothing is kept:
 * begin with `UTF8_ACCEPT`, hand each result to the next call; the text is right when the last result is
 * `UTF8_ACCEPT`, and wrong for good as soon as one is `UTF8_REJECT`, which is said in the piece that holds the bad byte.
 *
 * @param state - What the piece before gave.
 * @param bytes - Borrowed for the call.
 * @param isUtf8 - The platform's own check of whole texts, such as `isUtf8` of node:buffer. Much faster from some
 *   dozen bytes up; it must agree with RFC 3629.
 * @returns The state after the piece, 0 to 8.
 * @throws TypeError, RangeError for bad arguments.
 * @see RFC 6455, section 8.1
 */
export function utf8Step(
  state: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  isUtf8?: (bytes: Uint8Array) => boolean,
): number {
  if (!(bytes instanceof Uint8Array)) throw new TypeError('bytes must be a Uint8Array');
  if (!(start >= 0 && start <= end && end <= bytes.length)) {
    throw new RangeError(`range [${start}, ${end}) is not inside ${bytes.length} bytes`);
  }
  if (!(state >= 0 && state <= UTF8_REJECT)) throw new RangeError('state must be of 0 to 8');
  let s = state;
  let i = start;
  // The character that the piece before has begun.
  while (s !== UTF8_ACCEPT && i < end) {
    s = NEXT[s * CLASSES + CLASS_OF[bytes[i++]!]!]!;
    if (s === UTF8_REJECT) return UTF8_REJECT;
  }
  if (isUtf8 !== undefined && end - i >= PLATFORM_FROM && end - i <= ASCII_UP_TO) {
    for (const last = end - 7; i < last && isAscii8(bytes, i); i += 8);
  }
  if (isUtf8 !== undefined && end - i >= PLATFORM_FROM) {
    const last = lastCharacter(bytes, end);
    // Not `subarray`, which makes a Buffer of a Buffer.
    if (!isUtf8(new Uint8Array(bytes.buffer, bytes.byteOffset + i, last - i))) return UTF8_REJECT;
    i = last;
  }
  return walk(s, bytes, i, end);
}

/** Index of the last character's first byte, as far as three bytes tell: it may be cut. */
function lastCharacter(bytes: Uint8Array, end: number): number {
  for (let i = end - 1; i > end - 4; i--) {
    if ((bytes[i]! & 0xc0) !== 0x80) return i;
  }
  // Four continuation bytes, or three that end a character of four: whichever, whoever checks it sees the whole.
  return end;
}

/** The automaton, with a stride over ASCII, which nearly all text is. */
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

/** How many bytes `text` has in UTF-8; a lone surrogate counts as the three of U+FFFD. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) {
      bytes++;
    } else {
      bytes += 2;
      // The second half of a pair is a unit of its own in length, and no byte of its own: 2 units, 4 bytes.
      if (isHigh(unit) && isLow(text.charCodeAt(i + 1))) i++;
    }
  }
  return bytes;
}

/** True for the first half of a surrogate pair. */
export function isHigh(unit: number): boolean {
  return (unit & 0xfc00) === 0xd800;
}

function isLow(unit: number): boolean {
  return (unit & 0xfc00) === 0xdc00;
}

let encoder: TextEncoder | undefined;

/** Writes `text` as UTF-8 to `into` from `at` on, where it fits, and says how many bytes that were. */
export function writeUtf8(into: Uint8Array, at: number, text: string): number {
  encoder ??= new TextEncoder();
  return encoder.encodeInto(text, into.subarray(at)).written;
}
