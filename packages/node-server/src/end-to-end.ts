import type { HeaderPair } from './errors.ts';

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

/**
 * Returns the lines that may pass to the next connection. It drops hop-by-hop fields, the fields
 * that `Connection` names, the pseudo-headers of HTTP/2 and the fields of the handshake. CGI-like
 * backends read `_` in a name as `-`: for them `Transfer_Encoding` means `Transfer-Encoding`.
 *
 * @param drops - Whether a field, by its name in lower case and with `-` for `_`, is left out too:
 *   `clientLines` drops Host and, of a client that is not trusted, the forwarding headers.
 */
export function endToEnd(
  lines: readonly HeaderPair[],
  drops: (name: string) => boolean = () => false,
): HeaderPair[] {
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
