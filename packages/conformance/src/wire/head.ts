import { Violation } from '../model/verdicts.ts';

/** The header of an HTTP request or answer. */
export interface Head {
  /** The first line. */
  readonly start: string;
  /** Names as they were sent, values trimmed. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** @throws Violation for a line that is none of HTTP/1.1. */
export function parseHead(text: string): Head {
  const [start = '', ...lines] = text.slice(0, -4).split('\r\n');
  const fields = lines.map((line) => {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) {
      throw new Violation(`${JSON.stringify(line.slice(0, 80))} is no line of an HTTP header`);
    }
    return [name, value] as const;
  });
  return { start, fields };
}

/** The values of all lines of a field, joined with commas; undefined when there is none. */
export function fieldOf(head: Head, name: string): string | undefined {
  const values = fieldLines(head, name);
  return values.length === 0 ? undefined : values.join(', ');
}

/** The values of a field's lines. */
export function fieldLines(head: Head, name: string): string[] {
  return head.fields.flatMap(([one, value]) =>
    one.toLowerCase() === name.toLowerCase() ? [value] : [],
  );
}

/** Whether a comma-separated field has a token, its case ignored. */
export function hasToken(value: string | undefined, token: string): boolean {
  return (value ?? '').split(',').some((one) => one.trim().toLowerCase() === token);
}

/** The number in a status line. @throws Violation when it is none. */
export function statusOf(head: Head): number {
  const [, status] = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(head.start) ?? [];
  if (status === undefined) {
    throw new Violation(`${JSON.stringify(head.start.slice(0, 80))} is no status line of HTTP/1.1`);
  }
  return Number(status);
}

/** One element of `Sec-WebSocket-Extensions`. */
export interface Extension {
  readonly name: string;
  readonly params: readonly (readonly [name: string, value: string | undefined])[];
}

/** Reads `Sec-WebSocket-Extensions` (RFC 6455, 9.1). @throws Violation when it is malformed. */
export function parseExtensions(value: string): Extension[] {
  const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
  const part = new RegExp(`^(${token})(?:\\s*=\\s*(?:"(${token})"|(${token})))?$`);
  return value
    .split(',')
    .filter((element) => element.trim() !== '')
    .map((element) => {
      const [name, ...params] = element.split(';').map((text) => {
        const found = part.exec(text.trim());
        if (found === null) {
          throw new Violation(`${JSON.stringify(value.slice(0, 120))} is no list of extensions`);
        }
        return [found[1]!, found[2] ?? found[3]] as const;
      });
      if (name![1] !== undefined) throw new Violation(`extension ${name![0]} has a value itself`);
      return { name: name![0], params };
    });
}
