// Bytes of the heads of HTTP messages, and their classes in the grammar of RFC 9110.

export const SPACE = 0x20;
export const TAB = 0x09;
export const CR = 0x0d;
export const LF = 0x0a;
export const COLON = 0x3a;

/** A byte of a token (RFC 9110, section 5.6.2). */
export const TOKEN = 1;
/** A byte of a field's value, or of a reason phrase (RFC 9110, section 5.5). */
export const TEXT = 2;
/** A visible ASCII character: a byte of a request target. */
export const VISIBLE = 4;

/** The classes of each byte. A table is faster than ranges, and reads as the grammar does. */
const CLASSES = /* @__PURE__ */ Uint8Array.from({ length: 256 }, (_, byte) => classesOf(byte));

function classesOf(byte: number): number {
  const isVisible = byte > 0x20 && byte < 0x7f;
  const isToken = isVisible && !'"(),/:;<=>?@[\\]{}'.includes(String.fromCharCode(byte));
  const isText = byte === TAB || (byte >= 0x20 && byte !== 0x7f);
  return (isToken ? TOKEN : 0) | (isText ? TEXT : 0) | (isVisible ? VISIBLE : 0);
}

/** Whether `byte` is of the class. */
export function isOf(byteClass: number, byte: number): boolean {
  return (CLASSES[byte]! & byteClass) !== 0;
}

/** Returns the index after the bytes of `bytes[at, end)` that are of the class. */
export function endOf(byteClass: number, bytes: Uint8Array, at: number, end: number): number {
  let next = at;
  while (next < end && (CLASSES[bytes[next]!]! & byteClass) !== 0) next++;
  return next;
}

/**
 * Converts A to Z only, as HTTP compares names: `toLowerCase` would also convert the Kelvin sign
 * to k.
 */
export function lowerCase(code: number): number {
  return code >= 0x41 && code <= 0x5a ? code + 0x20 : code;
}
