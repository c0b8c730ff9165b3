import type { Decompressor } from '../deflate/decompressor.ts';
import type { InflateBuffers } from '../deflate/inflate-buffers.ts';

/** The part of a connection's compression that inflates messages. */
export interface InflateParts {
  readonly decompressor: Decompressor;
  readonly inflateBuffers: InflateBuffers;
}

/** The counters, the limit and the inflating parts of a connection, for its decoder. */
export interface DecodeContext {
  framesIn: number;
  messagesIn: number;
  pingsIn: number;
  /** The longest message, in bytes. */
  readonly readLimit: number;
  /** Set where compressed messages are agreed. */
  readonly deflate: InflateParts | undefined;
}

/** The context of a decoder without a connection. */
export const DETACHED_CONTEXT: DecodeContext = {
  framesIn: 0,
  messagesIn: 0,
  pingsIn: 0,
  readLimit: Infinity,
  deflate: undefined,
};
