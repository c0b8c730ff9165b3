import { createHash } from 'node:crypto';

/** The head of a request or of an answer, as RFC 9112 has it and no other way. */
export interface Head {
  /** The first line. */
  readonly first: string;
  /** Names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Whether there is a tab in a Connection field. */
  readonly tabbed: boolean;
  /** Index of the first byte behind it. */
  readonly end: number;
}

const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/;
/** Control characters other than a tab. */
export const CONTROLS: RegExp = /[\0-\x08\x0a-\x1f\x7f]/;

/** Reads a head from `text[start]`. What stands in its first line is for others to judge. */
export function headOf(text: string, start = 0): Head | 'incomplete' | 'malformed' {
  let at = start;
  // RFC 9112, section 2.2: empty lines in front of it are passed over; by Node's parser also half ones.
  while (text[at] === '\r' || text[at] === '\n') at++;
  const end = text.indexOf('\r\n\r\n', at);
  if (end < 0) return 'incomplete';
  const [first = '', ...lines] = text.slice(at, end).split('\r\n');
  const fields: [string, string][] = [];
  for (const line of lines) {
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === undefined || value === undefined || CONTROLS.test(value)) return 'malformed';
    fields.push([name.toLowerCase(), value]);
  }
  const tabbed = lines.some((line) => /^connection:.*\t/i.test(line));
  return { first, fields, tabbed, end: end + 4 };
}

/** All lines of a field. */
export function linesOf({ fields }: Head, name: string): string[] {
  return fields.filter(([one]) => one === name).map(([, value]) => value);
}

/** The answer to a key (RFC 6455, section 4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}
