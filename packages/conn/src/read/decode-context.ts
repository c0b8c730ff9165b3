import type { Decompressor } from '../deflate/decompressor.ts';
import type { InflateBudget } from '../deflate/inflate-budget.ts';
import type { InflateBuffers } from '../deflate/inflate-buffers.ts';

/** The part of a connection's compression that inflates messages. */
export interface InflateParts {
  readonly decompressor: Decompressor;
  readonly inflateBudget: InflateBudget;
  readonly inflateBuffers: InflateBuffers;
}

/** The connection of a decoder: its counters, its limit and its inflating parts. */
export interface DecodeContext {
  framesIn: number;
  messagesIn: number;
  pingsIn: number;
  /** The longest message, in bytes. */
  readonly readLimit: number;
  /** Set where compressed messages are agreed. */
  readonly deflate: InflateParts | undefined;
  /** The decoder waited for its turn to inflate, and the turn has come. */
  onInflateTurn(): void;
}

/** The context of a decoder without a connection. */
export const DETACHED_CONTEXT: DecodeContext = {
  framesIn: 0,
  messagesIn: 0,
  pingsIn: 0,
  readLimit: Infinity,
  deflate: undefined,
  onInflateTurn() {},
};
