/**
 * Compression engines in plain JavaScript (RFC 7692), for platforms without zlib.
 *
 * @module
 */

import { perMessageDeflate } from '../deflate/per-message-deflate.ts';
import type { DeflateSource } from '../platform/platform.ts';
import { PureDeflater } from './deflater.ts';
import { PureInflater } from './inflater.ts';
import { LargeMessages } from './large-messages.ts';

export { perMessageDeflate };

const largeMessages = /* @__PURE__ */ new LargeMessages();

/**
 * Compression in plain JavaScript, for platforms without zlib. It reads every message. It compresses
 * with fixed codes at every level, so its messages of some kilobytes are about half as large again
 * as those of zlib.
 *
 * @example
 * ```ts
 * import { connPair, portablePlatform } from '@ws/conn';
 * import { pureDeflate } from '@ws/conn/pure-deflate';
 *
 * const platform = { ...portablePlatform, deflate: pureDeflate };
 * const [client, server] = connPair({ platform, compression: true });
 * ```
 */
export const pureDeflate: DeflateSource = {
  extension: perMessageDeflate,
  inflater: () => new PureInflater(),
  deflater: (_level, windowBits) => new PureDeflater(windowBits),
  deflateLater: (job, done) => largeMessages.add(job, done),
  // 64 MiB. A bundler keeps an object with a calculation, also when nothing uses it.
  memoryBudget: 67_108_864,
  generation: 0,
};
