import type { DeflateLimits, Role } from '@ws/codec';
import type { Compression } from '../platform/deflate-engine.ts';
import type { Platform } from '../platform/platform.ts';
import { type Report, reportError } from '../report/report.ts';
import { historyBytesOf } from './engine-pool.ts';

/** Options of permessage-deflate (RFC 7692). */
export interface CompressionOptions {
  /**
   * `'shared'`: each message is compressed separately, and an idle connection holds no memory for
   * it. `'takeover'`: messages refer back to earlier ones and get smaller, at the cost of a window
   * for each connection. Default: `'shared'`.
   */
  readonly mode?: 'shared' | 'takeover' | undefined;
  /**
   * -2 (Huffman only), -1 (zlib's default), 0 (none) to 9. Default: 1; higher levels save few
   * bytes for much time.
   */
  readonly level?: number | undefined;
  /** Messages of fewer bytes are not compressed. Default: 256. */
  readonly threshold?: number | undefined;
  /** Window of the server's messages, as a power of two in bytes: 8 to 15. Default: 15. */
  readonly serverMaxWindowBits?: number | undefined;
  /**
   * Window of the client's messages, 8 to 15. Default: 15; on a server in mode `'takeover'` 12,
   * because it holds a window for each client.
   */
  readonly clientMaxWindowBits?: number | undefined;
  /**
   * Mode `'takeover'`: bytes sent lately that are kept as context for a new compressor. Default: 0.
   */
  readonly sendHistory?: number | undefined;
  /**
   * Mode `'takeover'`: number of compressors, of 270 KiB each, that the process keeps for
   * connections that send often. Default: 16.
   */
  readonly takeoverEngines?: number | undefined;
  /** Messages of more bytes are compressed on another thread; `false`: never. Default: 32 KiB. */
  readonly asyncDeflateThreshold?: number | false | undefined;
}

/** The compression of a connection without options. */
export const DEFAULT_COMPRESSION: Compression = {
  mode: 'shared',
  level: 1,
  threshold: 256,
  serverMaxWindowBits: undefined,
  clientMaxWindowBits: undefined,
  sendHistory: 0,
  takeoverEngines: 16,
  asyncDeflateThreshold: 32 * 1024,
};

/**
 * Window bits that a server in mode `takeover` allows its clients: 4 KiB compress nearly as well as
 * 32 KiB.
 */
const SERVER_RECEIVE_BITS = 12;

/** The settings of one end that decide about compression. */
export interface OfferSettings {
  readonly writing: { readonly compression: Compression | false };
  /** In bytes; Infinity means no bound. */
  readonly readLimit: number;
  readonly report: Report | undefined;
}

/** The settings whose compression was declined, and reported. */
const declined = /* @__PURE__ */ new WeakSet<OfferSettings>();

/**
 * The limits of one end for permessage-deflate in the handshake, for `offerDeflate` and
 * `negotiateDeflate`. Above the platform's memory budget no end may keep a history.
 *
 * @returns Undefined when compression is not negotiated: it is switched off, or the platform cannot
 *   inflate within `readLimit`. The second is reported once.
 */
export function deflateLimits(
  settings: OfferSettings,
  role: Role,
  platform: Platform,
): DeflateLimits | undefined {
  const { compression } = settings.writing;
  if (compression === false) return undefined;
  const { deflate } = platform;
  const inflates = deflate === undefined ? 'nothing' : (deflate.inflates ?? 'pieces');
  if (deflate === undefined || inflates === 'nothing') {
    return decline(settings, platform, 'the platform has no working engines');
  }
  const wholeMessages = inflates === 'messages';
  if (wholeMessages && settings.readLimit === Infinity) {
    return decline(settings, platform, 'the engines of this platform need a readLimit');
  }
  const { mode, serverMaxWindowBits, clientMaxWindowBits } = compression;
  const alone =
    mode === 'shared' || wholeMessages || historyBytesOf(deflate) >= deflate.memoryBudget;
  const receives = !alone && role === 'server' ? SERVER_RECEIVE_BITS : undefined;
  return {
    serverNoContextTakeover: alone,
    clientNoContextTakeover: alone,
    serverMaxWindowBits,
    clientMaxWindowBits: clientMaxWindowBits ?? receives,
  };
}

function decline(settings: OfferSettings, platform: Platform, why: string): undefined {
  if (declined.has(settings)) return;
  declined.add(settings);
  const error = new Error(`compression is not offered: ${why}`);
  reportError(settings.report, platform, error, { where: 'compression' });
}
