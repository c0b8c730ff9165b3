// Short texts without a platform: the reason of a close frame. The platform's functions handle long
// ones.

/**
 * Writes `text` as UTF-8 at `into[at]`. Lone surrogates become U+FFFD, as in browsers.
 *
 * @returns Bytes written, or -1 when the whole text does not fit.
 */
export function writeText(into: Uint8Array, at: number, text: string): number {
  let end = at;
  for (const char of text) {
    let code = char.codePointAt(0)!;
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
    const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (end + size > into.length) return -1;
    // The first byte starts with as many ones as the sequence has bytes. Each later byte carries
    // six bits.
    let rest = code;
    for (let i = size - 1; i > 0; i--) {
      into[end + i] = 0x80 | (rest & 0x3f);
      rest >>= 6;
    }
    into[end] = size === 1 ? rest : ((0xf00 >> size) & 0xff) | rest;
    end += size;
  }
  return end - at;
}

/** Reads UTF-8. Undefined when it is invalid. A byte order mark is kept. */
export function readText(bytes: Uint8Array, start: number, end: number): string | undefined {
  let text = '';
  for (let at = start; at < end; ) {
    const first = bytes[at]!;
    const size = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    // No sequence starts with 0x80 to 0xbf or with 0xf8 and above.
    if ((first >= 0x80 && first < 0xc0) || first >= 0xf8 || at + size > end) return undefined;
    let code = size === 1 ? first : first & (0x7f >> size);
    for (let i = 1; i < size; i++) {
      const next = bytes[at + i]!;
      if ((next & 0xc0) !== 0x80) return undefined;
      code = (code << 6) | (next & 0x3f);
    }
    const shortest = size === 1 ? 0 : size === 2 ? 0x80 : size === 3 ? 0x800 : 0x10000;
    if (code < shortest || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
    text += String.fromCodePoint(code);
    at += size;
  }
  return text;
}

/** Quotes foreign text for an error message: at most 80 characters, escaped. */
export function quote(text: string): string {
  return `"${excerpt(text, 80)}"`;
}

/** Returns the first `most` characters of foreign text. All but printable ASCII is escaped. */
export function excerpt(text: string, most: number): string {
  const cut = text.length > most ? `${text.slice(0, most)}...` : text;
  return cut.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
