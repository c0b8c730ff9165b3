import type { DeflateLimits, Role } from '@ws/codec';
import type { Platform } from '../platform/platform.ts';
import { enginePoolOf } from './engine-pool.ts';
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
