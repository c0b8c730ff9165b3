import { HeaderScanner } from './header-scanner.ts';

/**
 * Reads `Sec-WebSocket-Protocol`.
 *
 * @throws SyntaxError that names the index of the first character that does not fit, or the
 *   subprotocol that comes twice.
 * @see RFC 6455, section 4.1
 */
export function parse(header: string): Set<string> {
  const scanner = new HeaderScanner(header);
  const protocols = new Set<string>();
  do {
    const name = scanner.token(',');
    if (protocols.has(name)) throw new SyntaxError(`The "${name}" subprotocol is duplicated`);
    protocols.add(name);
  } while (scanner.take(','));
  return protocols;
}
