import { type DeflateAgreement, negotiateDeflate, parseExtensions } from '@ws/codec';
import { type Compression, deflateLimits } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { HandshakeError } from './errors.ts';
import type { RequestHeaders } from './headers.ts';

/** The extensions that a client offers, in its order of preference. */
export type ExtensionOffers = NonNullable<ReturnType<typeof parseExtensions>>;

/**
 * Reads `Sec-WebSocket-Extensions`.
 *
 * @throws HandshakeError 400 for a malformed header.
 * @see RFC 6455, section 9.1
 */
export function readExtensions(headers: RequestHeaders): ExtensionOffers {
  const offers = parseExtensions(headers.list('sec-websocket-extensions'));
  if (offers !== undefined) return offers;
  throw new HandshakeError(
    400,
    "not a websocket handshake: malformed 'Sec-WebSocket-Extensions' header",
  );
}

/**
 * Takes the first offer of permessage-deflate that is valid (RFC 7692, section 5). All other
 * extensions are declined.
 *
 * @returns Undefined when there is no valid offer, or when compression is off.
 */
export function negotiateCompression(
  offers: ExtensionOffers,
  compression: Compression | false,
): DeflateAgreement | undefined {
  const limits = deflateLimits(compression, 'server', nodePlatform);
  return limits === undefined ? undefined : negotiateDeflate(offers, limits);
}
