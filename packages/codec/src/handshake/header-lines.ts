import { badType, kind } from '../arguments.ts';
import { isTextByte } from './byte-class.ts';
import { isToken } from './scanner.ts';

/**
 * Headers for a message: an object, a Map, a `Headers`, or pairs. A list as a value is sent as
 * several lines. A value that is undefined is left out.
 */
export type HeaderLines =
  | Iterable<readonly [name: string, value: string | readonly string[]]>
  | { readonly [name: string]: string | readonly string[] | undefined };

/**
 * Writes header lines, each with its CRLF.
 *
 * @param own - Names in lower case of the fields that the handshake sets itself.
 * @throws TypeError for a name that is no token or is in `own`, and for a value that is not ASCII
 *   text.
 */
export function formatLines(headers: HeaderLines | undefined, own: readonly string[]): string {
  if (headers === undefined) return '';
  if (typeof headers !== 'object' || headers === null) {
    throw badType('headers: expected an object or pairs', headers);
  }
  let text = '';
  for (const entry of Symbol.iterator in headers ? headers : Object.entries(headers)) {
    if (!Array.isArray(entry)) throw new TypeError('headers: expected pairs of name and value');
    const [name, value] = entry as unknown as readonly [unknown, unknown];
    if (typeof name !== 'string' || !isToken(name)) {
      throw new TypeError(`headers: ${JSON.stringify(name)} is not a name`);
    }
    if (own.includes(name.toLowerCase())) {
      throw new TypeError(`headers: ${name} is set by the handshake`);
    }
    if (value === undefined) continue;
    for (const line of Array.isArray(value) ? (value as unknown[]) : [value]) {
      text += formatLine(name, line);
    }
  }
  return text;
}

/** Writes header lines of pairs that are checked. */
export function linesOf(pairs: readonly (readonly [name: string, value: string])[]): string {
  let text = '';
  for (const [name, value] of pairs) text += `${name}: ${value}\r\n`;
  return text;
}

/** @throws TypeError for a value that could add a line or that has more than ASCII. */
export function formatLine(name: string, value: unknown): string {
  if (typeof value !== 'string') {
    throw new TypeError(`headers: ${name} must be a string, not ${kind(value)}`);
  }
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code > 0x7f || !isTextByte(code)) {
      throw new TypeError(
        `headers: ${name} has ${JSON.stringify(value[i])}; use ASCII without control characters`,
      );
    }
  }
  return `${name}: ${value}\r\n`;
}
