// Events of MessageDecoder.next().

/** No event follows without another chunk, or in this turn. */
export const NOTHING = 0;
/** A whole message. */
export const MESSAGE = 1;
export const PING = 2;
export const PONG = 3;
export const CLOSE = 4;
/** The peer broke a rule, see {@link MessageDecoder.error}. */
export const FAULT = 5;
/** A message delivered in pieces begins, because `streaming` was set. */
export const BEGIN = 6;
/** A piece of the message that BEGIN announced. */
export const PIECE = 7;
/** The message that BEGIN announced is complete. */
export const END = 8;
/** A message whose rest the reader does not want is complete. */
export const SKIPPED = 9;
/** A part of a compressed message was inflated; the caller may stop here. */
export const STEP = 10;
export type DecodedEvent = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10;

// The uses of a message's payload (type PayloadUse). A connection only moves down this list.

/** Messages are assembled and delivered. */
export const DELIVERED = 0;
/** Messages are checked and announced without their payload (`discardReads`). */
export const CHECKED_ONLY = 1;
/** After our close frame: messages are not delivered, and compressed payload is not inflated. */
export const IGNORED = 2;
export type PayloadUse = 0 | 1 | 2;

// The ways to deliver the message under way (type Delivery).
export const NO_MESSAGE = 0;
export const WHOLE = 1;
export const PIECES = 2;
/** The message was delivered in pieces, but the reader does not want the rest. */
export const UNWANTED = 3;
export type Delivery = 0 | 1 | 2 | 3;

// Bits of MessageDecoder.pendingEvents: events that follow before the next frame is parsed.
export const PIECE_PENDING = 1;
export const END_PENDING = 2;
/** As END_PENDING, of a message whose rest the reader does not want. */
export const SKIPPED_PENDING = 4;
