import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { addressOf } from '@ws/node-io/internal';
import { endToEnd, headerOf, mergeHeaders } from '@ws/node-server/internal';
import { type HeaderLine, pairsOf } from './end-to-end.ts';

/** The headers that carry the client's address: `X-Forwarded-*`, `Forwarded`, both, or none. */
export type Forwarded = 'x' | 'rfc7239' | 'both' | false;

/**
 * Returns the lines of a client that every target gets, without Host, and with the headers about
 * the client. Its own are removed when it is not trusted, also those of the other form.
 *
 * @param host - The value of the client's Host header.
 * @param trusted - Whether the peer of the socket is a proxy whose lines are true: its addresses
 *   stay, and its own is appended.
 * @param via - The name of this proxy (RFC 9110, section 7.6.3).
 */
export function clientLines(
  req: IncomingMessage,
  host: string,
  form: Forwarded,
  trusted: boolean,
  via: string,
): readonly HeaderLine[] {
  const lines = endToEnd(
    withOneCookie(req),
    (name) => name === 'host' || (!trusted && isForwarding(name)),
  );
  const added: HeaderLine[] = [];
  const append = (name: string, value: string): void => {
    const before = lines.filter(([each]) => each.toLowerCase() === name.toLowerCase());
    added.push([name, [...before.map(([, text]) => text), value].join(', ')]);
  };
  const { encrypted } = req.socket as Partial<TLSSocket>;
  // An IPv4 address that is mapped into IPv6 is written as IPv4.
  const address = addressOf(req.socket, 'remoteAddress')?.replace(/^::ffff:(?=\d+\.)|%.*$/gi, '');
  const proto = encrypted ? 'https' : 'http';
  if (form === 'x' || form === 'both') {
    if (address !== undefined) append('X-Forwarded-For', address);
    // A trusted peer may have ended TLS and set only some of the headers.
    const isSecure = /^(?:https|wss)\b/i.test(headerOf(lines, 'x-forwarded-proto') ?? proto);
    const port = /:(\d+)$/.exec(host)?.[1] ?? (isSecure ? '443' : '80');
    for (const [part, value] of Object.entries({ Proto: proto, Host: host, Port: port })) {
      const name = `X-Forwarded-${part}`;
      // The first proxy knows the client's own values: a trusted peer's lines stay.
      if (headerOf(lines, name.toLowerCase()) === undefined) added.push([name, value]);
    }
  }
  if (form === 'rfc7239' || form === 'both') append('Forwarded', element(address, proto, host));
  const { httpVersion, httpVersionMajor } = req;
  append('Via', `${httpVersionMajor === 1 ? httpVersion : httpVersionMajor} ${via}`);
  return mergeHeaders(lines, added);
}

/** Over HTTP/2 a client may send each cookie as a line (RFC 9113, section 8.2.3). */
function withOneCookie({ httpVersionMajor, headers, rawHeaders }: IncomingMessage): HeaderLine[] {
  const lines = pairsOf(rawHeaders);
  if (httpVersionMajor < 2 || headers.cookie === undefined) return lines;
  return [...lines.filter(([name]) => name !== 'cookie'), ['cookie', headers.cookie]];
}

function isForwarding(name: string): boolean {
  return /^(?:x-forwarded-|forwarded$|x-real-ip$)/.test(name);
}

/** Formats one hop (RFC 7239, section 4). */
function element(address: string | undefined, proto: string, host: string): string {
  const node = address === undefined ? 'unknown' : isIPv6(address) ? `"[${address}]"` : address;
  return `for=${node};host="${host.replace(/["\\]/g, '\\$&')}";proto=${proto}`;
}
