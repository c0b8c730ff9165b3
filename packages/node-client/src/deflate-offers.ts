import type { ExtensionOffer } from '@ws/codec';
import { offerDeflate } from '@ws/codec/internal';
import { type Compression, deflateLimits } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';

/** Returns the offers of permessage-deflate for one dial: the memory budget decides too. */
export function deflateOffers(compression: Compression | false): readonly ExtensionOffer[] {
  const limits = deflateLimits(compression, 'client', nodePlatform);
  if (compression === false || limits === undefined) return [];
  const offer = offerDeflate(limits);
  // 'takeover' offers no takeover only above the memory budget. A bare answer would exceed it.
  if (compression.mode === 'takeover' || offer.fallback === undefined) return [offer];
  return [offer, offer.fallback];
}
