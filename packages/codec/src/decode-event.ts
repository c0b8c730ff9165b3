/** All input is consumed or kept: feed again. */
export const NEED_MORE = 0;
/** A whole frame, its payload unmasked in `buf[start, end)`. */
export const FRAME = 1;
/** The header of a frame that is delivered in pieces, since it is neither whole nor small enough to be held. */
export const FRAME_BEGIN = 2;
/** A piece of that frame's payload, unmasked in `buf[start, end)`. */
export const FRAME_DATA = 3;
/** That frame is complete. */
export const FRAME_END = 4;
/** The peer broke a rule: see `error`. Nothing more is delivered until `reset()`. */
export const FAILED = -1;
/** What `FrameDecoder.next()` says: plain numbers, so that a switch compiles to a jump. */
export type DecodeEvent = 0 | 1 | 2 | 3 | 4 | -1;
