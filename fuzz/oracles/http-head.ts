import { createHash } from 'node:crypto';

/** The head of a request or of a response, by RFC 9112. */
export interface Head {
  /** The first line. */
  readonly first: string;
  /** Names in lower case. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Whether a Connection field contains a tab. */
  readonly tabbed: boolean;
  /** Index of the first character after the head. */
  readonly end: number;
}

const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/;
/** Control characters other than a tab. */
export const CONTROLS: RegExp = /[\0-\x08\x0a-\x1f\x7f]/;

/** Parses a head at `text[start]`. Does not check the first line. */
export function headOf(text: string, start = 0): Head | 'incomplete' | 'malformed' {
  let at = start;
  // RFC 9112, section 2.2: skip empty lines before the head. Node's parser also skips a single CR
  // or LF.
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

/** The values of all lines of a field. */
export function linesOf({ fields }: Head, name: string): string[] {
  return fields.filter(([one]) => one === name).map(([, value]) => value);
}

/** The value of Sec-WebSocket-Accept for a key (RFC 6455, section 4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}
