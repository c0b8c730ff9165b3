import type { FAILED, NEED_MORE } from '../frames/decode-event.ts';

// Events of MessageDecoder.next(), besides NEED_MORE and FAILED.

/** A whole message of `type`: `bytes[start, end)`. See {@link MessageDecoder}. */
export const MESSAGE = 1;
/** A ping, with the payload `bytes[start, end)`. See {@link MessageDecoder}. */
export const PING = 2;
/** A pong, with the payload `bytes[start, end)`. See {@link MessageDecoder}. */
export const PONG = 3;
/** A close frame, with the payload `bytes[start, end)`. See {@link MessageDecoder}. */
export const CLOSE = 4;
/**
 * A message in pieces begins, because `streaming` was set. The event has the first piece, which may
 * be empty: a message of an extension is announced at its header.
 *
 * See {@link MessageDecoder}.
 */
export const MESSAGE_BEGIN = 5;
/** The next piece of the message that MESSAGE_BEGIN announced. See {@link MessageDecoder}. */
export const MESSAGE_DATA = 6;
/** A message whose payload is not wanted is complete. See {@link MessageDecoder}. */
export const SKIPPED = 7;
/**
 * Work was done, without an event of the stream. The caller may stop here and continue later.
 *
 * See {@link MessageDecoder}.
 */
export const STEP = 8;

/** What {@link MessageDecoder.next} returns. */
export type MessageEvent =
  | typeof FAILED
  | typeof NEED_MORE
  | typeof MESSAGE
  | typeof PING
  | typeof PONG
  | typeof CLOSE
  | typeof MESSAGE_BEGIN
  | typeof MESSAGE_DATA
  | typeof SKIPPED
  | typeof STEP;

// The uses of a message's payload (type PayloadUse). A decoder only moves down this list.

/** Messages are assembled and delivered. See {@link MessageDecoder.setPayloadUse}. */
export const DELIVERED = 0;
/** Messages are checked, and SKIPPED. See {@link MessageDecoder.setPayloadUse}. */
export const CHECKED_ONLY = 1;
/**
 * Messages are SKIPPED. Their payload is neither checked nor given to an extension.
 *
 * See {@link MessageDecoder.setPayloadUse}.
 */
export const IGNORED = 2;
/** What a decoder does with payload, see {@link MessageDecoder.setPayloadUse}. */
export type PayloadUse = typeof DELIVERED | typeof CHECKED_ONLY | typeof IGNORED;
