import { sharedMaskKeys } from './mask-key.ts';
import type { Role } from './opcode.ts';
import { type SlabSource, sharedSlabPool } from './pool.ts';
import { writeUtf8 } from './utf8.ts';

/** Options of `FrameEncoder`. */
export interface FrameEncoderOptions {
  /** Which end this is: a client masks what it sends, a server does not (RFC 6455, section 5.1). */
  role: Role;
  /** Lends the slabs. Default: the thread's own pool. */
  pool?: SlabSource;
  /** Least size of the first slab of a turn, in bytes. Default 4096. */
  slabBytes?: number;
  /** Unmasked payloads of more bytes than this are referenced instead of copied. Default 65536. */
  borrowFrom?: number;
  /** Gives the masking key of each frame as a 32-bit integer, big-endian. Default: keys from the platform's `crypto`. */
  nextKey?: (() => number) | undefined;
  /**
   * Writes `text` as UTF-8 to `into`, from index `at` on, lone surrogates as U+FFFD, and says how many bytes that were.
   * There is room for three bytes a UTF-16 unit. Default: TextEncoder; a platform often has something faster.
   */
  writeUtf8?: (into: Uint8Array, at: number, text: string) => number;
}

/** The same, complete. */
type KnownOptions = {
  readonly [K in keyof FrameEncoderOptions]-?: NonNullable<FrameEncoderOptions[K]>;
};

/** The options with their defaults; throws a TypeError or RangeError that names the bad one. */
export function encoderOptions(options: FrameEncoderOptions): KnownOptions {
  const { role, slabBytes = 4096, borrowFrom = 65536 } = options;
  if (role !== 'client' && role !== 'server') {
    throw new TypeError("role must be 'client' or 'server'");
  }
  if (!(Number.isInteger(slabBytes) && slabBytes > 0)) {
    throw new RangeError('slabBytes must be an integer of 1 or more');
  }
  if (!(typeof borrowFrom === 'number' && borrowFrom >= 0)) {
    throw new RangeError('borrowFrom must be a number of 0 or more');
  }
  for (const name of ['nextKey', 'writeUtf8'] as const) {
    if (options[name] !== undefined && typeof options[name] !== 'function') {
      throw new TypeError(`${name} must be a function`);
    }
  }
  const { pool = sharedSlabPool(), nextKey = nextSharedKey } = options;
  return { role, slabBytes, borrowFrom, pool, nextKey, writeUtf8: options.writeUtf8 ?? writeUtf8 };
}

function nextSharedKey(): number {
  return sharedMaskKeys().next();
}
