import type { HeadersInput } from '@ws/node-server';
import { endToEnd, headerPairs } from '@ws/node-server/internal';

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

/**
 * Drops the lines that a CGI-like backend would read as one of `names`, since it reads `_` as `-`. Lines
 * with these names themselves stay.
 */
export function withoutLookalikes(
  lines: readonly HeaderLine[],
  names: readonly string[],
): readonly HeaderLine[] {
  if (names.length === 0) return lines;
  const own = new Set(names.map((name) => name.toLowerCase()));
  const plain = new Set(names.map(plainName));
  return lines.filter(([name]) => own.has(name.toLowerCase()) || !plain.has(plainName(name)));
}

function plainName(name: string): string {
  return name.toLowerCase().replaceAll('_', '-');
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
    const passed = endToEnd(lines);
    const owned = lines.find((line) => !passed.includes(line));
    if (owned === undefined) return lines;
    throw new TypeError(`header ${owned[0]} is set by the handshake`);
  } catch (cause) {
    throw new TypeError(`${option}: ${(cause as Error).message}`, { cause });
  }
}
