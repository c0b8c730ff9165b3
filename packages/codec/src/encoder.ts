import { checkFrameFields, headerSize, writeHeader } from './header.ts';
import {
  checkRange,
  rotate,
  SIMD_FROM,
  skewOf,
  swap,
  WORDS_FROM,
  wordsOver,
  xorBytes,
  xorCopy,
  xorOwned,
} from './mask.ts';
import { sharedMaskKeys } from './mask-key.ts';
import type { Role } from './opcode.ts';
import { type Slab, type SlabSource, sharedSlabPool } from './pool.ts';
import { FIN, MASK, RSV } from './rules.ts';
import { Segments } from './segments.ts';
import { type Simd, simd } from './simd.ts';
import { isHigh, utf8Length, writeUtf8 } from './utf8.ts';

/** Options of {@link FrameEncoder}. */
export interface FrameEncoderOptions {
  /** Which end this is: a client masks what it sends, a server does not (RFC 6455, section 5.1). */
  role: Role;
  /** Lends the slabs. Default: the thread's own pool. */
  pool?: SlabSource;
  /** Least size of the first slab of a turn, in bytes. Default 4096. */
  slabBytes?: number;
  /** Unmasked payloads of more bytes than this are referenced instead of copied. Default 65536. */
  borrowFrom?: number;
  /** Gives the masking key of each frame as a 32-bit integer, big-endian. Default: keys from the platform's `crypto`. */
  nextKey?: (() => number) | undefined;
  /**
   * Writes `text` as UTF-8 to `into`, from index `at` on, lone surrogates as U+FFFD, and says how many bytes that were.
   * There is room for three bytes a UTF-16 unit. Default: TextEncoder; a platform often has something faster.
   */
  writeUtf8?: (into: Uint8Array, at: number, text: string) => number;
}

/** A slab is sealed when it has this many bytes; smaller ones grow to it. */
const LARGEST = 64 * 1024;
const LONGEST_HEADER = 14;
/** Up to here one pass copies and masks: reading back as words what was just written as bytes would stall. */
const ONE_PASS = 16;
/** Up to here a loop over the characters beats the call of a native encoder. */
const SHORT_TEXT = 16;
const NONE = -1;
const NO_BYTES = new Uint8Array(0);

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
  readonly #maskBit: number;
  readonly #keySize: number;
  readonly #pool: SlabSource;
  readonly #firstSlab: number;
  readonly #borrowFrom: number;
  readonly #nextKey: () => number;
  readonly #writeUtf8: (into: Uint8Array, at: number, text: string) => number;

  // The slab being filled: its bytes [0, #pos) will be a segment.
  #slab: Slab | undefined = undefined;
  #bytes: Uint8Array = NO_BYTES;
  #words: BigInt64Array | undefined = undefined;
  #skew = 0;
  #simd: Simd | undefined = undefined;
  /** Where the slab lies in the SIMD memory, or -1. */
  #address = -1;
  #pos = 0;
  /** What is left of the slab. */
  #room = 0;
  /** Index of the first byte in the slab with which a frame begins; NONE while one goes on that began before. */
  #boundary = 0;

  readonly #sealed = new Segments();

  /** @throws TypeError for a bad role or function, RangeError for a number out of range. */
  constructor(options: FrameEncoderOptions) {
    const { role, slabBytes = 4096, borrowFrom = 65536 } = options;
    if (role !== 'client' && role !== 'server') {
      throw new TypeError("role must be 'client' or 'server'");
    }
    if (!(Number.isInteger(slabBytes) && slabBytes > 0)) {
      throw new RangeError('slabBytes must be an integer of 1 or more');
    }
    if (!(typeof borrowFrom === 'number' && borrowFrom >= 0)) {
      throw new RangeError('borrowFrom must be a number of 0 or more');
    }
    for (const name of ['nextKey', 'writeUtf8'] as const) {
      if (options[name] !== undefined && typeof options[name] !== 'function') {
        throw new TypeError(`${name} must be a function`);
      }
    }
    this.#maskBit = role === 'client' ? MASK : 0;
    this.#keySize = role === 'client' ? 4 : 0;
    this.#pool = options.pool ?? sharedSlabPool();
    this.#firstSlab = slabBytes;
    this.#borrowFrom = borrowFrom;
    this.#nextKey = options.nextKey ?? (() => sharedMaskKeys().next());
    this.#writeUtf8 = options.writeUtf8 ?? writeUtf8;
  }

  /** Bytes appended and not yet taken away by {@link shift}. */
  get pending(): number {
    return this.#sealed.bytes + this.#pos;
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
   *   more than 125 bytes (RFC 6455, section 5.5). Nothing is appended then.
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
    const length = end - start;
    if (!(payload instanceof Uint8Array && start >= 0 && length >= 0 && end <= payload.length)) {
      checkRange(payload, start, end);
    }
    if (badFrame(opcode, fin, rsv, length)) refuse(opcode, fin, rsv);
    const b0 = (fin ? FIN : 0) | rsv | opcode;
    const size = headerSize(length) + this.#keySize + length;
    if (this.#keySize === 0 && length > this.#borrowFrom) {
      this.#borrow(b0, payload, start, end, release);
    } else if (size > LARGEST) {
      this.#inPieces(b0, payload, start, end);
      release?.();
    } else {
      if (this.#room < size) this.#grow(size);
      const at = this.#pos + size - length;
      const key = this.#header(b0, length);
      if (length <= ONE_PASS) {
        xorCopy(payload, start, end, this.#bytes, at, key);
      } else {
        this.#bytes.set(length === payload.length ? payload : payload.subarray(start, end), at);
        if (key !== 0) this.#mask(at, at + length, key);
      }
      this.#advance(size);
      if (release !== undefined) release();
    }
    return size;
  }

  /**
   * Appends one frame with `text` as its payload, in UTF-8. A lone surrogate becomes U+FFFD, as in browsers.
   *
   * @returns Size of the frame in bytes.
   * @throws As {@link frame}; TypeError when `text` is no string.
   */
  text(opcode: number, fin: boolean, rsv: number, text: string): number {
    if (typeof text !== 'string') throw new TypeError('text must be a string');
    // At least as many bytes as UTF-16 units.
    if (badFrame(opcode, fin, rsv, text.length)) refuse(opcode, fin, rsv);
    const b0 = (fin ? FIN : 0) | rsv | opcode;
    const most = 3 * text.length + LONGEST_HEADER;
    if (most > LARGEST) return this.#longText(b0, text);

    if (this.#room < most) this.#grow(most);
    const bytes = this.#bytes;
    // Nearly all text is ASCII: guess the header from the number of characters, and move the text when it was not.
    const guess = this.#pos + headerSize(text.length) + this.#keySize;
    let length = text.length <= SHORT_TEXT ? writeAscii(bytes, guess, text) : -1;
    if (length < 0) length = this.#writeUtf8(bytes, guess, text);
    if (badFrame(opcode, fin, rsv, length)) refuse(opcode, fin, rsv);
    const at = this.#pos + headerSize(length) + this.#keySize;
    if (at !== guess) bytes.copyWithin(at, guess, guess + length);
    const key = this.#header(b0, length);
    this.#mask(at, at + length, key);
    const size = at + length - this.#pos;
    this.#advance(size);
    return size;
  }

  /**
   * How many segments wait, oldest first. Reading this seals the slab being filled: what is appended from now on goes
   * to a further segment.
   */
  get segments(): number {
    this.#seal();
    return this.#sealed.count;
  }

  /** The memory in which segment `i` lies: `[segStart(i), segEnd(i))` of it is to be written. */
  segBuf(i: number): Uint8Array {
    return this.#sealed.buf(i);
  }

  /** Index of the first byte of segment `i`. */
  segStart(i: number): number {
    return this.#sealed.start(i);
  }

  /** Index after the last byte of segment `i`. */
  segEnd(i: number): number {
    return this.#sealed.end(i);
  }

  /** To be called once when the transport no longer reads segment `i`; undefined when there is nothing to release. */
  segRelease(i: number): (() => void) | undefined {
    return this.#sealed.release(i);
  }

  /** Whether segment `i` begins with the first byte of a frame, so that a control frame may be written before it. */
  segStartsFrame(i: number): boolean {
    return this.#sealed.startsFrame(i);
  }

  /**
   * Forgets the first `n` segments. Their release functions are now the business of whoever wrote them.
   *
   * @throws RangeError when there are not so many sealed segments.
   */
  shift(n: number): void {
    this.#sealed.shift(n);
  }

  /** Drops everything that waits and releases its memory. The encoder can be used again. */
  discard(): void {
    this.#seal();
    this.#sealed.drop(0);
  }

  /**
   * Drops what waits and releases its memory, save what belongs to a frame of which a part has been taken away by
   * {@link shift}: its rest stays, so that the stream of frames stays whole.
   */
  truncate(): void {
    this.#seal();
    this.#sealed.truncate();
  }

  /** Copies a frame that is larger than a slab: each slab is filled to its end. */
  #inPieces(b0: number, payload: Uint8Array, start: number, end: number): void {
    let key = this.#openLarge(b0, end - start);
    for (let i = start; i < end; ) {
      if (this.#room === 0) this.#next();
      const at = this.#pos;
      const n = Math.min(end - i, this.#bytes.length - at);
      this.#bytes.set(payload.subarray(i, i + n), at);
      this.#mask(at, at + n, key);
      key = rotate(key, n);
      this.#advance(n);
      i += n;
    }
    this.#endLarge();
  }

  /** Text that might not fit a slab: its size is counted first, then it is written a slab at a time. */
  #longText(b0: number, text: string): number {
    const length = utf8Length(text);
    let key = this.#openLarge(b0, length);
    for (let i = 0; i < text.length; ) {
      let units = Math.floor(this.#room / 3);
      if (units < 2) {
        this.#next();
        continue;
      }
      // A pair of surrogates is one character and must not be cut.
      if (i + units < text.length && isHigh(text.charCodeAt(i + units - 1))) units--;
      const at = this.#pos;
      const n = this.#writeUtf8(this.#bytes, at, text.slice(i, i + units));
      this.#mask(at, at + n, key);
      key = rotate(key, n);
      this.#advance(n);
      i += units;
    }
    this.#endLarge();
    const size = headerSize(length) + this.#keySize + length;
    return size;
  }

  #borrow(
    b0: number,
    payload: Uint8Array,
    start: number,
    end: number,
    release: (() => void) | undefined,
  ): void {
    const size = headerSize(end - start);
    if (this.#room < size) this.#grow(size);
    this.#header(b0, end - start);
    this.#advance(size);
    this.#seal();
    this.#sealed.push(payload, start, end, end, release);
  }

  /** Room and header for a frame that goes on in further slabs. Says its little-endian key. */
  #openLarge(b0: number, length: number): number {
    const header = headerSize(length) + this.#keySize;
    const room = Math.max(header, LARGEST - this.#pos);
    if (this.#room < room) this.#grow(room);
    const key = this.#header(b0, length);
    this.#advance(header);
    return key;
  }

  /** The frame is whole: in a slab that began in the middle of it, the next one begins here. */
  #endLarge(): void {
    if (this.#boundary === NONE) this.#boundary = this.#pos;
  }

  /** Writes a header at #pos, without moving on. Says the little-endian key, 0 when unmasked. */
  #header(b0: number, length: number): number {
    const bytes = this.#bytes;
    let at = this.#pos;
    if (length < 126) {
      bytes[at] = b0;
      bytes[at + 1] = this.#maskBit | length;
      at += 2;
    } else {
      at = writeHeader(bytes, at, b0, this.#maskBit, length);
    }
    if (this.#keySize === 0) return 0;
    const key = swap(this.#nextKey());
    bytes[at] = key;
    bytes[at + 1] = key >>> 8;
    bytes[at + 2] = key >>> 16;
    bytes[at + 3] = key >>> 24;
    return key;
  }

  #mask(start: number, end: number, key: number): void {
    const n = end - start;
    if (key === 0 || n === 0) return;
    if (this.#address >= 0 && n >= SIMD_FROM) {
      this.#simd!.xor(this.#address + start, this.#address + end, key);
    } else if (n < WORDS_FROM) {
      xorBytes(this.#bytes, start, end, key);
    } else {
      if (this.#words === undefined) {
        this.#words = this.#slab!.words ?? wordsOver(this.#bytes);
        this.#skew = skewOf(this.#bytes);
      }
      xorOwned(this.#bytes, this.#words, this.#skew, start, end, key);
    }
  }

  /** Makes room for `need` more bytes: a larger slab with the same contents, or a fresh one. */
  #grow(need: number): void {
    const old = this.#slab;
    const { length } = this.#bytes;
    if (old === undefined || this.#pos + need > LARGEST) {
      this.#seal();
      this.#lease(Math.max(need, old === undefined ? this.#firstSlab : length));
      return;
    }
    const bytes = this.#bytes;
    this.#lease(this.#pos + need);
    // The whole slab, though less is used: a view would be garbage, and this happens twice in a turn at most.
    this.#bytes.set(bytes);
    old.release();
  }

  /** Goes on in a fresh slab in the middle of a frame. */
  #next(): void {
    this.#seal();
    this.#lease(LARGEST);
    this.#boundary = NONE;
  }

  #lease(bytes: number): void {
    const slab = this.#pool.take(bytes);
    this.#slab = slab;
    this.#bytes = slab.bytes;
    this.#room = slab.bytes.length - this.#pos;
    this.#words = undefined;
    this.#address = -1;
    if (this.#keySize === 0) return;
    this.#simd = simd();
    if (slab.bytes.buffer === this.#simd?.buffer) this.#address = slab.bytes.byteOffset;
  }

  /** Turns what the slab holds into a segment. */
  #seal(): void {
    if (this.#slab === undefined) return;
    if (this.#pos !== 0) {
      const boundary = this.#boundary === NONE ? this.#pos : this.#boundary;
      this.#sealed.push(this.#bytes, 0, this.#pos, boundary, this.#slab.release);
    } else {
      // Leased for a frame that was refused.
      this.#slab.release();
    }
    this.#slab = undefined;
    this.#bytes = NO_BYTES;
    this.#words = undefined;
    this.#address = -1;
    this.#pos = 0;
    this.#room = 0;
    this.#boundary = 0;
  }

  #advance(n: number): void {
    this.#pos += n;
    this.#room -= n;
  }
}

/** Writes `text` when it is ASCII, and says its length; -1 when it is not. */
function writeAscii(bytes: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return -1;
    bytes[at + i] = unit;
  }
  return text.length;
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
