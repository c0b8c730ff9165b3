import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { HeaderLine } from './header-lines.ts';

/** The headers that carry the client's address: `X-Forwarded-*`, `Forwarded`, both, or none. */
export type Forwarded = 'x' | 'rfc7239' | 'both' | false;

/** What the proxy knows of a client from its own connection. */
interface Hop {
  readonly address: string | undefined;
  readonly proto: 'http' | 'https';
  readonly host: string;
}

/**
 * Returns `lines` with the headers about the client. Lines of an untrusted client are removed, also
 * those of the other form and those with `_` for `-`, which CGI-like backends read as the same name.
 *
 * @param trusted - Whether the peer of the socket is a proxy whose lines are true: its addresses
 *   stay, and its own is appended.
 */
export function withForwarded(
  lines: readonly HeaderLine[],
  req: IncomingMessage,
  host: string,
  form: Forwarded,
  trusted: boolean,
): HeaderLine[] {
  const kept = trusted ? [...lines] : lines.filter(([name]) => !isForwarding(name));
  const proto = (req.socket as Partial<TLSSocket>).encrypted === true ? 'https' : 'http';
  const hop: Hop = { address: plainAddress(req.socket.remoteAddress), proto, host };
  let result = kept;
  if (form === 'x' || form === 'both') result = withX(result, hop);
  if (form === 'rfc7239' || form === 'both') result = appended(result, 'Forwarded', element(hop));
  return result;
}

function isForwarding(name: string): boolean {
  const plain = name.toLowerCase().replaceAll('_', '-');
  return plain.startsWith('x-forwarded-') || plain === 'forwarded' || plain === 'x-real-ip';
}

function withX(lines: HeaderLine[], { address, proto, host }: Hop): HeaderLine[] {
  let result = lines;
  if (address !== undefined) result = appended(result, 'X-Forwarded-For', address);
  const port = /:(\d+)$/.exec(host)?.[1] ?? (proto === 'https' ? '443' : '80');
  // The first proxy knows the client's own values: a trusted peer's lines stay.
  result = unlessPresent(result, 'X-Forwarded-Proto', proto);
  result = unlessPresent(result, 'X-Forwarded-Host', host);
  return unlessPresent(result, 'X-Forwarded-Port', port);
}

function unlessPresent(lines: HeaderLine[], name: string, value: string): HeaderLine[] {
  const lower = name.toLowerCase();
  if (lines.some(([each]) => each.toLowerCase() === lower)) return lines;
  return [...lines, [name, value]];
}

/** Appends `value` to the list of all lines called `name`. */
function appended(lines: readonly HeaderLine[], name: string, value: string): HeaderLine[] {
  const lower = name.toLowerCase();
  const before = lines.filter(([each]) => each.toLowerCase() === lower).map(([, text]) => text);
  const others = lines.filter(([each]) => each.toLowerCase() !== lower);
  return [...others, [name, [...before, value].join(', ')]];
}

/** Formats one hop (RFC 7239, section 4). */
function element({ address, proto, host }: Hop): string {
  const node = address === undefined ? 'unknown' : isIPv6(address) ? `"[${address}]"` : address;
  return `for=${node};host="${host.replace(/["\\]/g, '\\$&')}";proto=${proto}`;
}

/** An IPv4 address that is mapped into IPv6 is written as IPv4. */
function plainAddress(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
}
