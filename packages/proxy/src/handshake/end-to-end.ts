import type { HeadersInput } from '@ws/node-server';
import { headerPairs, NEVER_FORWARDED } from '@ws/node-server/internal';

export { endToEnd } from '@ws/node-server/internal';

/** One header line: name and value. */
export type HeaderLine = readonly [name: string, value: string];

/** Reads lines of names and values in turn, as `rawHeaders` has them. */
export function pairsOf(rawHeaders: readonly string[]): HeaderLine[] {
  const lines: HeaderLine[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    lines.push([rawHeaders[i]!, rawHeaders[i + 1]!]);
  }
  return lines;
}

/** Returns lines as an object that a function of the application may change. */
export function headersOf(lines: readonly HeaderLine[]): Headers {
  const headers = new Headers();
  for (const [name, value] of lines) headers.append(name, value);
  return headers;
}

/**
 * Checks headers of the application and returns their lines.
 *
 * @param option - What has given them.
 * @throws TypeError for a header that cannot be sent, and for one that the handshake owns.
 */
export function checkedLines(option: string, input: HeadersInput): readonly HeaderLine[] {
  try {
    const lines = headerPairs(input);
    const owned = lines.find(([name]) => NEVER_FORWARDED.has(name.toLowerCase()));
    if (owned === undefined) return lines;
    throw new TypeError(`header ${owned[0]} is set by the handshake`);
  } catch (cause) {
    throw new TypeError(`${option}: ${(cause as Error).message}`, { cause });
  }
}
