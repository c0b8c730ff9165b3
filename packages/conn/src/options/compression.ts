import { type Compression, DEFAULT_COMPRESSION } from '@ws/codec';
import { checkOptionNames, kind, whole } from '../validate.ts';

/** Options of permessage-deflate (RFC 7692). */
export interface CompressionOptions {
  /**
   * `'shared'`: each message is compressed separately, and an idle connection needs no memory for
   * compression. `'takeover'`: messages refer back to earlier ones, so they are smaller, but each
   * connection needs memory for a window. Default: `'shared'`.
   */
  readonly mode?: 'shared' | 'takeover' | undefined;
  /**
   * -2 (Huffman only), -1 (zlib's default), 0 (none) to 9. Default: 1. Higher levels save few bytes
   * for much time.
   */
  readonly level?: number | undefined;
  /** Messages of fewer bytes are not compressed. Default: 256. */
  readonly threshold?: number | undefined;
  /**
   * Window of the client's messages, as a power of two in bytes: 8 to 15. Default: 15; on a server
   * in mode `'takeover'` 12, because the server keeps a window for each client.
   */
  readonly clientMaxWindowBits?: number | undefined;
  /**
   * Bytes of the largest message that is compressed whole, in one turn of the event loop; `false`: no
   * bound. 16 times as many for a message that is compressed once for many connections: a
   * `PreparedMessage`, a `broadcast`, a publication of a hub. Larger ones are sent uncompressed, except
   * by `nextWriter`, which compresses each fragment. Default: 256 KiB, so 4 MiB for many.
   */
  readonly maxBytes?: number | false | undefined;
}

const COMPRESSION_NAMES: readonly string[] = /* @__PURE__ */ Object.keys(DEFAULT_COMPRESSION);

/**
 * Checks the option `compression` and fills in the defaults.
 *
 * @throws TypeError or RangeError that names the option.
 */
export function checkedCompression(value: unknown): Compression | false {
  if (value === false) return false;
  if (value === true || value === 'shared') return DEFAULT_COMPRESSION;
  if (value === 'takeover') return { ...DEFAULT_COMPRESSION, mode: value };
  if (kind(value) !== 'Object') {
    const got = typeof value === 'string' ? JSON.stringify(value) : kind(value);
    throw new TypeError(
      `compression: expected true, false, 'shared', 'takeover' or an object, got ${got}`,
    );
  }
  checkOptionNames('compression', value as object, COMPRESSION_NAMES, 'reject');
  const given = value as CompressionOptions;
  const { mode = DEFAULT_COMPRESSION.mode, level = DEFAULT_COMPRESSION.level } = given;
  const { clientMaxWindowBits, maxBytes } = given;
  if (mode !== 'shared' && mode !== 'takeover') {
    throw new TypeError(`compression.mode: expected 'shared' or 'takeover', got ${String(mode)}`);
  }
  const within = (name: keyof CompressionOptions, least: number, most: number): number => {
    const { [name]: number = DEFAULT_COMPRESSION[name] } = given;
    return whole(`compression.${name}`, number, least, most);
  };
  return {
    mode,
    level: compressionLevel('compression.level', level),
    threshold: within('threshold', 0, Number.MAX_SAFE_INTEGER),
    clientMaxWindowBits:
      clientMaxWindowBits === undefined ? undefined : within('clientMaxWindowBits', 8, 15),
    maxBytes:
      maxBytes === false || maxBytes === Infinity
        ? Infinity
        : within('maxBytes', 0, Number.MAX_SAFE_INTEGER),
  };
}

/**
 * Checks a compression level of zlib: -2 (Huffman only), -1 (zlib's default), or 0 to 9.
 *
 * @throws TypeError or RangeError that names the option.
 */
export function compressionLevel(name: string, value: unknown): number {
  return whole(name, value, -2, 9);
}
