import { Assembly } from './assembly.ts';
import {
  type DecodeEvent,
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  NEED_MORE,
} from './decode-event.ts';
import { decoderOptions, type FrameDecoderOptions } from './decoder-options.ts';
import { ProtocolError } from './errors.ts';
import { length16, length64 } from './header.ts';
import {
  checkRange,
  rotate,
  SHORT_FRAME,
  SHORT_FRAMES_AHEAD,
  SIMD_FROM,
  STAGE_FROM,
  skewOf,
  VIEW_AHEAD,
  WORDS_FROM,
  wordsOver,
  xorBytes,
  xorOwned,
} from './mask.ts';
import { ReceiveRing } from './ring.ts';
import {
  CONTROL_FRAME,
  DATA_FRAME,
  FAULTY,
  FIN,
  firstByteVerdicts,
  frameFaults,
  lengthFault,
  MASK,
  overLimit,
  RSV,
} from './rules.ts';
import { type Simd, simd } from './simd.ts';

const EMPTY = new Uint8Array(0);

// The decoder walks over a cursor: #bytes[#pos, #lim). It is the chunk that was pushed, the bytes that landed in the
// ring, or, for a moment, the ring's tail.
//
//   IN_HEADER  at a frame's first byte                  -> IN_BODY after FRAME_BEGIN
//   IN_BODY    #remaining bytes of payload are to come  -> IN_HEADER after FRAME_END
//   IN_TAIL    a frame began in the ring and goes on in the chunk set aside: the tail is filled up, byte by byte of
//              its header, then to its end -> LENT, or IN_BODY when it is too large to hold
//   LENT       the frame delivered last lies in the ring: cleared at the next call -> IN_HEADER in the chunk
//   DEAD       a rule was broken                        -> IN_HEADER by reset()
//
// Never true: bytes unmasked that are not delivered; a tail while IN_BODY; #open changed by a frame that is not
// accepted yet (its header may be read again).
const IN_HEADER = 0;
const IN_BODY = 1;
const IN_TAIL = 2;
const LENT = 3;
const DEAD = 4;

/** Offset into the table of verdicts while a message is open. */
const OPEN = 256;
/** The cursor does not lie in the SIMD memory, or nobody has looked yet. */
const FOREIGN = -1;

/**
 * Bytes in, frames out: synchronous, pulled, nothing allocated for a frame.
 *
 * ```ts
 * import { FAILED, FRAME, FrameDecoder, NEED_MORE } from '@ws/codec';
 *
 * const decoder = new FrameDecoder({ role: 'client' });
 * decoder.push(Uint8Array.of(0x81, 2, 0x68, 0x69));
 * for (let event = decoder.next(); event !== NEED_MORE; event = decoder.next()) {
 *   if (event === FAILED) throw decoder.error;
 *   if (event === FRAME) console.log(decoder.opcode, decoder.buf.subarray(decoder.start, decoder.end));
 * }
 * ```
 *
 * The fields tell about the last event and hold until the next call of `next`, `push`, `writable`, `commit` or
 * `reset`; so do the bytes in `buf[start, end)`, which may be written to until then.
 *
 * @see RFC 6455, section 5
 */
export class FrameDecoder {
  /** Opcode of the current frame. */
  opcode = 0;
  /** Whether it is the last frame of its message. */
  fin = false;
  /** Its reserved bits as they stand on the wire: `0x40` RSV1, `0x20` RSV2, `0x10` RSV3. */
  rsv = 0;
  /** Its announced payload length in bytes. */
  length = 0;
  /** The memory in which the payload, or the piece of it, lies. */
  buf: Uint8Array = EMPTY;
  /** Index of its first byte in {@link buf}. */
  start = 0;
  /** Index after its last byte. */
  end = 0;
  /**
   * A data frame that announces more bytes than this fails at once with 1009, before any of its payload has come.
   * May be changed at any time; it holds from the next header on. Infinity: no limit.
   */
  maxFramePayload: number;
  /** What the peer did wrong, after FAILED. */
  error: ProtocolError | undefined = undefined;

  readonly #masked: boolean;
  readonly #maskBit: number;
  readonly #allowedRsv: number;
  readonly #verdicts: Uint8Array;
  readonly #holdLimit: number;
  readonly #ring: ReceiveRing;
  readonly #useSimd: boolean;
  #simd: Simd | undefined = undefined;

  #state = IN_HEADER;
  #open = 0;
  /** Size the tail must reach before it is worth a look. */
  #need = 0;
  /** The cursor is the tail. */
  #filling = false;
  #remaining = 0;
  /** Little-endian key for the next byte of payload. */
  #key = 0;

  #bytes: Uint8Array = EMPTY;
  #pos = 0;
  #lim = 0;
  #words: BigInt64Array | undefined = undefined;
  #skew = 0;
  /** The cursor's place in the SIMD memory, or FOREIGN. */
  #address = FOREIGN;
  #aside: Uint8Array = EMPTY;
  #asidePos = 0;

  readonly #assembly = new Assembly();

  /** @throws TypeError for a bad role, RangeError for a number out of range. */
  constructor(options: FrameDecoderOptions) {
    const known = decoderOptions(options);
    const { allowedRsv } = known;
    this.maxFramePayload = known.maxFramePayload;
    this.#masked = known.role === 'server';
    this.#maskBit = this.#masked ? MASK : 0;
    this.#allowedRsv = allowedRsv;
    this.#verdicts = firstByteVerdicts(allowedRsv);
    this.#holdLimit = known.holdLimit;
    this.#ring = new ReceiveRing(known.pool, known.readBufferSize);
    this.#useSimd = known.simd;
  }

  /** True when no byte of an unfinished frame has come: where a stream may end. */
  get atFrameBoundary(): boolean {
    return this.#state === IN_HEADER && this.#pos === this.#lim && this.#ring.size === 0;
  }

  /**
   * Gives the decoder a chunk of the stream. The chunk is given away: it is parsed and unmasked in place, and must not
   * be touched or reused until `next()` has said NEED_MORE. Ignored after FAILED.
   *
   * @throws TypeError when `chunk` is no Uint8Array, Error while events of earlier input are pending.
   */
  push(chunk: Uint8Array): void {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('chunk must be a Uint8Array');
    if (!this.#ready()) return;
    if (this.#ring.size === 0) {
      this.#point(chunk, 0, chunk.length);
    } else {
      this.#aside = chunk;
      this.#asidePos = 0;
      this.#state = IN_TAIL;
    }
  }

  /**
   * Where a transport may read to directly, before it calls {@link commit}. Always the same view object, until a read
   * has filled it: then the next call gives a larger one, up to about 60 KiB. Held until {@link reset}.
   *
   * @throws Error while events of earlier input are pending, which may lie in that very memory.
   */
  writable(): Uint8Array {
    this.#ready();
    return this.#ring.writable();
  }

  /**
   * Says that `n` bytes of the stream have been written to the start of the last {@link writable}.
   *
   * @throws RangeError when `n` is no integer from 0 to that view's length, Error while events of earlier input are
   *   pending.
   */
  commit(n: number): void {
    if (!(Number.isInteger(n) && n >= 0)) throw new RangeError('n must be an integer of 0 or more');
    if (!this.#ready()) return;
    const ring = this.#ring;
    ring.landed(n);
    this.#point(ring.bytes, ring.base - ring.size, ring.base + n);
    ring.size = 0;
  }

  /**
   * Advances to the next event and sets the fields.
   *
   * @returns NEED_MORE, FRAME, FRAME_BEGIN, FRAME_DATA, FRAME_END or FAILED.
   * @throws RangeError when a payload goes on and the target of {@link assembleInto} is full.
   */
  next(): DecodeEvent {
    if (this.#state !== IN_HEADER) return this.#goOn();
    // One walk over a header, and over the payload when it is whole. Here and not in a method of its own: a call that
    // is not inlined is a tenth of what a small frame costs.
    const bytes = this.#bytes;
    const pos = this.#pos;
    const lim = this.#lim;
    if (lim - pos < 2) return this.#wait(2);

    const b0 = bytes[pos]!;
    const b1 = bytes[pos + 1]!;
    const verdict = this.#verdicts[this.#open | b0]!;
    let length = b1 & 0x7f;
    if (
      verdict === FAULTY ||
      (b1 & MASK) !== this.#maskBit ||
      (verdict === CONTROL_FRAME && length > 125)
    ) {
      return this.#failByRules(b0, b1);
    }

    let at = pos + 2;
    if (length < 126) {
      if (length > this.maxFramePayload && verdict === DATA_FRAME) return this.#failOverLimit();
    } else if (length === 126) {
      if (lim - at < 2) return this.#waitForLength(at, 2);
      length = length16(bytes, at);
      if (length < 126 || length > this.maxFramePayload) return this.#waitForLength(at, 2);
      at += 2;
    } else {
      // Of its own, so that every number on this walk stays a small integer.
      return this.#readHugeFrame(b0);
    }

    let key = 0;
    if (this.#masked) {
      if (lim - at < 4) return this.#wait(at + 4 - pos);
      key = readKey(bytes, at);
      at += 4;
    }

    const end = at + length;
    if (end > lim) {
      // 5.4: a control frame stands between fragments and is short, so it is always held.
      if (verdict === CONTROL_FRAME || end - pos <= this.#holdLimit) return this.#wait(end - pos);
      return this.#begin(b0, length, at, key);
    }
    this.opcode = b0 & 0x0f;
    this.fin = b0 >= FIN;
    this.rsv = b0 & RSV;
    this.length = length;
    if (verdict === DATA_FRAME) this.#open = b0 >= FIN ? 0 : OPEN;
    if (key !== 0) this.#unmask(at, end, key);
    // Asked first: storing an object costs a write barrier, and mostly it is the same chunk as before.
    if (this.buf !== bytes) this.buf = bytes;
    this.start = at;
    this.end = end;
    this.#pos = end;
    return FRAME;
  }

  /**
   * After FRAME_BEGIN or FRAME_DATA: what follows of this frame's payload is copied to `target`, from index `at` on,
   * and unmasked there; `buf`, `start` and `end` of FRAME_DATA then name the piece in `target`. A piece never exceeds
   * the room in `target`: call again with another one when it is full. Forgotten at FRAME_END. `target` is the
   * caller's, who may take it from {@link MessageBuffers}: in the SIMD memory unmasking is several times as fast.
   *
   * @throws TypeError, RangeError when `at` is not inside `target`; Error when no frame is under way.
   */
  assembleInto(target: Uint8Array, at: number): void {
    checkRange(target, at, target.length);
    if (this.#state !== IN_BODY) throw new Error('assembleInto: no frame is under way');
    this.#assembly.begin(target, at, this.#masked && this.#useSimd ? simd() : undefined);
  }

  /** Takes {@link assembleInto} back: what follows of the frame is delivered where it lies. */
  deliverInPlace(): void {
    this.#assembly.forget();
  }

  /** Back to the state at birth: nothing pending, no error, no memory held. */
  reset(): void {
    this.#ring.release();
    this.#assembly.forget();
    this.#point(EMPTY, 0, 0);
    this.#aside = EMPTY;
    this.#state = IN_HEADER;
    this.#open = 0;
    this.#remaining = 0;
    this.error = undefined;
    this.#show(EMPTY, 0, 0);
  }

  /** The next event where no header is to be read first. */
  #goOn(): DecodeEvent {
    if (this.#state === IN_BODY) return this.#readBody();
    if (this.#state === DEAD) return FAILED;
    if (this.#state === IN_TAIL) return this.#fillTail();
    // LENT
    this.#ring.clear();
    this.#takeAside(IN_HEADER);
    return this.next();
  }

  /** A data frame with a 64-bit length: always delivered in pieces, unless its payload is there. */
  #readHugeFrame(b0: number): DecodeEvent {
    const bytes = this.#bytes;
    const pos = this.#pos;
    let at = pos + 2;
    if (this.#lim - at < 8) return this.#waitForLength(at, 8);
    const length = length64(bytes, at);
    if (length < 65536 || length > this.maxFramePayload || length > Number.MAX_SAFE_INTEGER) {
      return this.#waitForLength(at, 8);
    }
    at += 8;
    let key = 0;
    if (this.#masked) {
      if (this.#lim - at < 4) return this.#wait(at + 4 - pos);
      key = readKey(bytes, at);
      at += 4;
    }
    this.#begin(b0, length, at, key);
    if (this.#lim - at < length) return FRAME_BEGIN;
    this.#readBody();
    this.#state = IN_HEADER;
    return FRAME;
  }

  #begin(b0: number, length: number, at: number, key: number): DecodeEvent {
    this.opcode = b0 & 0x0f;
    this.fin = b0 >= FIN;
    this.rsv = b0 & RSV;
    this.length = length;
    this.#open = this.fin ? 0 : OPEN;
    this.#remaining = length;
    this.#key = key;
    this.#pos = at;
    this.#state = IN_BODY;
    this.#show(EMPTY, 0, 0);
    return FRAME_BEGIN;
  }

  #readBody(): DecodeEvent {
    if (this.#remaining === 0) {
      this.#state = IN_HEADER;
      this.#assembly.forget();
      this.#show(EMPTY, 0, 0);
      return FRAME_END;
    }
    const pos = this.#pos;
    let n = Math.min(this.#remaining, this.#lim - pos);
    if (n === 0) {
      this.#point(EMPTY, 0, 0);
      this.#show(EMPTY, 0, 0);
      return NEED_MORE;
    }
    const assembly = this.#assembly;
    if (assembly.active) {
      n = Math.min(n, assembly.room);
      if (n === 0) throw new RangeError('the target of assembleInto is full');
      const ring = this.#ring;
      const landing = this.#bytes === ring.bytes ? ring.landingAt(pos, pos + n) : undefined;
      assembly.append(this.#bytes, pos, pos + n, landing, this.#key);
      this.#show(assembly.target, assembly.at - n, assembly.at);
    } else {
      if (this.#key !== 0) this.#unmask(pos, pos + n, this.#key);
      this.#show(this.#bytes, pos, pos + n);
    }
    this.#pos = pos + n;
    this.#remaining -= n;
    this.#key = rotate(this.#key, n);
    return FRAME_DATA;
  }

  /** Unmasks the cursor's `[start, end)` with the kernel that fits. */
  #unmask(start: number, end: number, key: number): void {
    const n = end - start;
    if (this.#words !== undefined && n >= WORDS_FROM && n < STAGE_FROM) {
      xorOwned(this.#bytes, this.#words, this.#skew, start, end, key);
    } else if (this.#address >= 0 && n >= SIMD_FROM) {
      this.#simd!.xor(this.#address + start, this.#address + end, key);
    } else if (
      n < WORDS_FROM ||
      this.#lim - start < (n < SHORT_FRAME ? SHORT_FRAMES_AHEAD : VIEW_AHEAD)
    ) {
      xorBytes(this.#bytes, start, end, key);
    } else {
      this.#unmaskAfterLook(start, end, key);
    }
  }

  /** The same, when it is not known yet where the bytes lie, or there is no view yet. */
  #unmaskAfterLook(start: number, end: number, key: number): void {
    const bytes = this.#bytes;
    const n = end - start;
    const fast = this.#useSimd ? simd() : undefined;
    this.#simd = fast;
    if (fast !== undefined && bytes.buffer === fast.buffer) {
      this.#address = bytes.byteOffset;
      fast.xor(this.#address + start, this.#address + end, key);
    } else if (fast !== undefined && n >= STAGE_FROM) {
      fast.xorForeign(bytes, start, end, key);
    } else {
      if (this.#words === undefined) {
        this.#words = bytes === this.#ring.bytes ? this.#ring.words : wordsOver(bytes);
        this.#skew = skewOf(bytes);
      }
      xorOwned(bytes, this.#words, this.#skew, start, end, key);
    }
  }

  /** At NEED_MORE: what is left of the cursor goes to the ring, and the chunk is let go. */
  #keepTail(): void {
    const start = this.#pos;
    const end = this.#lim;
    const ring = this.#ring;
    if (start !== end) {
      if (this.#bytes === ring.bytes) ring.keep(start, end);
      else ring.append(this.#bytes, start, end, this.#need);
    }
    this.#point(EMPTY, 0, 0);
    this.#show(EMPTY, 0, 0);
  }

  /** The tail gets what it lacks from the chunk set aside, until it says something or the chunk is used up. */
  #fillTail(): DecodeEvent {
    const ring = this.#ring;
    const chunk = this.#aside;
    for (;;) {
      const missing = this.#need - ring.size;
      const n = Math.min(missing, chunk.length - this.#asidePos);
      ring.append(chunk, this.#asidePos, this.#asidePos + n, this.#need);
      this.#asidePos += n;
      if (n < missing) {
        this.#aside = EMPTY;
        this.#state = IN_HEADER;
        this.#show(EMPTY, 0, 0);
        return NEED_MORE;
      }
      this.#point(ring.bytes, ring.base - ring.size, ring.base);
      this.#state = IN_HEADER;
      this.#filling = true;
      const event = this.next();
      this.#filling = false;
      if (event === FRAME) {
        this.#state = LENT;
        return FRAME;
      }
      if (event === FRAME_BEGIN) {
        ring.clear();
        this.#takeAside(IN_BODY);
        return FRAME_BEGIN;
      }
      if (event === FAILED) return FAILED;
      this.#state = IN_TAIL;
      this.#point(EMPTY, 0, 0);
    }
  }

  #takeAside(state: number): void {
    this.#point(this.#aside, this.#asidePos, this.#aside.length);
    this.#aside = EMPTY;
    this.#state = state;
  }

  /** True when input may come; throws when it may not yet; false when it is of no use any more. */
  #ready(): boolean {
    if (this.#state === DEAD) return false;
    const ended = this.#state === IN_BODY && this.#remaining === 0;
    if (this.#pos < this.#lim || this.#asidePos < this.#aside.length || ended) {
      throw new Error('events are pending: call next() until it says NEED_MORE');
    }
    if (this.#state === LENT) this.#ring.clear();
    if (this.#state !== IN_BODY) this.#state = IN_HEADER;
    return true;
  }

  /** The frame is not whole: its bytes so far become the tail, if they are not the tail already. */
  #wait(need: number): DecodeEvent {
    // Asked again with nothing new: what the tail in the ring needs is known already.
    if (this.#pos === this.#lim && this.#ring.size > 0 && !this.#filling) return NEED_MORE;
    this.#need = need;
    if (!this.#filling) this.#keepTail();
    return NEED_MORE;
  }

  /** The length is not whole, or looks bad: fails when no further byte can mend it. */
  #waitForLength(at: number, size: 2 | 8): DecodeEvent {
    const lim = Math.min(this.#lim, at + size);
    const bad = lengthFault(this.#bytes, at, lim, size, this.maxFramePayload);
    if (bad !== undefined) return this.#fail(bad.closeCode, [bad.fault]);
    return this.#wait(this.#lim - this.#pos + 1);
  }

  #failByRules(b0: number, b1: number): DecodeEvent {
    const open = this.#open !== 0;
    return this.#fail(1002, frameFaults(b0, b1, this.#masked, this.#allowedRsv, open));
  }

  #failOverLimit(): DecodeEvent {
    const { closeCode, fault } = overLimit(this.maxFramePayload);
    return this.#fail(closeCode, [fault]);
  }

  #fail(closeCode: number, faults: readonly string[]): DecodeEvent {
    // The landing place stays: a read may be under way into it.
    this.#ring.clear();
    this.#point(EMPTY, 0, 0);
    this.#aside = EMPTY;
    this.#show(EMPTY, 0, 0);
    this.#state = DEAD;
    this.error = new ProtocolError(closeCode, faults);
    return FAILED;
  }

  #point(bytes: Uint8Array, pos: number, lim: number): void {
    this.#bytes = bytes;
    this.#pos = pos;
    this.#lim = lim;
    this.#words = undefined;
    this.#address = FOREIGN;
  }

  #show(buf: Uint8Array, start: number, end: number): void {
    this.buf = buf;
    this.start = start;
    this.end = end;
  }
}

/** The masking key at `at`, little-endian, as the kernels want it. */
function readKey(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}
