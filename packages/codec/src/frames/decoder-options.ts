import type { Role } from './opcode.ts';
import { type SlabSource, sharedSlabPool } from './pool.ts';
import { MAX_TAIL } from './ring.ts';
import { RSV } from './rules.ts';

/** Options of `FrameDecoder`. */
export interface FrameDecoderOptions {
  /** Which end this is. A server takes only masked frames, a client only unmasked ones (RFC 6455, section 5.1). */
  role: Role;
  /** The reserved bits that extensions have agreed on, as wire bits; `0x40` for permessage-deflate. Default 0. */
  allowedRsv?: number;
  /** First value of `FrameDecoder.maxFramePayload`, in bytes. Default Infinity. */
  maxFramePayload?: number;
  /**
   * Data frames that arrive in parts come as one FRAME up to this size in bytes, header included; larger ones as
   * FRAME_BEGIN, FRAME_DATA, FRAME_END. 0 to 4112, default 4112. Control frames always come as one FRAME.
   */
  holdLimit?: number;
  /** Least first size of `FrameDecoder.writable()`, in bytes. Default 4096. */
  readBufferSize?: number;
  /** Lends the memory for unfinished tails and for `writable()`. Default: the thread's own pool. */
  pool?: SlabSource;
  /** Unmask with WebAssembly SIMD where it pays and is to be had. Default true. */
  simd?: boolean;
}

/** The options with their defaults; throws a TypeError or RangeError that names the bad one. */
export function decoderOptions(options: FrameDecoderOptions): Required<FrameDecoderOptions> {
  const { role, allowedRsv = 0, maxFramePayload = Infinity } = options;
  const { holdLimit = MAX_TAIL, readBufferSize = 4096 } = options;
  const { pool = sharedSlabPool(), simd = true } = options;
  if (role !== 'client' && role !== 'server') {
    throw new TypeError("role must be 'client' or 'server'");
  }
  if ((allowedRsv & RSV) !== allowedRsv) {
    throw new RangeError('allowedRsv must be of the wire bits 0x40, 0x20 and 0x10');
  }
  if (!(typeof maxFramePayload === 'number' && maxFramePayload >= 0)) {
    throw new RangeError('maxFramePayload must be a number of 0 or more');
  }
  if (!(Number.isInteger(holdLimit) && holdLimit >= 0 && holdLimit <= MAX_TAIL)) {
    throw new RangeError(`holdLimit must be an integer of 0 to ${MAX_TAIL}`);
  }
  if (!(Number.isInteger(readBufferSize) && readBufferSize > 0)) {
    throw new RangeError('readBufferSize must be an integer of 1 or more');
  }
  return { role, allowedRsv, maxFramePayload, holdLimit, readBufferSize, pool, simd };
}
