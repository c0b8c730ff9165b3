import { badType, checkCoderOptions, notNegative } from '../arguments.ts';
import { lengthOf, viewOf } from '../byte-facts.ts';
import type { ProtocolError } from '../errors.ts';
import { FrameDecoder } from '../frames/decoder.ts';
import {
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  NEED_MORE,
} from '../frames/decoder-options.ts';
import { moveUnmasked } from '../masking/move-unmasked.ts';
import { MessageBuffers } from '../memory/message-buffers.ts';
import { NO_BYTES, type OwnedBytes, once, type Slab } from '../memory/slab.ts';
import { sharedSlabPool } from '../memory/slab-pool.ts';
import { poolsAreDebugged } from '../pool-guard.ts';
import {
  BinaryMessage,
  CloseMessage,
  ContinuationFrame,
  MAX_CONTROL_PAYLOAD,
  PingMessage,
  TextMessage,
} from '../protocol.ts';
import type { DataType, Extension } from './extension.ts';
import { BufferLeases, Lease } from './lease.ts';
import {
  BORROWED,
  CLOSE,
  DELIVERED,
  IGNORED,
  LEASED,
  MESSAGE,
  type MessageAllocator,
  type MessageCounters,
  type MessageDecoderOptions,
  type MessageEvent,
  OWNED,
  type PayloadMemory,
  type PayloadUse,
  PING,
  PONG,
  SKIPPED,
  STEP,
} from './message-decoder-options.ts';
import { invalidText, MessageRules, reservedBits } from './message-rules.ts';
import { NO_EVENT, NO_MESSAGE, OpenMessage, UNWANTED } from './open-message.ts';
import { UnreadInput } from './unread-input.ts';

/**
 * Turns chunks of frames into messages. It joins fragments, checks text and limits as the bytes
 * arrive, lets control frames through between fragments, and undoes an {@link Extension}.
 *
 * A chunk is lent: the decoder unmasks it in place or while it moves the payload, and after
 * {@link keep} it refers to no byte of it. A message that is whole in its chunk stays there. The
 * payload of any other moves once, into pooled memory that is contiguous over all frames and chunks.
 *
 * ```ts
 * import { CLOSE, MessageDecoder, NEED_MORE } from '@ws/codec';
 *
 * const decoder = new MessageDecoder({ role: 'client', readLimit: 1024 * 1024 });
 * let ended = false;
 *
 * function receive(chunk: Uint8Array): void {
 *   if (ended) return;
 *   decoder.push(chunk);
 *   let event: number;
 *   while (!ended && (event = decoder.next()) > NEED_MORE) {
 *     // Here: messages, and the payloads of control frames. `data()` would be a copy.
 *     const { bytes, start, end } = decoder;
 *     console.log(event, bytes.subarray(start, end));
 *     ended = event === CLOSE;
 *   }
 *   if (decoder.error !== undefined) throw decoder.error;
 * }
 *
 * receive(Uint8Array.of(0x01, 1, 0x68));
 * receive(Uint8Array.of(0x80, 1, 0x69)); // 1 Uint8Array(2) [ 104, 105 ]
 * ```
 *
 * The fields describe the last event and are valid until the next call.
 *
 * @see RFC 6455, sections 5.4 to 5.6, 8.1 and 9
 */
export class MessageDecoder {
  /** Type of the message: `TextMessage` or `BinaryMessage`. */
  type: DataType = BinaryMessage;
  /** The payload of the event is `bytes[start, end)`. Borrowed until the next call. */
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;
  /** Whether the message ends with this piece, after MESSAGE_BEGIN and MESSAGE_DATA. */
  fin = false;
  /** Plain bytes of the message. Of a message under way: the plain bytes so far. */
  length = 0;
  /** The fault of the peer, after FAILED. */
  error: ProtocolError | undefined;
  /** Whether the next message is delivered in pieces, as its bytes arrive. Default false. */
  streaming = false;
  /** Where the payload of the next message is: BORROWED, LEASED or OWNED. */
  memory: PayloadMemory;
  /**
   * When {@link framesIn} reaches this number, `next()` returns STEP after a frame without an event,
   * so that you can give way to other work. Raise it before you continue. Default Infinity.
   */
  stopAt: number = Infinity;

  readonly #frames: FrameDecoder;
  readonly #ownsChunks: boolean;
  /** Whether a borrowed message stays in its chunk. Not while pools are debugged. */
  readonly #lendsChunks: boolean;
  /** The pooled memory of the last message. */
  #lease: Lease | undefined;
  /** Whether {@link bytes} is exactly one message, in memory of the caller. */
  #owned = false;
  /** The payload of a control frame is copied here. Empty until the first one: it has 330 bytes. */
  #control: Uint8Array = NO_BYTES;
  #allocator: MessageAllocator = exact;
  readonly #message: OpenMessage;
  readonly #unread: UnreadInput;
  /** Whether the frame decoder may have unparsed bytes. */
  #pending = false;

  /** @throws TypeError or RangeError that names the unknown or invalid option. */
  constructor(options: MessageDecoderOptions) {
    const {
      role,
      memory = BORROWED,
      pool = sharedSlabPool(),
      buffers,
      readLimit = Infinity,
      maxEmptyFragments = 1024,
      ownsChunks = false,
      isUtf8,
      limitsWire = false,
      checksText = true,
      ...unknown
    } = options;
    checkCoderOptions('MessageDecoder', role, unknown);
    if (memory !== BORROWED && memory !== LEASED && memory !== OWNED) {
      throw new TypeError(`memory: expected BORROWED, LEASED or OWNED, got ${String(memory)}`);
    }
    if (buffers !== undefined && !(buffers instanceof MessageBuffers)) {
      throw badType('buffers: expected a MessageBuffers', buffers);
    }
    notNegative('readLimit', readLimit);
    notNegative('maxEmptyFragments', maxEmptyFragments);
    // With holdLimit 0 data frames are delivered as their bytes arrive. So bad text fails at its
    // first bad byte, and payload moves once.
    this.#frames = new FrameDecoder({ role, pool, unmasks: false }, { holdLimit: 0 });
    const leases = buffers === undefined ? Lease : new BufferLeases(buffers);
    this.#unread = new UnreadInput(this.#frames, leases);
    this.memory = memory;
    this.#ownsChunks = ownsChunks;
    this.#lendsChunks = !poolsAreDebugged();
    const rules = { readLimit, maxEmptyFragments, limitsWire, checksText, isUtf8 };
    this.#message = new OpenMessage(this, this.#frames, new MessageRules(rules), leases);
  }

  /** Longest message in bytes. A change also applies to the message under way. */
  get readLimit(): number {
    return this.#message.rules.limit;
  }

  set readLimit(bytes: number) {
    notNegative('readLimit', bytes);
    this.#message.rules.limit = bytes;
    this.#message.bound();
  }

  /** Sets the extension of the connection. Only between two messages. */
  set extension(extension: Extension | undefined) {
    if (extension !== this.#message.extension) this.#message.useExtension(extension);
  }

  /** Frames that have arrived. */
  get framesIn(): number {
    return this.#message.counters.framesIn;
  }

  /** Whether `next()` may return an event without another chunk. */
  get pending(): boolean {
    return this.#pending || this.#message.transforming;
  }

  /** Whether the stream is between two messages and all input is parsed. */
  get idle(): boolean {
    const { transforming, delivery } = this.#message;
    if (this.#pending || transforming || delivery !== NO_MESSAGE) return false;
    return this.#frames.atFrameBoundary;
  }

  /** Whether a message has begun and not ended, and its rest was not given up by {@link skip}. */
  get withinMessage(): boolean {
    const { delivery, use } = this.#message;
    const isGivenUp = delivery === UNWANTED && use === DELIVERED;
    return delivery !== NO_MESSAGE && !isGivenUp;
  }

  /**
   * The frame of the last event, and after FAILED the one with the fault: its `offset` in the stream,
   * `missing` bytes and header. Only read its fields.
   */
  get frame(): FrameDecoder {
    return this.#frames;
  }

  /** Whether the next step is one of the extension. */
  get transforming(): boolean {
    return this.#message.transforming;
  }

  /** Bytes that are held of the message under way. */
  get assembled(): number {
    return this.#message.held;
  }

  /** Unparsed bytes that arrived while others were unparsed. */
  get waiting(): number {
    return this.#unread.waiting;
  }

  /** The payload of the last event, in memory of the caller: a copy, unless the message is OWNED. */
  data(): OwnedBytes {
    const { bytes, start, end } = this;
    return this.#owned ? (bytes as OwnedBytes) : new Uint8Array(viewOf(bytes, start, end));
  }

  /**
   * The bytes that {@link next} has not read. After CLOSE they belong to the protocol that follows
   * on the same stream, if there is one.
   */
  rest(): OwnedBytes {
    return this.#frames.rest();
  }

  /**
   * Adds `chunk[0, end)`.
   *
   * @param chunk - Lent until {@link next} has returned NEED_MORE while {@link pending} is false, or
   *   until {@link keep}. The decoder may change it.
   */
  push(chunk: Uint8Array, end: number = lengthOf(chunk)): void {
    if (end === 0) return;
    if (this.#pending && this.#frames.unread > 0) {
      this.keep();
      return this.#unread.append(chunk, end);
    }
    // The input of the extension may be in the rest.
    if (this.#message.transforming) this.#message.extension!.keep();
    if (this.#unread.copy !== undefined) this.#unread.release();
    this.#frames.push(chunk, end);
    this.#pending = true;
  }

  /** Ends the loan of the chunk: what is unread is copied. */
  keep(): void {
    if (this.#message.transforming) this.#message.extension!.keep();
    if (this.#pending) this.#unread.keep();
  }

  /**
   * Advances to the next event and sets the fields.
   *
   * @throws Any error of the platform, for example when memory is missing.
   */
  next(): MessageEvent {
    if (this.#lease !== undefined) this.release();
    if (this.error !== undefined) return FAILED;
    const message = this.#message;
    for (;;) {
      let event: MessageEvent;
      if (message.transforming) {
        event = message.step();
        if (message.transforming) return event;
      } else {
        switch (this.#frames.next()) {
          case FRAME:
            event = this.#wholeFrame();
            break;
          case FRAME_BEGIN:
            event = message.frameBegins();
            break;
          case FRAME_DATA:
            event = this.#frameData();
            break;
          case FAILED:
            return message.fail(this.#frames.error);
          case FRAME_END:
            event = NO_EVENT;
            break;
          case NEED_MORE:
            return this.#exhausted();
        }
      }
      if (event !== NO_EVENT) return event;
      if (message.counters.framesIn >= this.stopAt) return STEP;
    }
  }

  /**
   * Takes the pooled memory of the last message, to keep its bytes after the next call: with LEASED each
   * message has such memory, unless it is empty. Call `release` when you are done. A second call has no
   * effect; after `debugPools()` it throws.
   *
   * @returns Undefined for a message in other memory.
   */
  takeLease(): Slab | undefined {
    const lease = this.removeLease();
    return lease && { bytes: lease.bytes, release: once(() => lease.release(), 'lease') };
  }

  /** @internal As {@link takeLease}, for a caller that releases it once: no function is made. */
  removeLease(): Lease | undefined {
    const lease = this.#lease;
    if (lease !== undefined) this.#lease = undefined;
    return lease;
  }

  /** @internal The memory of the next event. {@link next} releases it, unless it is taken. */
  setLease(lease: Lease | undefined): void {
    this.#lease = lease;
  }

  /** @internal Releases the memory of the last message. Call it once the message is copied. */
  release(): void {
    this.#lease?.release();
    this.#lease = undefined;
  }

  /** @internal Drops a chunk that is parsed to its end: another `next()` would return NEED_MORE. */
  releaseParsed(): void {
    if (!this.#pending || this.#message.transforming || !this.#frames.atFrameBoundary) return;
    this.#frames.next();
    this.#exhausted();
  }

  /** All input is parsed. An idle connection holds no memory. */
  #exhausted(): typeof NEED_MORE {
    this.#pending = false;
    this.show(NO_BYTES, 0, 0);
    if (this.#unread.copy !== undefined) this.#unread.release();
    return NEED_MORE;
  }

  /**
   * @internal Delivers the rest of the message under way in pieces.
   *
   * @returns The bytes so far, which the caller owns. Undefined when no message is under way, or it
   *   is not delivered.
   */
  becomePieces(): OwnedBytes | undefined {
    return this.#message.becomePieces();
  }

  /**
   * @internal Delivers a message whole after all that was announced in pieces: no reader has one.
   *
   * @returns Whether it has ended. The fields then describe it, as after MESSAGE.
   */
  becomeWhole(): boolean {
    return this.#message.becomeWhole();
  }

  /** Skips the rest of a message that is delivered in pieces: SKIPPED follows at its end. */
  skip(): void {
    this.#message.skip();
  }

  /** Changes the use of the payload, from DELIVERED to CHECKED_ONLY to IGNORED and never back. */
  setPayloadUse(use: PayloadUse): void {
    this.#message.setUse(use);
  }

  /** @internal The connection has ended: messages under way need no pooled memory from now on. */
  leavePools(): void {
    this.#message.leavePools();
    this.#unread.leavePools();
  }

  /** @internal Begins the work for a connection. The decoder is {@link idle}. */
  lendTo(
    counters: MessageCounters,
    readLimit: number,
    extension: Extension | undefined,
    allocator: MessageAllocator = exact,
  ): void {
    const message = this.#message;
    message.counters = counters;
    if (extension !== message.extension) message.useExtension(extension);
    this.#allocator = allocator;
    message.memory.pooled = true;
    this.#unread.pooled = true;
    if (readLimit !== message.rules.limit) this.readLimit = readLimit;
  }

  /** @internal Ends {@link lendTo}. The decoder is {@link idle}. */
  takeBack(): void {
    const message = this.#message;
    message.counters = NONE_COUNTED;
    // Also bounds frames as without an extension.
    if (message.extension !== undefined) message.useExtension(undefined);
    message.use = DELIVERED;
    this.#allocator = exact;
    this.streaming = false;
  }

  /** Releases all memory and ends parsing. */
  destroy(): void {
    this.release();
    this.error = undefined;
    this.#frames.reset();
    this.#exhausted();
    this.#message.destroy();
  }

  #wholeFrame(): MessageEvent {
    const frames = this.#frames;
    const message = this.#message;
    const { rules, use, counters } = message;
    const { opcode, length } = frames;
    counters.framesIn++;
    if (opcode >= CloseMessage) return this.#controlFrame(opcode);
    const common = frames.fin && opcode !== ContinuationFrame && frames.rsv === 0;
    if (!common || this.streaming || use === IGNORED || length > rules.limit) {
      return message.startFrame() ? message.payload(frames.fin) : FAILED;
    }
    // The straight way of nearly every message: whole, plain, in one piece.
    this.type = opcode as DataType;
    this.length = length;
    const unwanted = use !== DELIVERED && opcode !== TextMessage;
    if (length === 0 || unwanted) {
      this.show(NO_BYTES, 0, 0);
    } else if (this.#ownsChunks || (this.memory === BORROWED && this.#lendsChunks)) {
      frames.unmask();
      const { buf, start, end } = frames;
      this.show(buf, start, end);
      if (opcode === TextMessage && !rules.isText(buf, start, end)) {
        return message.fail(invalidText());
      }
    } else {
      const { buf, start, end } = frames;
      const into = this.#memoryOf(length);
      const ascii = moveUnmasked(into, 0, buf, start, end, frames.key);
      this.show(into, 0, length);
      this.#owned = this.#lease === undefined;
      if (opcode === TextMessage && !ascii && !rules.isText(into, 0, length)) {
        return message.fail(invalidText());
      }
    }
    counters.messagesIn++;
    if (use === DELIVERED) return MESSAGE;
    this.release();
    return SKIPPED;
  }

  #memoryOf(length: number): Uint8Array {
    if (this.memory === OWNED && this.#message.use === DELIVERED) {
      return this.#allocator.allocate(length, this.#frames.unread);
    }
    const lease = this.#message.memory.leases.acquire(length);
    this.#lease = lease;
    return lease.bytes;
  }

  #controlFrame(opcode: number): MessageEvent {
    const { buf, start, end, key, rsv } = this.#frames;
    if (rsv !== 0) return this.#message.fail(reservedBits(rsv));
    if (this.#control === NO_BYTES) this.#control = new Uint8Array(MAX_CONTROL_PAYLOAD);
    moveUnmasked(this.#control, 0, buf, start, end, key);
    this.show(this.#control, 0, end - start);
    if (opcode === CloseMessage) return CLOSE;
    if (opcode !== PingMessage) return PONG;
    this.#message.counters.pingsIn++;
    return PING;
  }

  #frameData(): MessageEvent {
    const frames = this.#frames;
    const complete = frames.missing === 0;
    const message = this.#message;
    // The limit may have been lowered since the frame began.
    const isAllowed = message.use === IGNORED || message.checkLength();
    const event = isAllowed ? message.payload(complete && frames.fin) : FAILED;
    // The end of a frame is not read: no chunk could be pushed.
    if (complete) frames.next();
    return event;
  }

  /** @internal Sets the payload of the event. */
  show(bytes: Uint8Array, start: number, end: number): void {
    // The comparison is cheaper than a store with its write barrier.
    if (this.bytes !== bytes) this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.#owned = false;
  }

  /** @internal Sets the payload of the event: all of `bytes`, which the caller owns. */
  showOwned(bytes: OwnedBytes): void {
    this.show(bytes, 0, bytes.length);
    this.#owned = true;
  }
}

const exact: MessageAllocator = { allocate: (size) => new Uint8Array(size) };

/** The counters of a decoder that has had a connection. */
const NONE_COUNTED: MessageCounters = { framesIn: 0, messagesIn: 0, pingsIn: 0 };
