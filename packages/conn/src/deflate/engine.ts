/** RFC 7692, section 6: the reserved bit of a message that is compressed, as it stands in the first byte. */
export const RSV1 = 0x40;

/** What {@link Inflater.write} came to. */
export const DONE = 0;
/** The output is full and there is more: call again with what is left of the input. */
export const MORE = 1;
/** A final block has ended the stream (RFC 7692, section 7.2.3.4). What is left of the input begins another one. */
export const FINAL = 2;
/** The input is no DEFLATE, or not whole at the end of its message. */
export const CORRUPT = -1;
/** More plain bytes than `limit` allows: engines that cannot stop in time say so in place of giving them. */
export const TOO_LONG = -2;
/** What {@link Inflater.write} says: one of the constants above. */
export type InflateStatus = 0 | 1 | 2 | -1 | -2;

/** Plain bytes that came before: what a stream may refer back to. */
export interface History {
  /** At most 32 KiB, the newest last. */
  readonly length: number;
  /** Copies all of it to `into[at]`. */
  copyTo(into: Uint8Array, at: number): void;
}

/**
 * Inflates raw DEFLATE (RFC 1951) with a window of 32 KiB, which reads what every smaller window has made. Driven
 * synchronously; nothing is allocated for a call that can be avoided. One message at a time.
 */
export interface Inflater {
  /** Bytes of input that the last `write` has used. */
  used: number;
  /** Bytes that the last `write` has put out. */
  produced: number;
  /** Plain bytes that the last `write` has made once more: for engines that begin anew with each call. */
  again: number;
  /** The most plain bytes that the message may have in all: for engines that cannot be stopped in between. */
  limit: number;
  /** Begins anew, after whatever came before, also after `CORRUPT`. `history`: what the stream may refer back to. */
  reset(history: History | undefined): void;
  /**
   * Inflates `input[from, to)` into `output[at, end)`, as far as there is room.
   *
   * @param last - The message ends with this input: the engine adds the 00 00 FF FF that the sender has removed
   *   (RFC 7692, section 7.2.2). After `DONE` the engine may go on with the next message without a `reset`.
   */
  write(
    input: Uint8Array,
    from: number,
    to: number,
    last: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): InflateStatus;
  /** Gives all memory back. */
  close(): void;
}

/** Deflates into raw DEFLATE, at one level and within one window. Driven synchronously. */
export interface Deflater {
  /** Bytes of input that the last `write` has used. */
  used: number;
  /** Bytes that the last `write` has put out. */
  produced: number;
  /** Forgets what it has seen; `history` is what the peer has in its window and may be referred back to. */
  reset(history: History | undefined): void;
  /**
   * Deflates `input[from, to)` into `output[at, end)`.
   *
   * @param flush - End with an empty stored block, so that the peer can inflate all of it: its last four bytes are
   *   00 00 FF FF. An empty input after a flush puts nothing out.
   * @returns Whether all is put out; else call again with what is left of the input.
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
  /** Gives all memory back. */
  close(): void;
}

/** A message that is compressed elsewhere, on a thread of its own. */
export interface DeflateJob {
  /**
   * Called once, when there is a thread for it, never after the job was cancelled: gives the message, which nobody
   * writes to from then on. Undefined, or a throw: the message is gone, or there is no memory for it, and the job has failed.
   */
  readonly begin: () => Uint8Array | undefined;
  /** -2 to 9. */
  readonly level: number;
  /** 8 to 15. */
  readonly windowBits: number;
  /** What the message may refer back to. */
  readonly history: History | undefined;
}

/** What a host lends to permessage-deflate (RFC 7692): zlib, in whatever shape the platform has it. */
export interface DeflateSource {
  /**
   * A decompressor, the caller's until it closes it.
   *
   * @throws what the platform throws when there is no memory.
   */
  inflater(): Inflater;
  /**
   * A compressor, the caller's until it closes it.
   *
   * @param level - -2 (Huffman only), -1 (the default), 0 to 9.
   * @param windowBits - 8 to 15.
   */
  deflater(level: number, windowBits: number): Deflater;
  /**
   * Compresses a message off the event loop: a few at a time, first in first out.
   *
   * @param done - Called once, in a later turn, with the message as it goes on the wire (without 00 00 FF FF), or with
   *   undefined when it could not be compressed. Never called after the cancelling function that this returns.
   */
  deflateLater(job: DeflateJob, done: (output: Uint8Array | undefined) => void): () => void;
  /** Bytes that the histories of all connections may hold before new ones are to negotiate no takeover. */
  readonly memoryBudget: number;
  /** Changes when the engines made so far are not to be used for further messages. */
  readonly generation: number;
}
