import type { Decompressor } from '../deflate/decompressor.ts';
import type { InflateBuffers } from '../deflate/inflate-buffers.ts';

/** The part of a connection's compression that inflates messages. */
export interface InflateParts {
  readonly decompressor: Decompressor;
  readonly inflateBuffers: InflateBuffers;
}

/** The counters and the limits of a connection that its decoder uses. */
export interface DecodeCounters {
  framesIn: number;
  messagesIn: number;
  pingsIn: number;
  /** The longest message, in bytes. */
  readonly readLimit: number;
  /** Set where compressed messages are agreed. */
  readonly deflating: InflateParts | undefined;
}

/** The counters of a decoder without a connection. */
export const NO_COUNTERS: DecodeCounters = {
  framesIn: 0,
  messagesIn: 0,
  pingsIn: 0,
  readLimit: Infinity,
  deflating: undefined,
};
