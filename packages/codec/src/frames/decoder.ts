import { isBytes, lengthOf, viewOf } from '../byte-facts.ts';
import type { ProtocolError } from '../errors.ts';
import { copyRange } from '../masking/copy.ts';
import { checkRange, rotate } from '../masking/mask.ts';
import { NO_BYTES, type OwnedBytes } from '../memory/slab.ts';
import { MAX_CONTROL_PAYLOAD } from '../protocol.ts';
import {
  checkDecoderOptions,
  checkRsv,
  type DecodeEvent,
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  type FrameDecoderOptions,
  type FrameDecoderUse,
  NEED_MORE,
} from './decoder-options.ts';
import { headerSize, length16, length64, readKey } from './header.ts';
import { checkChunk, InputMemory, MAX_TAIL, missingChunk, viewOfChunk } from './input-memory.ts';
import {
  CONTROL_FRAME,
  DATA_FRAME,
  FAULTY,
  FIN,
  firstByteVerdicts,
  frameFault,
  lengthFault,
  MASK,
  overLimit,
  RSV,
} from './rules.ts';
import { Unmasker } from './unmasker.ts';

// The decoder reads the current input, `#bytes[#pos, #inputEnd)`: the pushed chunk, the bytes that
// were read into the memory, or the tail once a chunk continues it.
//
//   AT_HEADER       `#pos` is the first byte of a frame               -> IN_PAYLOAD by FRAME_BEGIN
//   IN_PAYLOAD      #remaining bytes of payload are missing           -> AT_HEADER by FRAME_END
//   IN_TAIL         a chunk has arrived that continues the tail       -> ON_TAIL
//   ON_TAIL         the input is the tail: the bytes of a FRAME event are in the memory, and the
//                   next call frees them                              -> AT_HEADER, IN_PAYLOAD
//   BEGUN           the pool threw before FRAME_BEGIN was reported    -> IN_PAYLOAD by FRAME_BEGIN
//   FAULTED         the peer broke a rule                             -> AT_HEADER by reset()
//
// Invariants: bytes are delivered by the call that unmasks them. No tail in BEGUN and IN_PAYLOAD.
// Only an accepted frame changes #open: before that, its header may be read again.
const AT_HEADER = 0;
const IN_PAYLOAD = 1;
const IN_TAIL = 2;
const ON_TAIL = 3;
const BEGUN = 4;
const FAULTED = 5;

/** Not an event: `next` continues with the header at `#pos`. */
const READ_HEADER = -2;
/** Offset into the table of verdicts while a message is open. */
const OPEN = 256;

/**
 * Parses frames from bytes. The caller pulls events synchronously. The decoder allocates nothing
 * per frame.
 *
 * ```ts
 * import { CloseMessage, FrameDecoder, NEED_MORE } from '@ws/codec';
 *
 * const decoder = new FrameDecoder({ role: 'client' });
 * let ended = false;
 *
 * function receive(chunk: Uint8Array): void {
 *   if (ended) return;
 *   decoder.push(chunk);
 *   while (!ended && decoder.next() > NEED_MORE) {
 *     // A large frame comes in several pieces.
 *     console.log(decoder.opcode, decoder.view());
 *     ended = decoder.opcode === CloseMessage;
 *   }
 *   if (decoder.error !== undefined) throw decoder.error;
 * }
 *
 * receive(Uint8Array.of(0x81, 2, 0x68, 0x69));
 * ```
 *
 * The loop also ends after FAILED, which is below NEED_MORE. All other events are above it.
 *
 * The fields describe the last event. They are valid until the next call of `next`, `push`,
 * `writable`, `commit` or `reset`. The bytes in `buf[start, end)` are valid for the same time, and
 * the caller may write to them.
 *
 * @see RFC 6455, section 5
 */
export class FrameDecoder {
  /** Opcode of the current frame. */
  opcode = 0;
  /** Whether the current frame is the last one of its message. */
  fin = false;
  /** Reserved bits of the current frame, as wire bits: `0x40` RSV1, `0x20` RSV2, `0x10` RSV3. */
  rsv = 0;
  /** Payload length of the current frame in bytes, as its header announces it. */
  length = 0;
  /** The memory that contains the payload, or the current piece of it. Borrowed. */
  buf: Uint8Array = NO_BYTES;
  /** Index of the payload's first byte in {@link buf}. */
  start = 0;
  /** Index after the payload's last byte in {@link buf}. */
  end = 0;
  /**
   * With `unmasks: false` the masking key for the byte at {@link start}: little-endian, so its lowest
   * byte applies to that byte. 0 without a mask, and for bytes that are unmasked.
   */
  key = 0;
  /**
   * Largest payload of a data frame, in bytes. A larger frame fails with close code 1009 as soon as
   * its length is known, before any of its payload is delivered. The value may change at any time
   * and applies from the next header. Infinity: no limit. A value that is not a number, such as NaN
   * or undefined, fails every data frame.
   */
  maxFramePayload: number;
  /**
   * The fault of the peer, after FAILED. When the first two bytes of a frame are the fault, the
   * fields above have their values, {@link length} the 7-bit length.
   */
  error: ProtocolError | undefined = undefined;

  readonly #masked: boolean;
  readonly #maskBit: number;
  #allowedRsv = 0;
  #verdicts = firstByteVerdicts(0);
  readonly #holdLimit: number;
  readonly #unmasks: boolean;
  readonly #memory: InputMemory;
  readonly #unmasker: Unmasker;

  #state = AT_HEADER;
  /**
   * The current input: three fields instead of an object, which made small frames 3 to 4 % slower
   * (Node 20, `pnpm bench codec`).
   */
  #bytes: Uint8Array = NO_BYTES;
  #pos = 0;
  #inputEnd = 0;
  /** Bytes of the stream so far. */
  #arrived = 0;
  /** `OPEN` while a message has begun and not ended: a bit of the index of the verdicts. */
  #open = 0;
  #remaining = 0;
  /** Little-endian key for the next byte of payload. */
  #key = 0;

  /**
   * @throws TypeError for an unknown option or an invalid role, RangeError for a number out of range.
   */
  constructor(options: FrameDecoderOptions);
  /** @internal */
  constructor(options: FrameDecoderOptions, use: FrameDecoderUse);
  constructor(options: FrameDecoderOptions, { holdLimit = MAX_TAIL }: FrameDecoderUse = {}) {
    const given = checkDecoderOptions(options);
    this.maxFramePayload = given.maxFramePayload;
    this.#masked = given.role === 'server';
    this.#maskBit = this.#masked ? MASK : 0;
    this.allowedRsv = given.allowedRsv;
    this.#holdLimit = holdLimit;
    this.#unmasks = given.unmasks;
    this.#memory = new InputMemory(given.pool, given.readBufferSize, this.#masked);
    this.#unmasker = new Unmasker(this.#memory);
  }

  /**
   * The reserved bits of the negotiated extensions, as wire bits. Set it between two messages.
   *
   * @throws RangeError for other bits.
   */
  get allowedRsv(): number {
    return this.#allowedRsv;
  }

  set allowedRsv(bits: number) {
    checkRsv(bits);
    this.#allowedRsv = bits;
    this.#verdicts = firstByteVerdicts(bits);
  }

  /** Whether the stream may end here: no byte of an incomplete frame has arrived. */
  get atFrameBoundary(): boolean {
    if (this.#pos !== this.#inputEnd) return false;
    if (this.#state === AT_HEADER) return this.#memory.size === 0;
    // The whole tail was a frame. Its bytes stay valid until the next call.
    return this.#state === ON_TAIL && this.#memory.unread === 0;
  }

  /** Payload bytes of the current frame that {@link next} has not delivered. */
  get missing(): number {
    return this.#remaining;
  }

  /** Bytes that were pushed and that {@link next} has not read. */
  get unread(): number {
    return this.#inputEnd - this.#pos + this.#memory.unread;
  }

  /**
   * Bytes of the stream before the frame that the fields describe. After FAILED: before the frame with
   * the fault, as in `error.offset`. 0 before the first frame.
   */
  get offset(): number {
    if (this.error !== undefined) return this.error.offset!;
    const header = headerSize(this.length) + (this.#masked ? 4 : 0);
    const payload = this.length - this.#remaining;
    return Math.max(0, this.#parsed() - header - payload);
  }

  /** Bytes of the stream before the next byte that the state describes: a header, or payload. */
  #parsed(): number {
    // The input contains the tail in ON_TAIL.
    const tail = this.#state === ON_TAIL ? 0 : this.#memory.size;
    return this.#arrived - this.unread - tail;
  }

  /** Payload bytes of the current frame that have arrived and that `next` has not delivered. */
  get available(): number {
    return Math.min(this.#remaining, this.#inputEnd - this.#pos);
  }

  /**
   * Accepts the next chunk of the stream. The decoder owns the chunk: it parses and unmasks it in
   * place. Do not touch or reuse the chunk before `next()` has returned NEED_MORE. Ignored after
   * FAILED.
   *
   * @param end - Only `chunk[0, end)` is part of the stream. Default: all of it.
   * @throws TypeError when `chunk` is not a Uint8Array, RangeError when `end` is not inside it,
   *   Error while events of earlier input are pending.
   */
  push(chunk: Uint8Array, end: number = isBytes(chunk) ? lengthOf(chunk) : 0): void {
    checkRange(chunk, 0, end);
    if (!this.#ready()) return;
    this.#arrived += end;
    if (this.#memory.size === 0) {
      this.#setInput(chunk, 0, end);
    } else {
      this.#memory.setChunk(chunk, 0, end);
      this.#state = IN_TAIL;
    }
  }

  /**
   * Returns memory into which a transport reads before it calls {@link commit}. The view object
   * stays the same until a read fills it. The next call then returns a larger one, up to about 60
   * KiB. The decoder keeps the memory until {@link reset}.
   *
   * A loop that stops at a close frame may leave events pending for good. Do not call this method
   * after that. The option `onread` of `net.connect` calls its `buffer` after every read, also when
   * the callback returned false: return the last view again.
   *
   * @throws Error while events of earlier input are pending: their bytes may be in this memory.
   */
  writable(): Uint8Array {
    this.#ready();
    return this.#memory.writable();
  }

  /**
   * Accepts the `n` bytes of the stream that were written to the start of the last {@link
   * writable}.
   *
   * @throws RangeError when `n` is not an integer from 0 to that view's length, Error while events
   *   of earlier input are pending.
   */
  commit(n: number): void {
    if (!(Number.isInteger(n) && n >= 0)) throw new RangeError('n must be an integer of 0 or more');
    if (!this.#ready()) return;
    const memory = this.#memory;
    memory.landed(n);
    this.#arrived += n;
    this.#setInput(memory.bytes, memory.base - memory.size, memory.base + n);
    memory.size = 0;
  }

  /**
   * Advances to the next event and sets the fields.
   *
   * @returns NEED_MORE, FRAME, FRAME_BEGIN, FRAME_DATA, FRAME_END or FAILED.
   * @throws TypeError when the buffer of the chunk was detached or has shrunk.
   */
  next(): DecodeEvent {
    if (this.#state !== AT_HEADER) {
      const event = this.#resume();
      if (event !== READ_HEADER) return event;
    }
    // The code below reads one header, and its payload when the payload is whole. All of it is in
    // this method: a call that is not inlined costs a tenth of a small frame.
    const bytes = this.#bytes;
    const pos = this.#pos;
    const inputEnd = this.#inputEnd;
    if (inputEnd - pos < 2) return this.#keepTail(2);

    const b0 = bytes[pos]!;
    const b1 = bytes[pos + 1];
    if (b1 === undefined) throw missingChunk(bytes);
    const verdict = this.#verdicts[this.#open | b0]!;
    let length = b1 & 0x7f;
    if (
      verdict === FAULTY ||
      (b1 & MASK) !== this.#maskBit ||
      (verdict === CONTROL_FRAME && length > MAX_CONTROL_PAYLOAD)
    ) {
      return this.#failByRules(b0, b1);
    }

    let at = pos + 2;
    if (length < 126) {
      // Not `length > limit`: a limit that is not a number fails closed.
      if (!(length <= this.maxFramePayload) && verdict === DATA_FRAME) {
        return this.#fail(overLimit(this.maxFramePayload));
      }
    } else if (length === 126) {
      if (inputEnd - at < 2) return this.#judgeLength(at, 2);
      length = length16(bytes, at);
      if (length < 126 || !(length <= this.maxFramePayload)) return this.#judgeLength(at, 2);
      at += 2;
    } else {
      // A 64-bit length is read in another method, so that every number here stays a small integer.
      return this.#readHugeFrame(b0);
    }

    let key = 0;
    if (this.#masked) {
      if (inputEnd - at < 4) return this.#keepTail(at + 4 - pos);
      key = readKey(bytes, at);
      at += 4;
    }

    const end = at + length;
    if (end > inputEnd) {
      // RFC 6455, section 5.4: a control frame may come between fragments. A control frame is
      // short, so the decoder always holds it until it is whole.
      if (verdict === CONTROL_FRAME || end - pos <= this.#holdLimit) {
        return this.#keepTail(end - pos);
      }
      return this.#beginFrame(b0, length, at, key);
    }
    // The last byte, of the payload or of the header: a chunk that has shrunk lacks it.
    if (bytes[end - 1] === undefined) throw missingChunk(bytes);
    this.opcode = b0 & 0x0f;
    this.fin = b0 >= FIN;
    this.rsv = b0 & RSV;
    this.length = length;
    if (verdict === DATA_FRAME) this.#open = b0 >= FIN ? 0 : OPEN;
    if (!this.#unmasks) this.key = key;
    else if (key !== 0) this.#unmasker.unmask(bytes, at, end, inputEnd, key);
    // The comparison avoids most stores: storing an object costs a write barrier, and most frames
    // are in the same chunk as the frame before.
    if (this.buf !== bytes) this.buf = bytes;
    this.start = at;
    this.end = end;
    this.#pos = end;
    return FRAME;
  }

  /**
   * The payload of the current frame, or the current piece of it, unmasked.
   *
   * @returns A borrowed view of `buf[start, end)`, a plain Uint8Array also when a Buffer was pushed.
   *   Valid until the next call of `next`, `push`, `writable`, `commit` or `reset`.
   */
  view(): Uint8Array {
    const { buf, start, end } = this;
    return viewOf(buf, start, end);
  }

  /** With `unmasks: false`: unmasks the current payload, or the current piece of it, in place. */
  unmask(): void {
    const { buf, start, end, key } = this;
    if (key !== 0) this.#unmasker.unmask(buf, start, end, this.#inputEnd, key);
    this.key = 0;
  }

  /** As {@link view}, but a copy in new memory, which the caller owns. */
  copy(): OwnedBytes {
    return new Uint8Array(this.view());
  }

  /**
   * The bytes that were pushed and that {@link next} has not read. After a close frame they belong
   * to the protocol that follows on the same stream, if there is one. Before that they are the start
   * of the next frames; the rest of a payload is still masked. Empty after FAILED.
   *
   * @returns A copy, which the caller owns. The decoder keeps the bytes.
   * @throws As {@link next}.
   */
  rest(): OwnedBytes {
    const input = viewOfChunk(this.#bytes, this.#pos, this.#inputEnd);
    // The input is the tail in ON_TAIL.
    return this.#memory.joined(this.#state !== ON_TAIL, input);
  }

  /**
   * Moves the {@link unread} bytes to the start of `memory`, which replaces the chunk. The memory is
   * the caller's: it must stay valid until `next()` returns NEED_MORE. The bytes of the last event
   * are no longer valid.
   *
   * @throws RangeError when `memory` is too small; as {@link next}.
   */
  moveInput(memory: Uint8Array): void {
    if (this.#state === ON_TAIL) this.#endTail(AT_HEADER);
    const held = this.#memory;
    const inTail = held.unread > 0;
    const rest = inTail ? held.rest : viewOfChunk(this.#bytes, this.#pos, this.#inputEnd);
    memory.set(rest);
    if (inTail) held.setChunk(memory, 0, rest.length);
    else this.#setInput(memory, 0, rest.length);
  }

  /**
   * Appends `chunk[0, end)` to the unread bytes in the `memory` of {@link moveInput}.
   *
   * @returns False, without a change, when they do not fit in.
   */
  appendInput(memory: Uint8Array, chunk: Uint8Array, end: number): boolean {
    const held = this.#memory;
    const inTail = held.chunkEnd > 0;
    const at = inTail ? held.chunkEnd : this.#inputEnd;
    if (at + end > memory.length) return false;
    copyRange(memory, chunk, 0, end, at);
    this.#arrived += end;
    if (inTail) {
      held.chunkEnd = at + end;
    } else {
      // The input may be a view of the first bytes: of an earlier tail.
      this.#bytes = memory;
      this.#inputEnd = at + end;
    }
    return true;
  }

  /**
   * Restores the state after construction: nothing is pending, there is no error, no memory is
   * held.
   */
  reset(): void {
    this.#dropInput();
    this.#state = AT_HEADER;
    this.#open = this.#remaining = this.#arrived = this.length = 0;
    this.error = undefined;
    // Last: the pool's release function may throw.
    this.#memory.release();
  }

  /** Returns the next event, or READ_HEADER when `#pos` is at a header now. */
  #resume(): DecodeEvent | typeof READ_HEADER {
    switch (this.#state) {
      case IN_PAYLOAD:
        return this.#readPayload();
      case IN_TAIL:
        return this.#readTail();
      case ON_TAIL:
        this.#endTail(AT_HEADER);
        return READ_HEADER;
      case BEGUN:
        this.#state = IN_PAYLOAD;
        return FRAME_BEGIN;
      default:
        return FAILED;
    }
  }

  /**
   * Reads a data frame with a 64-bit length. The event is FRAME only when the input contains
   * the whole payload.
   */
  #readHugeFrame(b0: number): DecodeEvent {
    const bytes = this.#bytes;
    const pos = this.#pos;
    const inputEnd = this.#inputEnd;
    let at = pos + 2;
    if (inputEnd - at < 8) return this.#judgeLength(at, 8);
    const length = length64(bytes, at);
    if (length < 65536 || !(length <= this.maxFramePayload) || length > Number.MAX_SAFE_INTEGER) {
      return this.#judgeLength(at, 8);
    }
    at += 8;
    let key = 0;
    if (this.#masked) {
      if (inputEnd - at < 4) return this.#keepTail(at + 4 - pos);
      key = readKey(bytes, at);
      at += 4;
    }
    this.#beginFrame(b0, length, at, key);
    if (inputEnd - at < length) return FRAME_BEGIN;
    this.#readPayload();
    this.#state = AT_HEADER;
    return FRAME;
  }

  #beginFrame(b0: number, length: number, at: number, key: number): DecodeEvent {
    checkChunk(this.#bytes, this.#inputEnd);
    this.opcode = b0 & 0x0f;
    this.fin = b0 >= FIN;
    this.rsv = b0 & RSV;
    this.length = length;
    this.#open = this.fin ? 0 : OPEN;
    this.#remaining = length;
    this.#key = key;
    this.#pos = at;
    this.#show(NO_BYTES, 0, 0);
    if (this.#state === ON_TAIL) this.#endTail(BEGUN);
    this.#state = IN_PAYLOAD;
    return FRAME_BEGIN;
  }

  #readPayload(): DecodeEvent {
    if (this.#remaining === 0) {
      this.#state = AT_HEADER;
      this.#show(NO_BYTES, 0, 0);
      return FRAME_END;
    }
    const bytes = this.#bytes;
    const pos = this.#pos;
    const inputEnd = this.#inputEnd;
    const n = this.available;
    if (n === 0) {
      this.#dropInput();
      return NEED_MORE;
    }
    checkChunk(bytes, inputEnd);
    if (!this.#unmasks) this.key = this.#key;
    else if (this.#key !== 0) this.#unmasker.unmask(bytes, pos, pos + n, inputEnd, this.#key);
    this.#show(bytes, pos, pos + n);
    this.#pos = pos + n;
    this.#remaining -= n;
    this.#key = rotate(this.#key, n);
    return FRAME_DATA;
  }

  /** Adds bytes of the chunk to the frame in the tail. The tail becomes the input. */
  #readTail(): typeof READ_HEADER {
    const memory = this.#memory;
    memory.fill();
    this.#setInput(memory.bytes, memory.base - memory.size, memory.base);
    this.#state = ON_TAIL;
    return READ_HEADER;
  }

  /**
   * Frees the memory of the tail. The rest of the chunk is the input, in `state`.
   */
  #endTail(state: typeof AT_HEADER | typeof BEGUN): void {
    const held = this.#memory;
    this.#setInput(held.chunk, held.chunkPos, held.chunkEnd);
    held.dropChunk();
    this.#state = state;
    // Last: the pool's release function may throw.
    this.#memory.clear();
  }

  /**
   * No whole frame is left: its bytes so far become the tail, and the chunk is dropped. A tail that
   * lacks bytes takes them of the chunk first.
   */
  #keepTail(need: number): DecodeEvent {
    if (this.#state === AT_HEADER) {
      this.#memory.keep(this.#bytes, this.#pos, this.#inputEnd, need);
    } else if (this.#memory.canGrow(need)) {
      this.#state = IN_TAIL;
      return this.next();
    }
    this.#state = AT_HEADER;
    this.#dropInput();
    return NEED_MORE;
  }

  /**
   * Whether input is accepted; false after FAILED.
   * @throws Error while events are pending.
   */
  #ready(): boolean {
    if (this.#state === FAULTED) return false;
    const isEnded = this.#state === IN_PAYLOAD && this.#remaining === 0;
    if (this.unread > 0 || isEnded || this.#state === BEGUN) {
      throw new Error('events are pending: call next() until it returns NEED_MORE');
    }
    if (this.#state === ON_TAIL) {
      this.#memory.dropChunk();
      this.#memory.clear();
    }
    if (this.#state !== IN_PAYLOAD) this.#state = AT_HEADER;
    return true;
  }

  /** The extended length is incomplete or invalid. Fails when no further byte can make it valid. */
  #judgeLength(at: number, size: 2 | 8): DecodeEvent {
    checkChunk(this.#bytes, this.#inputEnd);
    const end = Math.min(this.#inputEnd, at + size);
    const bad = lengthFault(this.#bytes, at, end, size, this.maxFramePayload);
    if (bad !== undefined) return this.#fail(bad);
    return this.#keepTail(at + size - this.#pos);
  }

  #failByRules(b0: number, b1: number): DecodeEvent {
    this.opcode = b0 & 0x0f;
    this.fin = b0 >= FIN;
    this.rsv = b0 & RSV;
    this.length = b1 & 0x7f;
    return this.#fail(frameFault(b0, b1, this.#masked, this.#allowedRsv, this.#open !== 0));
  }

  #fail(error: ProtocolError): DecodeEvent {
    error.offset = this.#parsed();
    this.#dropInput();
    this.#state = FAULTED;
    this.error = error;
    // Last: the pool's release function may throw. The memory for {@link writable} stays: a read
    // into it may be in progress.
    this.#memory.clear();
    return FAILED;
  }

  #setInput(bytes: Uint8Array, pos: number, inputEnd: number): void {
    this.#bytes = bytes;
    this.#pos = pos;
    this.#inputEnd = inputEnd;
    this.#unmasker.forget();
  }

  /** Nothing is left of the input, and no event describes a payload. */
  #dropInput(): void {
    this.#memory.dropChunk();
    this.#setInput(NO_BYTES, 0, 0);
    this.#show(NO_BYTES, 0, 0);
  }

  #show(buf: Uint8Array, start: number, end: number): void {
    this.buf = buf;
    this.start = start;
    this.end = end;
  }
}
