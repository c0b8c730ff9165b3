import { checkedKeys } from '../callbacks.ts';
import { sharedMaskKeys } from '../masking/mask-key.ts';
import { LARGEST_SLAB, type SlabSource } from '../memory/slab.ts';
import { writeUtf8 } from '../text/utf8-automaton.ts';
import type { Role } from './opcode.ts';

/** Options of `FrameEncoder`. */
export interface FrameEncoderOptions {
  /**
   * The end of the connection that encodes. A client masks its frames, a server does not (RFC 6455,
   * section 5.1).
   */
  role: Role;
  /** Source of all memory. Default: the thread's shared pools. */
  pool?: SlabSource;
  /** Smallest size in bytes of a slab that is leased while the encoder has none. Default 4096. */
  slabBytes?: number;
  /**
   * Size in bytes above which an unmasked payload is referenced instead of copied. Default 65536,
   * the size of the largest slab.
   */
  borrowFrom?: number;
  /**
   * Returns the masking key of each frame as a 32-bit integer, big-endian. It must be unpredictable
   * (RFC 6455, section 10.3). Default: keys from the platform's `crypto`.
   */
  nextKey?: (() => number) | undefined;
  /**
   * Writes `text` as UTF-8 to `into`, from index `at` on, lone surrogates as U+FFFD, and returns
   * the number of bytes. There is room for three bytes per UTF-16 unit. Default: TextEncoder. Many
   * platforms have a faster function.
   */
  writeUtf8?: (into: Uint8Array, at: number, text: string) => number;
}

type KnownOptions = Readonly<Required<Omit<FrameEncoderOptions, 'pool'>>> & {
  readonly pool: SlabSource | undefined;
};

/**
 * Returns the options with their defaults.
 * @throws TypeError or RangeError that names the invalid option.
 */
export function encoderOptions(options: FrameEncoderOptions): KnownOptions {
  const { role, slabBytes = 4096, borrowFrom = LARGEST_SLAB } = options;
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
  const { pool } = options;
  const nextKey = options.nextKey === undefined ? nextSharedKey : checkedKeys(options.nextKey);
  return { role, slabBytes, borrowFrom, pool, nextKey, writeUtf8: options.writeUtf8 ?? writeUtf8 };
}

function nextSharedKey(): number {
  return sharedMaskKeys().next();
}
