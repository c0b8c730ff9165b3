import type { Compression, DeflateLimits, Role } from '@ws/codec';
import { historyBytesOf } from './engine-pool.ts';
import type { DeflateEngines } from './engines.ts';

/**
 * Window bits that a server in mode `takeover` allows its clients: 4 KiB compress nearly as well as
 * 32 KiB.
 */
const SERVER_RECEIVE_BITS = 12;

/**
 * The limits of one end for permessage-deflate in the handshake. Above the memory budget of the
 * engines no end may keep a history.
 *
 * @param readLimit - In bytes; Infinity for no bound.
 * @returns The reason when this end does not compress: the engines cannot inflate within `readLimit`.
 */
export function deflateLimits(
  engines: DeflateEngines,
  compression: Compression,
  role: Role,
  readLimit: number,
): DeflateLimits | string {
  const { inflates = 'pieces' } = engines;
  if (inflates === 'nothing') return 'the platform has no working engines';
  const wholeMessages = inflates === 'messages';
  if (wholeMessages && readLimit === Infinity) {
    return 'the engines of this platform need a readLimit';
  }
  const { mode, clientMaxWindowBits } = compression;
  const alone =
    mode === 'shared' || wholeMessages || historyBytesOf(engines) >= engines.memoryBudget;
  const receives = !alone && role === 'server' ? SERVER_RECEIVE_BITS : undefined;
  return {
    serverNoContextTakeover: alone,
    clientNoContextTakeover: alone,
    // A compressor costs the same memory with any window, and a larger one compresses better.
    serverMaxWindowBits: undefined,
    clientMaxWindowBits: clientMaxWindowBits ?? receives,
  };
}
