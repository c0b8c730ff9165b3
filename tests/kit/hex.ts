/**
 * Bytes as the RFC prints them: `` hex`81 05 48 65 6c 6c 6f` ``, or `hex('8100')` for a computed string. White space is
 * ignored.
 *
 * @throws SyntaxError for anything but complete hexadecimal bytes.
 */
export function hex(text: TemplateStringsArray | string, ...values: string[]): Uint8Array {
  const digits = (typeof text === 'string' ? text : String.raw(text, ...values)).replace(/\s/g, '');
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) {
    throw new SyntaxError(`not hexadecimal bytes: ${digits}`);
  }
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** Bytes in words: `81 05 48`. */
export function toHex(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  return Array.from(bytes.subarray(start, end), (b) => b.toString(16).padStart(2, '0')).join(' ');
}
