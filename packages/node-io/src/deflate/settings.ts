import { constants, type ZlibOptions } from 'node:zlib';

/**
 * Settings for `createDeflateRaw` and `deflateRaw`, for a level and a window of RFC 7692.
 *
 * @param level - -2 (Huffman only), -1 (the default), 0 to 9.
 * @param windowBits - 8 to 15.
 */
export function deflateSettings(level: number, windowBits: number): ZlibOptions {
  const huffmanOnly = level === -2;
  return {
    level: huffmanOnly ? constants.Z_DEFAULT_COMPRESSION : level,
    strategy: huffmanOnly ? constants.Z_HUFFMAN_ONLY : constants.Z_DEFAULT_STRATEGY,
    // zlib has no raw streams of 8 bits. With 9 it looks back at most 512 - 262 bytes, which fits
    // in 256.
    windowBits: Math.max(windowBits, 9),
  };
}

/**
 * The end of a message that is flushed with `Z_SYNC_FLUSH`. It is not sent (RFC 7692, section
 * 7.2.1).
 */
export const TAIL: Uint8Array = /* @__PURE__ */ Uint8Array.of(0x00, 0x00, 0xff, 0xff);
/** The largest window, and so the largest history, in bytes. */
export const MAX_WINDOW = 32_768;
/**
 * Size in bytes of a stored block's header that begins at the first bit of a byte (RFC 1951,
 * section 3.2.4).
 */
export const STORED_HEADER = 5;

/** Writes the header of a stored block of `size` bytes that is not the last block. */
export function writeStoredHeader(into: Uint8Array, size: number): void {
  into[0] = 0;
  into[1] = size & 0xff;
  into[2] = size >> 8;
  into[3] = ~into[1];
  into[4] = ~into[2];
}
