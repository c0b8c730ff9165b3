import type { HeadersInput } from '@ws/node-server';
import { headerPairs } from '@ws/node-server/internal';

/** One header line: name and value. */
export type HeaderLine = readonly [name: string, value: string];

/**
 * Fields of one connection, never of the next (RFC 9110, section 7.6.1), and fields that the
 * handshake writes itself, so that both sides agree on them.
 */
const NEVER_FORWARDED: ReadonlySet<string> = new Set(
  (
    'connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer ' +
    'transfer-encoding upgrade http2-settings content-length expect sec-websocket-accept ' +
    'sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version'
  ).split(' '),
);

/** Reads lines of names and values in turn, as `rawHeaders` has them. */
export function pairsOf(rawHeaders: readonly string[]): HeaderLine[] {
  const lines: HeaderLine[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    lines.push([rawHeaders[i]!, rawHeaders[i + 1]!]);
  }
  return lines;
}

/**
 * Returns the lines that may pass to the next connection: without hop-by-hop fields, without those
 * that `Connection` names, without the pseudo-headers of HTTP/2, and without the fields of the handshake. CGI-like backends read `_` in a
 * name as `-`: for them `Transfer_Encoding` has the meaning of `Transfer-Encoding`.
 *
 * @param drops - Whether a field, by its name in lower case and with `-` for `_`, is left out too:
 *   `clientLines` drops Host and, of a client that is not trusted, the forwarding headers.
 */
export function endToEnd(
  lines: readonly HeaderLine[],
  drops: (name: string) => boolean = () => false,
): HeaderLine[] {
  const named = new Set<string>();
  for (const [name, value] of lines) {
    if (name.length !== 10 || name.toLowerCase() !== 'connection') continue;
    for (const each of value.split(',')) named.add(plainName(each.trim()));
  }
  return lines.filter(([name]) => {
    const plain = plainName(name);
    if (plain.startsWith(':')) return false;
    return !NEVER_FORWARDED.has(plain) && !named.has(plain) && !drops(plain);
  });
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
    const owned = lines.find(([name]) => NEVER_FORWARDED.has(name.toLowerCase()));
    if (owned === undefined) return lines;
    throw new TypeError(`header ${owned[0]} is set by the handshake`);
  } catch (cause) {
    throw new TypeError(`${option}: ${(cause as Error).message}`, { cause });
  }
}
