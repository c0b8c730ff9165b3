import type { DeflateLimits, DeflateParameters, Role } from '@ws/codec';
import type { Platform } from '../platform/platform.ts';
import { Compressor } from './compressor.ts';
import { Decompressor } from './decompressor.ts';
import { enginePoolOf } from './engine-pool.ts';
import { Inflation } from './inflation.ts';
import type { Compression } from './settings.ts';

/**
 * Window bits that a server in mode `takeover` allows its clients: 4 KiB compress nearly as well as
 * 32 KiB.
 */
const SERVER_RECEIVE_BITS = 12;

/**
 * The limits of one end for permessage-deflate in the handshake, for `offerDeflate` and
 * `negotiateDeflate`. Above the platform's memory budget no end may keep a history.
 *
 * @returns Undefined when compression is not negotiated: it is switched off, or the platform has no
 *   engine.
 */
export function deflateLimits(
  compression: Compression | false,
  role: Role,
  platform: Platform,
): DeflateLimits | undefined {
  const { deflate } = platform;
  if (compression === false || deflate === undefined) return undefined;
  const { mode, serverMaxWindowBits, clientMaxWindowBits } = compression;
  const alone = mode === 'shared' || enginePoolOf(deflate, platform).overBudget;
  const receives = !alone && role === 'server' ? SERVER_RECEIVE_BITS : undefined;
  return {
    serverNoContextTakeover: alone,
    clientNoContextTakeover: alone,
    serverMaxWindowBits,
    clientMaxWindowBits: clientMaxWindowBits ?? receives,
  };
}

/**
 * The compression that both ends agreed on, seen from one end.
 *
 * @throws TypeError when the platform has no engine.
 */
export class PerMessageDeflate {
  readonly inflation: Inflation;
  readonly compressor: Compressor;
  readonly #decompressor: Decompressor;

  constructor(
    parameters: DeflateParameters,
    compression: Compression,
    role: Role,
    platform: Platform,
  ) {
    const { deflate } = platform;
    if (deflate === undefined) {
      throw new TypeError(
        'deflate: the platform has no engine to compress with; leave the option out, or add pureDeflate to the platform',
      );
    }
    const engines = enginePoolOf(deflate, platform);
    const server = {
      takeover: !parameters.serverNoContextTakeover,
      bits: parameters.serverMaxWindowBits,
    };
    const client = {
      takeover: !parameters.clientNoContextTakeover,
      bits: parameters.clientMaxWindowBits,
    };
    const [ours, theirs] = role === 'server' ? [server, client] : [client, server];
    // A sender may always forget its history. A receiver must keep it unless that was excluded.
    const remembers = ours.takeover && compression.mode === 'takeover';
    this.compressor = new Compressor(engines, compression, remembers, ours.bits);
    this.#decompressor = new Decompressor(engines, theirs.takeover, theirs.bits);
    this.inflation = new Inflation(this.#decompressor, engines.inflateBudget, platform);
  }

  /** Bytes of memory held for the histories of both directions. */
  get held(): number {
    return this.#decompressor.held + this.compressor.held;
  }
}
