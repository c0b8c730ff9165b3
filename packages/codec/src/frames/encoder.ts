import { xorAscii } from './copy.ts';
import { encoderOptions, type FrameEncoderOptions } from './encoder-options.ts';
import { checkFrameFields, headerSize, writeHeader } from './header.ts';
import { checkRange, isBytes, rotateBigEndian } from './mask.ts';
import { FIN, MASK, RSV } from './rules.ts';
import { LARGEST_SLAB, SlabWriter } from './slab-writer.ts';
import { isHigh, utf8Length } from './utf8.ts';

const LONGEST_HEADER = 14;
/** The longest payload whose length stands in the second byte. */
const SHORT = 125;
/** Up to here a loop over the characters beats the call of a native encoder. */
const SHORT_TEXT = 16;

/**
 * Frames in, segments out. Frames are appended to a slab; what a turn appends, leaves as one piece:
 *
 * ```ts
 * import { FrameEncoder, TextMessage } from '@ws/codec';
 *
 * const encoder = new FrameEncoder({ role: 'server' });
 * encoder.text(TextMessage, true, 0, 'hello');
 * const count = encoder.segments;
 * for (let i = 0; i < count; i++) {
 *   const piece = encoder.segBuf(i).subarray(encoder.segStart(i), encoder.segEnd(i));
 *   process.stdout.write(piece, encoder.segRelease(i));
 * }
 * encoder.shift(count);
 * ```
 *
 * An encoder with nothing pending holds no memory. The caller's bytes are never changed.
 *
 * @see RFC 6455, sections 5.2 and 5.3
 */
export class FrameEncoder {
  // Plain fields: `#` ones are longer in bytecode, and the way of a small frame must be short enough to be inlined.
  private readonly out: SlabWriter;
  private readonly maskBit: number;
  /** Size of a header with a 7-bit length. */
  private readonly shortHeader: number;
  /** What is longer is no small frame, or is borrowed. */
  private readonly smallUpTo: number;
  private readonly nextKey: () => number;
  readonly #keySize: number;
  readonly #borrowFrom: number;
  readonly #writeUtf8: (into: Uint8Array, at: number, text: string) => number;

  /** @throws TypeError for a bad role or function, RangeError for a number out of range. */
  constructor(options: FrameEncoderOptions) {
    const known = encoderOptions(options);
    const masks = known.role === 'client';
    this.out = new SlabWriter(known.pool, known.slabBytes, masks);
    this.maskBit = masks ? MASK : 0;
    this.#keySize = masks ? 4 : 0;
    this.shortHeader = 2 + this.#keySize;
    this.smallUpTo = masks ? SHORT : Math.min(SHORT, known.borrowFrom);
    this.nextKey = known.nextKey;
    this.#borrowFrom = known.borrowFrom;
    this.#writeUtf8 = known.writeUtf8;
  }

  /** Bytes appended and not yet taken away by {@link shift}. */
  get pending(): number {
    return this.out.sealed.bytes + this.out.pos;
  }

  /**
   * Appends one frame.
   *
   * @param opcode - 0 to 15.
   * @param rsv - Wire bits: `0x40` RSV1, `0x20` RSV2, `0x10` RSV3.
   * @param payload - Copied during the call, except unmasked payloads of more than `borrowFrom` bytes: those are
   *   referenced, and must not change until their segment's release function is called.
   * @param release - Called once when the payload's bytes are free again: by whoever wrote the segment, by
   *   {@link discard}, or within this call when they were copied.
   * @returns Size of the frame in bytes.
   * @throws TypeError, RangeError for bad arguments, and for a control frame that is fragmented or has a payload of
   *   more than 125 bytes (RFC 6455, section 5.5); what the pool throws. Nothing is appended then.
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
    // What most frames are: small, in order, and there is room. Its code is inlined into the caller's, if that is hot,
    // which is worth a third; whatever else there is to say is said by #anyFrame.
    if (
      isBytes(payload) &&
      start >= 0 &&
      end <= payload.length &&
      length >= 0 &&
      length <= this.smallUpTo &&
      length <= out.limit - out.pos - this.shortHeader &&
      (opcode & 0x0f) === opcode &&
      (rsv & RSV) === rsv &&
      (fin || opcode < 8) &&
      release === undefined
    ) {
      const key = this.begin((fin ? FIN : 0) | rsv | opcode, length);
      const at = out.pos + this.shortHeader;
      out.fill(at, payload, start, end, key);
      out.pos = at + length;
      return this.shortHeader + length;
    }
    return this.#anyFrame(opcode, fin, rsv, payload, start, end, release);
  }

  /**
   * Appends one frame with `text` as its payload, in UTF-8. A lone surrogate becomes U+FFFD, as in browsers.
   *
   * @returns Size of the frame in bytes.
   * @throws As {@link frame}; TypeError when `text` is no string.
   */
  text(opcode: number, fin: boolean, rsv: number, text: string): number {
    if (typeof text !== 'string') throw new TypeError('text must be a string');
    const { out } = this;
    const units = text.length;
    // At least as many bytes as UTF-16 units.
    if (badFrame(opcode, fin, rsv, units)) refuse(opcode, fin, rsv);
    const b0 = (fin ? FIN : 0) | rsv | opcode;
    const most = 3 * units + LONGEST_HEADER;
    if (most > LARGEST_SLAB) return this.#longText(b0, text);

    out.reserve(most);
    const { pos } = out;
    if (units <= SHORT_TEXT) {
      const key = this.begin(b0, units);
      const at = pos + this.shortHeader;
      if (xorAscii(text, out.view, at, key)) {
        out.pos = at + units;
        return this.shortHeader + units;
      }
    }
    // Nearly all text is ASCII: guess the header from the number of characters, and move the text when it was not.
    const guess = pos + headerSize(units) + this.#keySize;
    const length = this.#writeUtf8(out.bytes, guess, text);
    if (length !== units && badFrame(opcode, fin, rsv, length)) refuse(opcode, fin, rsv);
    const at = pos + headerSize(length) + this.#keySize;
    if (at !== guess) out.bytes.copyWithin(at, guess, guess + length);
    out.mask(at, at + length, this.#header(b0, length));
    out.pos = at + length;
    return out.pos - pos;
  }

  /**
   * How many segments wait, oldest first. Reading this seals the slab being filled: what is appended from now on goes
   * to a further segment.
   */
  get segments(): number {
    this.out.seal();
    return this.out.sealed.count;
  }

  /** The memory in which segment `i` lies: `[segStart(i), segEnd(i))` of it is to be written. */
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

  /** To be called once when the transport no longer reads segment `i`; undefined when there is nothing to release. */
  segRelease(i: number): (() => void) | undefined {
    return this.out.sealed.release(i);
  }

  /** Whether segment `i` begins with the first byte of a frame, so that a control frame may be written before it. */
  segStartsFrame(i: number): boolean {
    return this.out.sealed.startsFrame(i);
  }

  /**
   * Forgets the first `n` segments. Their release functions are now the business of whoever wrote them.
   *
   * @throws RangeError when there are not so many sealed segments.
   */
  shift(n: number): void {
    this.out.sealed.shift(n);
  }

  /** Drops everything that waits and releases its memory. The encoder can be used again. */
  discard(): void {
    this.out.seal();
    this.out.sealed.drop(0);
  }

  /**
   * Drops what waits and releases its memory, save what belongs to a frame of which a part has been taken away by
   * {@link shift}: its rest stays, so that the stream of frames stays whole.
   */
  truncate(): void {
    this.out.seal();
    this.out.sealed.truncate();
  }

  /** A frame of any size, or with arguments that are to be refused. */
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
    if (badFrame(opcode, fin, rsv, length)) refuse(opcode, fin, rsv);
    const b0 = (fin ? FIN : 0) | rsv | opcode;
    if (this.#keySize === 0 && length > this.#borrowFrom) {
      this.#borrow(b0, payload, start, end, release);
      return headerSize(length) + length;
    }
    const { out } = this;
    const header = headerSize(length) + this.#keySize;
    const size = header + length;
    let key = size <= LARGEST_SLAB ? this.#open(b0, length, size) : this.#openLarge(b0, length);
    const first = out.sealed.count;
    const from = out.pos - header;
    try {
      // Once for what fits a slab; a larger frame fills each slab to its end. Not in a method of its own: a short one
      // would be inlined into frame(), and frame() then nowhere.
      for (let i = start; i < end; ) {
        if (out.pos === out.limit) out.next();
        const n = Math.min(end - i, out.limit - out.pos);
        out.fill(out.pos, payload, i, i + n, key);
        key = rotateBigEndian(key, n);
        out.pos += n;
        i += n;
      }
    } catch (error) {
      out.undo(first, from);
      throw error;
    }
    out.endLarge();
    if (release !== undefined) release();
    return size;
  }

  /** Text that might not fit a slab: its size is counted first, then it is written a slab at a time. */
  #longText(b0: number, text: string): number {
    const { out } = this;
    const length = utf8Length(text);
    let key = this.#openLarge(b0, length);
    const first = out.sealed.count;
    const from = out.pos - headerSize(length) - this.#keySize;
    try {
      for (let i = 0; i < text.length; ) {
        let units = Math.floor((out.limit - out.pos) / 3);
        if (units < 2) {
          out.next();
          continue;
        }
        // A pair of surrogates is one character and must not be cut.
        if (i + units < text.length && isHigh(text.charCodeAt(i + units - 1))) units--;
        const n = this.#writeUtf8(out.bytes, out.pos, text.slice(i, i + units));
        out.mask(out.pos, out.pos + n, key);
        key = rotateBigEndian(key, n);
        out.pos += n;
        i += units;
      }
    } catch (error) {
      out.undo(first, from);
      throw error;
    }
    out.endLarge();
    return headerSize(length) + this.#keySize + length;
  }

  #borrow(
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

  /** Room and header for a frame that goes on in further slabs. Says its key. */
  #openLarge(b0: number, length: number): number {
    const header = headerSize(length) + this.#keySize;
    return this.#open(b0, length, Math.max(header, LARGEST_SLAB - this.out.pos));
  }

  /** Makes room for `room` bytes, and writes a header there. Says its key. */
  #open(b0: number, length: number, room: number): number {
    const { out } = this;
    out.reserve(room);
    const key = this.#header(b0, length);
    out.pos += headerSize(length) + this.#keySize;
    return key;
  }

  /** Writes a header for `length` bytes at `out.pos`, without moving on. Says the key, big-endian; 0 when unmasked. */
  #header(b0: number, length: number): number {
    if (length <= SHORT) return this.begin(b0, length);
    const { out } = this;
    const at = writeHeader(out.bytes, out.pos, b0, this.maskBit, length);
    if (this.maskBit === 0) return 0;
    const key = this.nextKey();
    out.view.setInt32(at, key);
    return key;
  }

  /** The same for {@link SHORT} bytes at most, with stores as wide as they get. */
  private begin(b0: number, length: number): number {
    const { pos, view } = this.out;
    view.setInt16(pos, (b0 << 8) | this.maskBit | length);
    if (this.maskBit === 0) return 0;
    const key = this.nextKey();
    view.setInt32(pos + 2, key);
    return key;
  }
}

/** One look at all that may be wrong with the arguments: small enough to be inlined. */
function badFrame(opcode: number, fin: boolean, rsv: number, length: number): boolean {
  return (
    (opcode & 0x0f) !== opcode || (rsv & RSV) !== rsv || (opcode >= 8 && (length > 125 || !fin))
  );
}

/** Says what was wrong. */
function refuse(opcode: number, fin: boolean, rsv: number): never {
  checkFrameFields(opcode, rsv);
  throw new RangeError(
    fin
      ? 'the payload of a control frame has at most 125 bytes'
      : 'a control frame must not be fragmented',
  );
}
