import { type DeflateAgreement, negotiateDeflate, parseExtensions } from '@ws/codec';
import { type Compression, deflateLimits } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import type { FieldLookups } from './headers.ts';

/**
 * Takes the first offer of permessage-deflate that is valid (RFC 7692, section 5). All other
 * extensions are declined.
 *
 * @returns Undefined when there is no valid offer, or when compression is off.
 */
export function negotiateCompression(
  headers: FieldLookups,
  compression: Compression | false,
): DeflateAgreement | undefined {
  if (!headers.has('sec-websocket-extensions')) return undefined;
  const limits = deflateLimits(compression, 'server', nodePlatform);
  if (limits === undefined) return undefined;
  // A malformed header was refused before.
  const offers = parseExtensions(headers.list('sec-websocket-extensions')) ?? [];
  return negotiateDeflate(offers, limits);
}
