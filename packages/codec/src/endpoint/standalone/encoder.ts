import { checkCoderOptions, checkFunction, integer, notNegative } from '../../arguments.ts';
import { isBytes, lengthOf } from '../../byte-facts.ts';
import { formatCloseMessage } from '../../close/close-payload.ts';
import { FrameQueue, noRelease, SLAB_PAYLOAD, viewOfSegment } from '../../frames/frame-queue.ts';
import { FrameSlab } from '../../frames/frame-slab.ts';
import { type WriteUtf8, writePiece } from '../../frames/frame-writer.ts';
import { checkFrameFields } from '../../frames/header.ts';
import { FIN, RSV } from '../../frames/rules.ts';
import { checkRange } from '../../masking/mask.ts';
import { checkedKeys, nextSharedKey } from '../../masking/mask-key.ts';
import { type OwnedBytes, once, revoke, type SlabSource } from '../../memory/slab.ts';
import { sharedSlabPool } from '../../memory/slab-pool.ts';
import { poolsAreDebugged } from '../../pool-guard.ts';
import { CloseCode, CloseMessage, MAX_CONTROL_PAYLOAD, type Role } from '../../protocol.ts';
import { writeUtf8 } from '../../text/utf8-automaton.ts';

/** Options of `FrameEncoder`. */
export interface FrameEncoderOptions {
  /**
   * The end of the connection that encodes. A client masks its frames, a server does not (RFC 6455,
   * section 5.1).
   */
  role: Role;
  /** Source of all memory. Default: the thread's shared pools. */
  pool?: SlabSource;
  /** Smallest size in bytes of a slab that is leased while the encoder has none. Default 4096. */
  slabBytes?: number;
  /**
   * Size in bytes above which an unmasked payload is referenced instead of copied: it must not
   * change until its chunk is released. Infinity: every payload is copied. Default 65520: what the
   * largest slab has room for.
   */
  borrowFrom?: number;
  /**
   * Returns the masking key of each frame as a 32-bit integer, big-endian. It must be unpredictable
   * (RFC 6455, section 10.3). Default: keys from the platform's `crypto`.
   */
  nextKey?: (() => number) | undefined;
  /**
   * Writes `text` as UTF-8 to `into`, from index `at` on, lone surrogates as U+FFFD, and returns
   * the number of bytes. There is room for three bytes per UTF-16 unit. Default: TextEncoder. Many
   * platforms have a faster function.
   */
  writeUtf8?: (into: Uint8Array, at: number, text: string) => number;
}

/**
 * Encodes frames and keeps them until they are flushed. Small frames share a chunk.
 *
 * ```ts
 * import { FrameEncoder, TextMessage } from '@ws/codec';
 *
 * const encoder = new FrameEncoder({ role: 'server' });
 * encoder.text(TextMessage, true, 0, 'hello');
 * encoder.flush((chunk, release) => process.stdout.write(chunk, release));
 * ```
 *
 * An encoder with nothing pending holds no memory. It never changes the caller's bytes.
 *
 * @see RFC 6455, sections 5.2 and 5.3
 */
export class FrameEncoder {
  // Plain fields, not `#`, which add 10 bytes to the bytecode of frame(): V8 inlines up to a budget.
  // Commands: `node --print-bytecode --print-bytecode-filter=frame`, `pnpm bench codec`.
  /** The frames that were not flushed. */
  private readonly queue: FrameQueue;
  private readonly slab: FrameSlab;
  /** Payloads of more bytes are referenced. */
  private readonly borrowFrom: number;
  readonly #writeUtf8: WriteUtf8;

  /**
   * @throws TypeError for an unknown option, an invalid role or function; RangeError for a number out
   *   of range.
   */
  constructor(options: FrameEncoderOptions) {
    const {
      role,
      pool,
      slabBytes = 4096,
      borrowFrom = SLAB_PAYLOAD,
      nextKey,
      writeUtf8: write = writeUtf8,
      ...unknown
    } = { ...options };
    checkCoderOptions('FrameEncoder', role, unknown);
    integer('slabBytes', slabBytes, 1);
    notNegative('borrowFrom', borrowFrom);
    if (nextKey !== undefined) checkFunction('nextKey', nextKey);
    checkFunction('writeUtf8', write);
    const masks = role === 'client';
    this.slab = new FrameSlab(pool ?? sharedSlabPool(), slabBytes, false, pool);
    this.queue = new FrameQueue(this.slab, {
      masks,
      nextKey: nextKey === undefined ? nextSharedKey : checkedKeys(nextKey),
      writeUtf8: write,
    });
    this.borrowFrom = masks ? Infinity : borrowFrom;
    this.#writeUtf8 = write;
  }

  /** Bytes of the frames that were not flushed. */
  get pending(): number {
    return this.queue.bytes;
  }

  /**
   * Appends one frame.
   *
   * @param opcode - 0 to 15.
   * @param rsv - Wire bits: `0x40` RSV1, `0x20` RSV2, `0x10` RSV3.
   * @param payload - Copied during the call, except unmasked payloads of more than `borrowFrom`
   *   bytes. These are referenced and must not change until their chunk is released.
   * @param release - Called once when the payload's bytes are free again: by the release function
   *   of the chunk, by {@link discard}, by a {@link flush} that fails, or within this call when the
   *   bytes were copied. Not when this call throws.
   * @returns Size of the frame in bytes.
   * @throws TypeError or RangeError for invalid arguments, for a fragmented control frame and for
   *   one with a payload of more than 125 bytes (RFC 6455, section 5.5). Errors of the pool and of
   *   `release`. Nothing is appended then. It does not check the order of fragments (RFC 6455,
   *   section 5.4): the caller sends a continuation only after an unfinished message has begun. Error
   *   after a {@link flush} that has lost a chunk.
   */
  frame(
    opcode: number,
    fin: boolean,
    rsv: number,
    payload: Uint8Array,
    start = 0,
    end: number = isBytes(payload) ? lengthOf(payload) : 0,
    release?: () => void,
  ): number {
    checkRange(payload, start, end);
    const length = end - start;
    if (isBadFrame(opcode, fin, rsv, length)) throwBadFrame(opcode, fin, rsv);
    const { queue, slab } = this;
    const { out } = slab;
    const b0 = (fin ? FIN : 0) | rsv | opcode;
    if (length > this.borrowFrom) {
      return queue.addReference(b0, payload, start, end, release && once(release, 'payload'));
    }
    const key = queue.nextKey();
    // The usual frame is written here. V8 inlines this code into a hot caller, which saves a third.
    if (release !== undefined || !slab.hasRoom(queue, out.headerSize(length) + length)) {
      return queue.addCopy(b0, payload, start, end, key, release);
    }
    const size = out.frame(b0, payload, start, end, key);
    queue.bytes += size;
    return size;
  }

  /**
   * Appends one frame with `text` as its payload, in UTF-8. A lone surrogate becomes U+FFFD, as in
   * browsers.
   *
   * @returns Size of the frame in bytes.
   * @throws As {@link frame}, and TypeError when `text` is not a string.
   */
  text(opcode: number, fin: boolean, rsv: number, text: string): number {
    if (typeof text !== 'string') throw new TypeError('text must be a string');
    // UTF-8 has at least as many bytes as UTF-16 has units.
    if (isBadFrame(opcode, fin, rsv, text.length)) throwBadFrame(opcode, fin, rsv);
    if (opcode >= CloseMessage) return this.#controlText(opcode, rsv, text);
    return this.queue.addText((fin ? FIN : 0) | rsv | opcode, text);
  }

  /**
   * Appends a close frame with `code` and `reason`.
   *
   * @param code - Default 1005: a close frame without a code.
   * @returns Size of the frame in bytes.
   * @throws As {@link formatCloseMessage} and {@link frame}. Nothing is appended then.
   * @see RFC 6455, section 5.5.1
   */
  close(code: number = CloseCode.NoStatusReceived, reason = ''): number {
    return this.frame(CloseMessage, true, 0, formatCloseMessage(code, reason));
  }

  /**
   * Removes all pending bytes and passes them to `write`, in order and without a copy.
   *
   * @param write - Gets a borrowed chunk, and the function to call once when the bytes are no longer
   *   read: at once, or when an asynchronous write is done. A chunk may be a view of memory that
   *   other encoders use: do not transfer its `buffer`. `write` may append frames; they are passed
   *   too.
   * @throws TypeError when `write` is not a function. What `write` throws, and TypeError for a
   *   referenced payload that was detached or has shrunk: the stream then has a hole, so all pending
   *   frames are dropped and released, and each later call throws until {@link discard}. End the
   *   transport.
   */
  flush(write: (chunk: Uint8Array, release: () => void) => void): void {
    flush(this.queue, write);
  }

  /**
   * Removes all pending bytes and returns a copy of them.
   *
   * @returns Owned by the caller; empty when nothing is pending.
   * @throws As {@link flush}.
   */
  bytes(): OwnedBytes {
    return takeBytes(this.queue);
  }

  /**
   * Drops all pending frames and releases their memory. The encoder can be used again, for another
   * stream if it has lost a chunk.
   *
   * @throws The first error of a release function, after all of them were called.
   */
  discard(): void {
    this.queue.discard();
  }

  /** Encodes a text of at most 125 units, which may have more bytes, before the frame is checked. */
  #controlText(opcode: number, rsv: number, text: string): number {
    const payload = new Uint8Array(3 * text.length);
    return this.frame(opcode, true, rsv, payload, 0, writePiece(this.#writeUtf8, payload, 0, text));
  }
}

/** See {@link FrameEncoder.flush}. */
export function flush(
  queue: FrameQueue,
  write: (chunk: Uint8Array, release: () => void) => void,
): void {
  checkFunction('write', write);
  queue.checkWhole();
  while (queue.bytes > 0) {
    let release = noRelease;
    try {
      // The usual chunk creates no segment.
      if (queue.first === undefined) {
        const chunk = queue.slab.chunk();
        release = queue.lendSlab();
        write(chunk, release);
      } else {
        const segment = queue.shift();
        release = segment.release ?? noRelease;
        if (release === noRelease && poolsAreDebugged()) release = once(noRelease, 'chunk');
        write(viewOfSegment(segment), release);
      }
    } catch (error) {
      // The chunk may not have been written. `release` may be of the application, and may flush.
      queue.lose();
      revoke(release);
      throw error;
    }
  }
}

/** See {@link FrameEncoder.bytes}. */
export function takeBytes(queue: FrameQueue): OwnedBytes {
  const all = new Uint8Array(queue.bytes);
  let at = 0;
  flush(queue, (chunk, release) => {
    all.set(chunk, at);
    at += chunk.length;
    release();
  });
  return all;
}

/** One test for all invalid arguments: small enough to be inlined. */
function isBadFrame(opcode: number, fin: boolean, rsv: number, length: number): boolean {
  return (
    (opcode & 0x0f) !== opcode ||
    (rsv & RSV) !== rsv ||
    (opcode >= 8 && (length > MAX_CONTROL_PAYLOAD || !fin))
  );
}

/** Throws the error that names the invalid argument. */
function throwBadFrame(opcode: number, fin: boolean, rsv: number): never {
  checkFrameFields(opcode, rsv);
  throw new RangeError(
    fin
      ? `the payload of a control frame has at most ${MAX_CONTROL_PAYLOAD} bytes`
      : 'a control frame must not be fragmented',
  );
}
