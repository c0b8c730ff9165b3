import { badType, checkCoderOptions, notNegative } from '../arguments.ts';
import type { SlabSource } from '../memory/slab.ts';
import { sharedSlabPool } from '../memory/slab-pool.ts';
import type { Role } from '../protocol.ts';
import { RSV } from './rules.ts';

/** Options of `FrameDecoder`. */
export interface FrameDecoderOptions {
  /**
   * The end of the connection that decodes. A server accepts only masked frames, a client only
   * unmasked ones (RFC 6455, section 5.1).
   */
  role: Role;
  /**
   * The reserved bits of the negotiated extensions, as wire bits: `0x40` for permessage-deflate.
   * Default 0.
   */
  allowedRsv?: number;
  /** First value of `FrameDecoder.maxFramePayload`, in bytes. Default Infinity. */
  maxFramePayload?: number;
  /**
   * Smallest size of the first buffer of `FrameDecoder.writable()`, in bytes. 1 to 1 MiB, default
   * 4096.
   */
  readBufferSize?: number;
  /**
   * Source of the memory for incomplete frames and for `writable()`. Default: the thread's shared
   * pool.
   */
  pool?: SlabSource;
  /**
   * Whether payloads are unmasked. With false `FrameDecoder.key` is the masking key of the payload:
   * to forward it with another key, or to call `FrameDecoder.unmask()` later. Default true.
   */
  unmasks?: boolean;
}

/**
 * The options with their defaults.
 *
 * @throws TypeError or RangeError that names the bad option.
 */
export function checkDecoderOptions(options: FrameDecoderOptions): Required<FrameDecoderOptions> {
  const {
    role,
    allowedRsv = 0,
    maxFramePayload = Infinity,
    readBufferSize = 4096,
    unmasks = true,
    pool = sharedSlabPool(),
    ...unknown
  } = { ...options };
  checkCoderOptions('FrameDecoder', role, unknown);
  checkRsv(allowedRsv);
  if (typeof unmasks !== 'boolean') throw badType('unmasks: expected true or false', unmasks);
  notNegative('maxFramePayload', maxFramePayload);
  return { role, allowedRsv, maxFramePayload, readBufferSize, unmasks, pool };
}

/** @throws RangeError for a value of `allowedRsv` with other bits. */
export function checkRsv(bits: number): void {
  if ((bits & RSV) === bits) return;
  throw new RangeError('allowedRsv must be a sum of 0x40, 0x20 and 0x10');
}

/** How a `MessageDecoder` uses a `FrameDecoder`. */
export interface FrameDecoderUse {
  /**
   * Largest data frame, in bytes with its header, that is held until it is whole. A larger incomplete
   * frame is delivered as FRAME_BEGIN, FRAME_DATA, FRAME_END. 0 to 4112, default 4112.
   */
  readonly holdLimit?: number;
}

/** All input is consumed or kept: push the next chunk. See {@link FrameDecoder}. */
export const NEED_MORE = 0;
/** A whole frame. Its payload is `buf[start, end)`, unmasked. See {@link FrameDecoder}. */
export const FRAME = 1;
/**
 * The header of a frame that is delivered in pieces: it is incomplete and too large to hold.
 *
 * See {@link FrameDecoder}.
 */
export const FRAME_BEGIN = 2;
/** A piece of that frame's payload, unmasked, in `buf[start, end)`. See {@link FrameDecoder}. */
export const FRAME_DATA = 3;
/** That frame is complete. See {@link FrameDecoder}. */
export const FRAME_END = 4;
/**
 * The peer broke a rule: see `FrameDecoder.error`. No event follows until `reset()`.
 *
 * See {@link FrameDecoder}.
 */
export const FAILED = -1;
/**
 * Results of `FrameDecoder.next()`. The events are plain numbers, so a switch compiles to a jump.
 */
export type DecodeEvent = 0 | 1 | 2 | 3 | 4 | -1;
