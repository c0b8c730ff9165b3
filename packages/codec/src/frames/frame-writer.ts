import { rejectPromise } from '../arguments.ts';
import { bufferOf, byteOffsetOf, lengthOf } from '../byte-facts.ts';
import { copyInto, VIEW_FROM, xorAscii, xorCopy } from '../masking/copy.ts';
import {
  misalignmentOf,
  swap,
  type Words,
  wordsOver,
  xorBytes,
  xorOwned,
} from '../masking/mask.ts';
import { existingSimd, type Simd } from '../masking/simd.ts';
import { WORDS_FROM } from '../masking/size-thresholds.ts';
import type { LentSlab } from '../memory/lent-slab.ts';
import { LARGEST_SLAB, NO_BYTES } from '../memory/slab.ts';
import { MAX_16_BIT_PAYLOAD, MAX_SHORT_PAYLOAD } from '../protocol.ts';
import { isHigh } from '../text/utf8-automaton.ts';
import { headerSize, writeHeader } from './header.ts';
import { MASK } from './rules.ts';

const NONE = -1;
/** A constant: reading `buffer` calls the runtime. */
const NO_BUFFER = NO_BYTES.buffer;
const NO_VIEW = new DataView(NO_BUFFER);

/**
 * Up to this many UTF-16 units, a loop over the characters is faster than the call of a native
 * encoder.
 */
const SHORT_TEXT = 16;
/**
 * A long text is written in pieces of at most this many UTF-16 units. V8 copies a piece of ASCII,
 * and writes other text character by character. 16 KiB of ASCII with an `é` at the end take 0.8
 * times as long as `Buffer.from` in pieces, and 2.0 times as long in one piece (Node 20).
 */
export const LONGEST_PIECE = 4096;

/** Writes `text` as UTF-8 to `into[at]`, and returns the number of bytes. */
export type WriteUtf8 = (into: Uint8Array, at: number, text: string) => number;

/**
 * Writes frames to one slab. The caller provides the slab and the keys, and checks that a frame has
 * room.
 *
 * @see RFC 6455, sections 5.2 and 5.3
 */
export class FrameWriter {
  /** Memory of the slab. Empty while there is none. */
  bytes: Uint8Array = NO_BYTES;
  /** The same memory, for stores of more than one byte. */
  view: DataView = NO_VIEW;
  /** Index for the next byte. */
  pos = 0;
  /** Index where the room ends. */
  limit = 0;
  /** Whether frames are masked: a client masks. */
  masks = false;
  /**
   * Whether a function of the application runs within a write: `writeUtf8`, or a pool of the slab.
   * Nothing else may be written then.
   */
  locked = false;
  writeUtf8: WriteUtf8 = writeNothing;

  // Plain fields, not `#`: see `FrameEncoder`, which has the measurement.
  private simd: Simd | undefined = undefined;
  /** Place of the slab in the SIMD memory, or NONE. */
  private address = NONE;
  /**
   * The payload of the last {@link fill} that was a range of a larger array, and its place. Reading
   * `buffer` calls the runtime, so it is cached: most payloads of a turn are ranges of one chunk.
   */
  private source: Uint8Array = NO_BYTES;
  private sourceBuffer: ArrayBufferLike = NO_BUFFER;
  private sourceOffset = 0;
  private sourceInSimd = false;
  private slab: LentSlab | undefined = undefined;
  private words: Words | undefined = undefined;
  private misalignment = 0;

  /** Writes to `slab` from now on. */
  use(slab: LentSlab): void {
    const { bytes } = slab;
    this.slab = slab;
    this.bytes = bytes;
    this.view = slab.view;
    this.limit = Math.min(lengthOf(bytes), LARGEST_SLAB);
    this.words = undefined;
    this.simd = existingSimd();
    this.address = slab.address;
  }

  /** Keeps no reference to the slab. */
  leave(): void {
    this.slab = undefined;
    this.bytes = NO_BYTES;
    this.view = NO_VIEW;
    this.words = undefined;
    this.address = NONE;
    this.pos = 0;
    this.limit = 0;
  }

  /** Keeps no reference to a payload. */
  forgetPayload(): void {
    this.source = NO_BYTES;
    this.sourceBuffer = NO_BUFFER;
  }

  /** Size in bytes of a header for a payload of `length` bytes. */
  headerSize(length: number): number {
    return headerSize(length) + (this.masks ? 4 : 0);
  }

  /**
   * Writes a frame with the payload `payload[start, end)`.
   *
   * @param b0 - The first byte: FIN, RSV bits and opcode.
   * @param key - The masking key, big-endian; 0 when frames are not masked.
   * @returns Size of the frame in bytes.
   */
  frame(b0: number, payload: Uint8Array, start: number, end: number, key: number): number {
    const { pos } = this;
    const length = end - start;
    const at = this.header(b0, length, key);
    // Bytes behind the slab are not ours. The condition is false for NaN too.
    if (!(at + length <= this.limit)) throw new RangeError('the frame does not fit the slab');
    this.fill(at, payload, start, end, key);
    this.pos = at + length;
    return at + length - pos;
  }

  /**
   * Writes a frame with `text` as its payload, if it is short and ASCII. There must be room as for
   * {@link text}.
   *
   * @param key - As for {@link frame}.
   * @returns False when nothing was written.
   */
  shortText(b0: number, text: string, key: number): boolean {
    const units = text.length;
    if (units > SHORT_TEXT) return false;
    const at = this.header(b0, units, key);
    if (!xorAscii(text, this.view, at, key)) return false;
    this.pos = at + units;
    return true;
  }

  /**
   * Writes a frame with `text` as its payload. There must be room for the largest header and three
   * bytes for each UTF-16 unit. {@link pos} is unchanged when `writeUtf8` throws.
   *
   * @param key - As for {@link frame}.
   */
  text(b0: number, text: string, key: number): void {
    const { pos } = this;
    // Nearly all text is ASCII: assume one byte per unit for the header, and move the text if that
    // was wrong.
    const guess = pos + this.headerSize(text.length);
    const length = this.utf8(guess, text);
    const at = pos + this.headerSize(length);
    if (at !== guess) this.bytes.copyWithin(at, guess, guess + length);
    this.header(b0, length, key);
    this.mask(at, at + length, key);
    this.pos = at + length;
  }

  /** Writes a whole text to `at`, in pieces. Returns its length in bytes. */
  private utf8(at: number, text: string): number {
    const { bytes, writeUtf8 } = this;
    let end = at;
    this.locked = true;
    try {
      for (let i = 0; i < text.length; ) {
        const piece = text.length <= LONGEST_PIECE ? text : pieceOf(text, i, LONGEST_PIECE);
        end += writePiece(writeUtf8, bytes, end, piece);
        i += piece.length;
      }
    } finally {
      this.locked = false;
    }
    return end - at;
  }

  /**
   * Writes a header for `length` bytes at {@link pos}, which stays. Returns the index after it.
   */
  header(b0: number, length: number, key: number): number {
    const { pos, view, masks } = this;
    const maskBit = masks ? MASK : 0;
    let at: number;
    // The widest stores.
    if (length <= MAX_SHORT_PAYLOAD) {
      view.setInt16(pos, (b0 << 8) | maskBit | length);
      at = pos + 2;
    } else if (length <= MAX_16_BIT_PAYLOAD) {
      view.setInt32(pos, (b0 << 24) | ((maskBit | 126) << 16) | length);
      at = pos + 4;
    } else at = writeHeader(this.bytes, pos, b0, maskBit, length);
    if (!masks) return at;
    view.setInt32(at, key);
    return at + 4;
  }

  /** Copies `payload[start, end)` to `at` and masks the copy. `key` is big-endian. */
  fill(at: number, payload: Uint8Array, start: number, end: number, key: number): void {
    const n = end - start;
    if (n === lengthOf(payload)) copyInto(this.bytes, payload, at);
    else if (this.copyPart(at, payload, start, end, key)) return;
    this.mask(at, at + n, key);
  }

  /** Copies a part of a payload. Returns whether the copy is masked. */
  private copyPart(
    at: number,
    payload: Uint8Array,
    start: number,
    end: number,
    key: number,
  ): boolean {
    const n = end - start;
    if (this.source !== payload) this.findSource(payload);
    const offset = this.sourceOffset + start;
    if (this.sourceInSimd && this.address >= 0) {
      this.simd!.move(offset, offset + n, swap(key), this.address + at);
      return true;
    }
    if (n < VIEW_FROM) xorCopy(payload, start, end, this.bytes, at, 0);
    else copyInto(this.bytes, new Uint8Array(this.sourceBuffer, offset, n), at);
    return false;
  }

  private findSource(payload: Uint8Array): void {
    this.source = payload;
    this.sourceBuffer = bufferOf(payload);
    this.sourceOffset = byteOffsetOf(payload);
    this.sourceInSimd = this.sourceBuffer === existingSimd()?.buffer;
  }

  /** Masks `[start, end)` of the slab. `key` is big-endian. */
  mask(start: number, end: number, key: number): void {
    if (key === 0) return;
    const { address } = this;
    if (address >= 0) this.simd!.xor(address + start, address + end, swap(key));
    else this.maskWithoutSimd(start, end, swap(key));
  }

  private maskWithoutSimd(start: number, end: number, key: number): void {
    if (end - start < WORDS_FROM) {
      xorBytes(this.bytes, start, end, key);
      return;
    }
    if (this.words === undefined) {
      this.words = this.slab!.words ?? wordsOver(this.bytes);
      this.misalignment = misalignmentOf(this.bytes);
    }
    xorOwned(this.bytes, this.words, this.misalignment, start, end, key);
  }
}

/** Writes `piece` to `into[at]`. Returns its length in bytes. */
export function writePiece(
  writeUtf8: WriteUtf8,
  into: Uint8Array,
  at: number,
  piece: string,
): number {
  const length = writeUtf8(into, at, piece);
  if (length !== piece.length) checkWritten(length, piece.length);
  return length;
}

/** The text writer of a slab that no queue uses. */
export function writeNothing(): number {
  return 0;
}

/**
 * At most `most` UTF-16 units of `text` from `start` on. A surrogate pair is one character: it is
 * not cut.
 */
export function pieceOf(text: string, start: number, most: number): string {
  const end = start + most;
  const cutsPair = isHigh(text.charCodeAt(end - 1));
  return text.slice(start, cutsPair ? end - 1 : end);
}

/**
 * With a wrong length, the writer would mask memory after the text, which may belong to another
 * connection.
 */
function checkWritten(length: unknown, units: number): void {
  if (Number.isInteger(length) && (length as number) >= 0 && (length as number) <= 3 * units)
    return;
  rejectPromise('writeUtf8', length);
  throw new TypeError(
    `writeUtf8 must return the number of bytes it wrote, at most ${3 * units} here, not ${String(length)}`,
  );
}
