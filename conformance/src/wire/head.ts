import { Violation } from '../model/verdicts.ts';

/** Header of an HTTP request or answer. */
export interface Head {
  /** The first line. */
  readonly start: string;
  /** Names as received, and trimmed values. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** Parses a header that ends with an empty line. @throws Violation for a malformed field line. */
export function parseHead(text: string): Head {
  const [start = '', ...lines] = text.slice(0, -4).split('\r\n');
  const fields = lines.map((line) => {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
    if (name === undefined || value === undefined) {
      throw new Violation(`${JSON.stringify(line.slice(0, 80))} is not an HTTP header line`);
    }
    return [name, value] as const;
  });
  return { start, fields };
}

/**
 * Returns the values of all lines of a field, joined with commas; undefined for a missing field.
 */
export function fieldOf(head: Head, name: string): string | undefined {
  const values = fieldLines(head, name);
  return values.length === 0 ? undefined : values.join(', ');
}

/** Returns the value of each line of a field. */
export function fieldLines(head: Head, name: string): string[] {
  return head.fields.flatMap(([one, value]) =>
    one.toLowerCase() === name.toLowerCase() ? [value] : [],
  );
}

/** Tests whether a comma-separated value contains a token, ignoring case. */
export function hasToken(value: string | undefined, token: string): boolean {
  return (value ?? '').split(',').some((one) => one.trim().toLowerCase() === token);
}

/** Returns the status code. @throws Violation for a malformed status line. */
export function statusOf(head: Head): number {
  const [, status] = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(head.start) ?? [];
  if (status === undefined) {
    throw new Violation(
      `${JSON.stringify(head.start.slice(0, 80))} is not an HTTP/1.1 status line`,
    );
  }
  return Number(status);
}

/** One element of `Sec-WebSocket-Extensions`. */
export interface Extension {
  readonly name: string;
  readonly params: readonly (readonly [name: string, value: string | undefined])[];
}

/** Parses `Sec-WebSocket-Extensions` (RFC 6455, 9.1). @throws Violation for a malformed list. */
export function parseExtensions(value: string): Extension[] {
  const letter = "[!#$%&'*+.^_`|~0-9A-Za-z-]";
  const token = `${letter}+`;
  // After unescaping, a quoted value is a token too.
  const quoted = String.raw`(?:${letter}|\\${letter})+`;
  const part = new RegExp(`^(${token})(?:\\s*=\\s*(?:"(${quoted})"|(${token})))?$`);
  return value
    .split(',')
    .filter((element) => element.trim() !== '')
    .map((element) => {
      const [name, ...params] = element.split(';').map((text) => {
        const found = part.exec(text.trim());
        if (found === null) {
          throw new Violation(
            `${JSON.stringify(value.slice(0, 120))} is not a valid extension list`,
          );
        }
        return [found[1]!, found[2]?.replaceAll('\\', '') ?? found[3]] as const;
      });
      if (name![1] !== undefined) throw new Violation(`the extension name ${name![0]} has a value`);
      return { name: name![0], params };
    });
}
