import { type DeflateAgreement, negotiateDeflate, parseExtensions } from '@ws/codec';
import { type Compression, deflateLimits } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { HandshakeError } from './errors.ts';
import type { RequestHeaders } from './headers.ts';

/**
 * Takes the first offer of permessage-deflate that is valid (RFC 7692, section 5). All other
 * extensions are declined.
 *
 * @returns Undefined when there is no valid offer, or when compression is off.
 * @throws HandshakeError 400 for a malformed header.
 */
export function negotiateCompression(
  headers: RequestHeaders,
  compression: Compression | false,
): DeflateAgreement | undefined {
  const offers = parseExtensions(headers.list('sec-websocket-extensions'));
  if (offers === undefined) {
    throw new HandshakeError(
      400,
      "not a websocket handshake: malformed 'Sec-WebSocket-Extensions' header",
    );
  }
  const limits = deflateLimits(compression, 'server', nodePlatform);
  return limits === undefined ? undefined : negotiateDeflate(offers, limits);
}
