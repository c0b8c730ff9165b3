/** All input is consumed or kept: push the next chunk. See {@link FrameDecoder}. */
export const NEED_MORE = 0;
/** A whole frame. Its payload is `buf[start, end)`, unmasked unless the option `unmask` is false. See {@link FrameDecoder}. */
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
 * What `FrameDecoder.next()` returns. The events are plain numbers, so a switch compiles to a jump.
 */
export type DecodeEvent = 0 | 1 | 2 | 3 | 4 | -1;
