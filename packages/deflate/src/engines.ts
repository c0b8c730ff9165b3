/**
 * The results of {@link Inflater.write}.
 *
 * @example
 * ```ts
 * import { InflateStatus } from '@ws/deflate';
 * import { nodeDeflate } from '@ws/node-io';
 *
 * const inflater = nodeDeflate.inflater();
 * inflater.reset(undefined);
 * const output = new Uint8Array(64);
 * const invalid = Uint8Array.of(0xff);
 * const status = inflater.write(invalid, 0, 1, true, output, 0, 64, Infinity);
 * console.log(status === InflateStatus.Corrupt); // true
 * ```
 */
export const InflateStatus = {
  /** All input was inflated. */
  Done: 0,
  /** The output is full: call again with the rest of the input. */
  More: 1,
  /**
   * A final block ended the stream (RFC 7692, section 7.2.3.4). The rest of the input begins another
   * stream.
   */
  Final: 2,
  /** The input is not valid DEFLATE, or incomplete at the end of its message. */
  Corrupt: -1,
  /** The output would be longer than the limit. It was not made. */
  TooBig: -2,
} as const;
/** One of {@link InflateStatus}. */
export type InflateStatus = (typeof InflateStatus)[keyof typeof InflateStatus];

/** The plain bytes before a stream, which it may refer back to. */
export interface History {
  /** Size in bytes, at most 32 KiB. */
  readonly length: number;
  /** Copies the bytes to `into[at]`, the newest last. */
  copyTo(into: Uint8Array, at: number): void;
}

/**
 * Inflates raw DEFLATE (RFC 1951) with a window of 32 KiB, which also reads the output of every
 * smaller window. Calls are synchronous. One message at a time.
 */
export interface Inflater {
  /**
   * Whether `write` takes whole messages only: its first input after a `reset` is all of the
   * message, and `last`. It does not refer to earlier messages without a history. Default: false.
   */
  readonly wholeMessages?: boolean;
  /** Bytes of input that the last `write` used. */
  used: number;
  /** Bytes of output that the last `write` produced. */
  produced: number;
  /** Cost of slow steps of the last `write`, in plain bytes, in addition to its input and output. */
  extraCost: number;
  /** Starts a new stream, also after `Corrupt`. `history`: the bytes that it may refer back to. */
  reset(history: History | undefined): void;
  /**
   * Inflates `input[from, to)` into `output[at, end)`, as far as there is room.
   *
   * @param last - The message ends with this input: the engine adds the 00 00 FF FF that the sender
   *   removed (RFC 7692, section 7.2.2). After `Done` the next message may follow without a
   *   `reset`.
   * @param limit - Bytes of output that the rest of the message may have. An engine for whole
   *   messages holds at most one more.
   */
  write(
    input: Uint8Array,
    from: number,
    to: number,
    last: boolean,
    output: Uint8Array,
    at: number,
    end: number,
    limit: number,
  ): InflateStatus;
  /** Releases all memory. */
  close(): void;
}

/**
 * Compresses to raw DEFLATE (RFC 1951) with one level and one window size. Calls are synchronous.
 */
export interface Deflater {
  /** Bytes of input that the last `write` used. */
  used: number;
  /** Bytes of output that the last `write` produced. */
  produced: number;
  /** Forgets earlier input. */
  reset(): void;
  /**
   * Deflates `input[from, to)` into `output[at, end)`.
   *
   * @param flush - Ends with an empty stored block, so that the peer can inflate everything: the
   *   last four bytes are 00 00 FF FF. An empty input after a flush produces no output.
   * @returns Whether the output is complete; otherwise call again with the rest of the input.
   */
  write(
    input: Uint8Array,
    from: number,
    to: number,
    flush: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): boolean;
  /** Releases all memory. */
  close(): void;
}

/** The engines that compress and inflate messages, such as `nodeDeflate` of `@ws/node-io`. */
export interface DeflateEngines {
  /**
   * The input of its inflaters: messages in pieces, as they arrive; whole messages, see
   * `Inflater.wholeMessages`; or nothing, because the engines do not work. With whole messages, both
   * ends agree on no context takeover, and a connection without a `readLimit` offers no compression.
   * Default: `pieces`.
   */
  readonly inflates?: 'pieces' | 'messages' | 'nothing' | undefined;
  /**
   * Creates a decompressor. The caller closes it.
   *
   * @throws what the platform throws when there is no memory.
   */
  inflater(): Inflater;
  /**
   * Creates a compressor. The caller closes it.
   *
   * @param level - -2 (Huffman only), -1 (the default), 0 to 9.
   * @param windowBits - 8 to 15.
   */
  deflater(level: number, windowBits: number): Deflater;
  /**
   * When all histories together hold this many bytes, new connections agree on no context takeover.
   */
  readonly memoryBudget: number;
  /** Changes when existing engines must not be used for further messages. */
  readonly generation: number;
}
