import { callRelease } from '../callbacks.ts';
import { CloseCode } from '../close/close-code.ts';
import { formatCloseMessage } from '../close/close-payload.ts';
import {
  MAX_16_BIT_PAYLOAD,
  MAX_CONTROL_PAYLOAD,
  MAX_HEADER,
  MAX_SHORT_PAYLOAD,
} from '../limits.ts';
import { checkRange, isBytes, rotateBigEndian } from '../masking/mask.ts';
import type { OwnedBytes } from '../memory/owned-bytes.ts';
import { LARGEST_SLAB } from '../memory/slab.ts';
import { encoderOptions, type FrameEncoderOptions } from './encoder-options.ts';
import { LONGEST_PIECE, pieceOf } from './frame-writer.ts';
import { checkFrameFields, headerSize, writeHeader } from './header.ts';
import { CloseMessage } from './opcode.ts';
import { FIN, MASK, RSV } from './rules.ts';
import { SlabWriter } from './slab-writer.ts';

/** A text that may not fit a slab is written in pieces of at least this many UTF-16 units. */
const SHORTEST_PIECE = 1024;

/**
 * Writes frames to slabs. Small frames share a segment. Reading {@link segments}, a full slab or a
 * referenced payload ends it.
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
  // Plain fields, not `#`. `#` fields add 10 bytes to the bytecode of frame(), which has 348, and 5
  // to mask(), which has 91; V8 inlines up to a budget. `encode 16 B` takes 16 ns with plain fields
  // and 19 ns with `#` (Node 20). Commands: `node --print-bytecode --print-bytecode-filter=frame`,
  // `pnpm bench codec`.
  private readonly out: SlabWriter;
  /** Size in bytes of a header with a 7-bit length. */
  private readonly shortHeader: number;
  /**
   * Largest payload in bytes for the fast path of frame(). A larger one has a 64-bit length, or is
   * referenced.
   */
  private readonly smallUpTo: number;
  readonly #masks: boolean;
  readonly #borrowFrom: number;

  /** @throws TypeError for an invalid role or function, RangeError for a number out of range. */
  constructor(options: FrameEncoderOptions) {
    const known = encoderOptions(options);
    const masks = known.role === 'client';
    const nextKey = masks ? known.nextKey : undefined;
    this.out = new SlabWriter(known.pool, known.slabBytes, nextKey, known.writeUtf8);
    this.shortHeader = masks ? 6 : 2;
    this.smallUpTo = masks ? MAX_16_BIT_PAYLOAD : Math.min(MAX_16_BIT_PAYLOAD, known.borrowFrom);
    this.#masks = masks;
    this.#borrowFrom = known.borrowFrom;
  }

  /** Bytes that were appended and not yet removed by {@link shift}. */
  get pending(): number {
    return this.out.sealed.bytes + this.out.pos;
  }

  /**
   * Appends one frame.
   *
   * @param opcode - 0 to 15.
   * @param rsv - Wire bits: `0x40` RSV1, `0x20` RSV2, `0x10` RSV3.
   * @param payload - Copied during the call, except unmasked payloads of more than `borrowFrom`
   *   bytes. These are referenced and must not change until the release function of their segment
   *   is called.
   * @param release - Called once when the payload's bytes are free again: by the writer of the
   *   segment, by {@link discard}, or within this call when the bytes were copied.
   * @returns Size of the frame in bytes.
   * @throws TypeError or RangeError for invalid arguments, for a fragmented control frame and for
   *   one with a payload of more than 125 bytes (RFC 6455, section 5.5). Errors of the pool and of
   *   `release`. Nothing is appended then. It does not check the order of fragments (RFC 6455,
   *   section 5.4): the caller sends a continuation only after an unfinished message has begun.
   */
  frame(
    opcode: number,
    fin: boolean,
    rsv: number,
    payload: Uint8Array,
    start = 0,
    end: number = payload.length,
    release?: () => void,
  ): number {
    const { out } = this;
    const length = end - start;
    const header = length <= MAX_SHORT_PAYLOAD ? this.shortHeader : this.shortHeader + 2;
    // The usual frame: small, valid, and there is room. V8 inlines this code into a hot caller,
    // which saves a third. #anyFrame handles all other cases.
    if (
      isBytes(payload) &&
      // Whole numbers of 0 or more: a fraction would move `pos` off the bytes.
      (start | 0) === start &&
      start >= 0 &&
      end <= payload.length &&
      (length | 0) === length &&
      length >= 0 &&
      length <= this.smallUpTo &&
      length <= out.limit - out.pos - header &&
      (opcode & 0x0f) === opcode &&
      (rsv & RSV) === rsv &&
      (opcode < 8 || (fin && length <= MAX_CONTROL_PAYLOAD)) &&
      release === undefined
    ) {
      return out.frame((fin ? FIN : 0) | rsv | opcode, payload, start, end);
    }
    return this.#anyFrame(opcode, fin, rsv, payload, start, end, release);
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
    const { out } = this;
    const units = text.length;
    // UTF-8 has at least as many bytes as UTF-16 has units.
    if (isBadFrame(opcode, fin, rsv, units)) throwBadFrame(opcode, fin, rsv);
    const b0 = (fin ? FIN : 0) | rsv | opcode;
    const most = 3 * units + MAX_HEADER;
    if (most > LARGEST_SLAB) return this.#longText(b0, text);

    out.reserve(most);
    const { pos } = out;
    const length = out.text(b0, text);
    if (length !== units && isBadFrame(opcode, fin, rsv, length)) {
      out.pos = pos;
      throwBadFrame(opcode, fin, rsv);
    }
    return out.pos - pos;
  }

  /**
   * Appends a frame that is encoded already, by reference: several encoders may send the same bytes.
   * On a client, the frame must be masked already.
   *
   * @param bytes - Hold one whole frame, from `start` to `end`. They must not change until `release`
   *   is called.
   * @param release - As for {@link frame}.
   * @throws TypeError or RangeError for an invalid range. The frame is not checked.
   */
  encoded(bytes: Uint8Array, start: number, end: number, release?: () => void): void {
    checkRange(bytes, start, end);
    this.out.seal();
    this.out.sealed.push(bytes, start, end, start, release);
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
   * Removes all pending bytes and passes them to `write`, in order and without a copy. The safe form
   * of the methods for segments below.
   *
   * @param write - Gets a borrowed chunk, and the function to call once when the bytes are no longer
   *   read: at once, or when an asynchronous write is done. A chunk may be a view of memory that
   *   other encoders use: do not transfer its `buffer`. `write` may append frames; they are passed
   *   too.
   * @throws TypeError when `write` is not a function, and what `write` throws. The chunk of that
   *   call is removed, later ones are still pending.
   */
  flush(write: (chunk: Uint8Array, release: () => void) => void): void {
    if (typeof write !== 'function') throw new TypeError('write must be a function');
    while (this.segments > 0) {
      const { sealed } = this.out;
      const buf = sealed.buf(0);
      const start = sealed.start(0);
      // Not `subarray`: of a Buffer it creates a Buffer.
      const chunk = new Uint8Array(buf.buffer, buf.byteOffset + start, sealed.end(0) - start);
      const release = sealed.release(0) ?? nothing;
      sealed.shift(1);
      write(chunk, release);
    }
  }

  /**
   * Removes all pending bytes and returns a copy of them.
   *
   * @returns Owned by the caller; empty when nothing is pending.
   */
  bytes(): OwnedBytes {
    const all = new Uint8Array(this.pending);
    let at = 0;
    this.flush((chunk, release) => {
      all.set(chunk, at);
      at += chunk.length;
      release();
    });
    return all;
  }

  // The fast form of `flush`: no view and no call per segment.

  /**
   * Number of pending segments, oldest first. Reading it seals the current slab: later frames go to
   * another segment.
   */
  get segments(): number {
    this.out.seal();
    return this.out.sealed.count;
  }

  /**
   * The memory of segment `i`. Write its bytes `[segStart(i), segEnd(i))`. Borrowed until
   * `segRelease(i)` is called.
   */
  segBuf(i: number): Uint8Array {
    return this.out.sealed.buf(i);
  }

  /** Index of the first byte of segment `i`. */
  segStart(i: number): number {
    return this.out.sealed.start(i);
  }

  /** Index after the last byte of segment `i`. */
  segEnd(i: number): number {
    return this.out.sealed.end(i);
  }

  /**
   * Release function of segment `i`. Call it once when the transport no longer reads the segment.
   * Undefined when there is nothing to release.
   */
  segRelease(i: number): (() => void) | undefined {
    return this.out.sealed.release(i);
  }

  /**
   * Whether segment `i` starts with the first byte of a frame: then a control frame may be written
   * before it.
   */
  segStartsFrame(i: number): boolean {
    return this.out.sealed.startsFrame(i);
  }

  /**
   * Splits segment `i` in front of the first frame that begins in it, so that a control frame can
   * be written there. No effect when no frame begins after its first byte. Both parts have a
   * release function; the memory is free after both calls.
   */
  splitSegment(i: number): void {
    this.out.sealed.split(i);
  }

  /**
   * Removes the first `n` segments. The writer of these segments is responsible for their release
   * functions.
   *
   * @throws RangeError when there are fewer sealed segments.
   */
  shift(n: number): void {
    this.out.sealed.shift(n);
  }

  /**
   * Drops all pending frames and releases their memory. The encoder can be used again.
   *
   * @throws The first error of a release function, after all of them were called.
   */
  discard(): void {
    this.out.seal();
    this.out.sealed.drop(0);
  }

  /**
   * Drops the pending frames and releases their memory, except the rest of a frame that {@link
   * shift} has removed in part. The rest stays, so that the stream contains whole frames only.
   *
   * @throws The first error of a release function, after all of them were called.
   */
  truncate(): void {
    this.out.seal();
    this.out.sealed.truncate();
  }

  /** Appends a frame of any size, or throws for invalid arguments. */
  #anyFrame(
    opcode: number,
    fin: boolean,
    rsv: number,
    payload: Uint8Array,
    start: number,
    end: number,
    release: (() => void) | undefined,
  ): number {
    checkRange(payload, start, end);
    const length = end - start;
    if (isBadFrame(opcode, fin, rsv, length)) throwBadFrame(opcode, fin, rsv);
    const b0 = (fin ? FIN : 0) | rsv | opcode;
    if (!this.#masks && length > this.#borrowFrom) {
      this.#reference(b0, payload, start, end, release);
      return headerSize(length) + length;
    }
    const { out } = this;
    const header = out.headerSize(length);
    const size = header + length;
    let key = size <= LARGEST_SLAB ? this.#open(b0, length, size) : this.#openLarge(b0, length);
    const first = out.sealed.count;
    const from = out.pos - header;
    try {
      // One pass for a frame that fits a slab; a larger frame fills each slab to its end. Not a
      // method: V8 would inline a short one into frame(), and then frame() nowhere.
      for (let i = start; i < end; ) {
        if (out.pos === out.limit) out.nextSlab();
        const n = Math.min(end - i, out.limit - out.pos);
        out.fill(out.pos, payload, i, i + n, key);
        key = rotateBigEndian(key, n);
        out.pos += n;
        i += n;
      }
      out.endLarge();
      if (release !== undefined) callRelease(release);
    } catch (error) {
      out.undo(first, from);
      throw error;
    }
    return size;
  }

  /** Appends text that may not fit a slab. */
  #longText(b0: number, text: string): number {
    // Counting the bytes takes 35 times as long as writing them. So the size of the header is
    // guessed. The guess is right for ASCII, and for every text of 65,536 UTF-16 units or more.
    const length = this.#writeLongText(b0, text, headerSize(text.length));
    if (length >= 0) return this.out.headerSize(length) + length;
    const again = this.#writeLongText(b0, text, headerSize(-1 - length));
    if (again < 0) throw new Error('writeUtf8 wrote the same text in two different lengths');
    return this.out.headerSize(again) + again;
  }

  /**
   * Writes the text slab by slab, then its header into the `header` bytes in front. Returns the
   * text's length in bytes. When `header` does not fit that length, it appends nothing and returns
   * -1 - length.
   */
  #writeLongText(b0: number, text: string, header: number): number {
    const { out } = this;
    const room = header + (this.#masks ? 4 : 0);
    out.reserve(Math.max(room, LARGEST_SLAB - out.pos));
    const first = out.sealed.count;
    const from = out.pos;
    const { bytes, view } = out;
    const firstKey = out.nextKey?.() ?? 0;
    let key = firstKey;
    let length = 0;
    out.pos += room;
    try {
      for (let i = 0; i < text.length; ) {
        const fits = Math.floor((out.limit - out.pos) / 3);
        // Many short pieces at the end of a slab cost more than its last bytes are worth.
        if (fits < Math.min(SHORTEST_PIECE, text.length - i)) {
          out.nextSlab();
          continue;
        }
        const piece = pieceOf(text, i, Math.min(fits, LONGEST_PIECE));
        const n = out.piece(out.pos, piece);
        out.mask(out.pos, out.pos + n, key);
        key = rotateBigEndian(key, n);
        out.pos += n;
        length += n;
        i += piece.length;
      }
    } catch (error) {
      out.undo(first, from);
      throw error;
    }
    if (headerSize(length) !== header) {
      out.undo(first, from);
      return -1 - length;
    }
    out.endLarge();
    const at = writeHeader(bytes, from, b0, this.#masks ? MASK : 0, length);
    if (this.#masks) view.setInt32(at, firstKey);
    return length;
  }

  /** Appends the header, then the payload by reference. */
  #reference(
    b0: number,
    payload: Uint8Array,
    start: number,
    end: number,
    release: (() => void) | undefined,
  ): void {
    const { out } = this;
    const length = end - start;
    this.#open(b0, length, headerSize(length));
    out.seal();
    out.sealed.push(payload, start, end, end, release);
  }

  /**
   * Makes room and writes the header of a frame that continues in further slabs. Returns its key.
   */
  #openLarge(b0: number, length: number): number {
    const { out } = this;
    return this.#open(b0, length, Math.max(out.headerSize(length), LARGEST_SLAB - out.pos));
  }

  /** Makes room for `room` bytes and writes a header there. Returns the key. */
  #open(b0: number, length: number, room: number): number {
    const { out } = this;
    out.reserve(room);
    const key = out.header(b0, length);
    out.pos += out.headerSize(length);
    return key;
  }
}

function nothing(): void {}

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
