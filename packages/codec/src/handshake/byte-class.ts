// Bytes of the heads of HTTP messages, and their classes in the grammar of RFC 9110.

export const SPACE = 0x20;
export const TAB = 0x09;
export const CR = 0x0d;
export const LF = 0x0a;
export const COLON = 0x3a;

const TOKEN = 1;
/** A byte of a field's value, or of a reason phrase (RFC 9110, section 5.5). */
const TEXT = 2;
/** A visible ASCII character: a byte of a request target. */
const VISIBLE = 4;

/** The classes of each byte. A table is faster than ranges, and reads as the grammar does. */
const CLASSES = /* @__PURE__ */ Uint8Array.from({ length: 256 }, (_, byte) => classesOf(byte));

function classesOf(byte: number): number {
  const isVisible = byte > 0x20 && byte < 0x7f;
  const isToken = isVisible && !'"(),/:;<=>?@[\\]{}'.includes(String.fromCharCode(byte));
  const isText = byte === TAB || (byte >= 0x20 && byte !== 0x7f);
  return (isToken ? TOKEN : 0) | (isText ? TEXT : 0) | (isVisible ? VISIBLE : 0);
}

/** Returns the index after the bytes of `bytes[at, end)` that form a token. */
export function endOfToken(bytes: Uint8Array, at: number, end: number): number {
  let next = at;
  while (next < end && (CLASSES[bytes[next]!]! & TOKEN) !== 0) next++;
  return next;
}

/** Returns the index after the bytes of `bytes[at, end)` that may occur in the value of a field. */
export function endOfText(bytes: Uint8Array, at: number, end: number): number {
  let next = at;
  while (next < end && (CLASSES[bytes[next]!]! & TEXT) !== 0) next++;
  return next;
}

/** Whether `byte` may occur in a token (RFC 9110, section 5.6.2). */
export function isTokenByte(byte: number): boolean {
  return (CLASSES[byte]! & TOKEN) !== 0;
}

/** Whether `byte` may occur in the value of a field. */
export function isTextByte(byte: number): boolean {
  return (CLASSES[byte]! & TEXT) !== 0;
}

/** Whether `byte` is a visible ASCII character. */
export function isVisibleByte(byte: number): boolean {
  return (CLASSES[byte]! & VISIBLE) !== 0;
}

/**
 * Converts A to Z only, as HTTP compares names: `toLowerCase` would also convert the Kelvin sign
 * to k.
 */
export function lowerCase(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code + 0x20 : code;
}
