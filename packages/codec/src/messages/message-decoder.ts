import { checkCoderOptions, notNegative } from '../arguments.ts';
import { ProtocolError } from '../errors.ts';
import { FrameDecoder } from '../frames/decoder.ts';
import {
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  NEED_MORE,
} from '../frames/decoder-options.ts';
import { xorAnywhere } from '../masking/mask.ts';
import { moveUnmasked } from '../masking/move-unmasked.ts';
import { NO_BYTES, type OwnedBytes } from '../memory/slab.ts';
import { sharedSlabPool } from '../memory/slab-pool.ts';
import {
  BinaryMessage,
  CloseMessage,
  ContinuationFrame,
  MAX_CONTROL_PAYLOAD,
  PingMessage,
  TextMessage,
} from '../protocol.ts';
import { UTF8_ACCEPT, UTF8_REJECT, utf8Step } from '../text/utf8-automaton.ts';
import { checkedSize, type DataType, type Extension } from './extension.ts';
import { emptyFragments, invalidText, reservedBits, tooBig } from './faults.ts';
import { Lease } from './lease.ts';
import {
  CLOSE,
  DELIVERED,
  IGNORED,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageAllocator,
  type MessageCounters,
  type MessageDecoderOptions,
  type MessageEvent,
  type PayloadUse,
  PING,
  PONG,
  SKIPPED,
  STEP,
} from './message-decoder-options.ts';
import { MessageMemory } from './message-memory.ts';
import { UnreadInput } from './unread-input.ts';

// The ways to deliver the message under way.
const NO_MESSAGE = 0;
const WHOLE = 1;
const PIECES = 2;
/** The message was delivered in pieces, but the reader does not want the rest. */
const UNWANTED = 3;

/**
 * A frame, or a part of one, gives the caller no event: the next one is parsed. It has the value of
 * NEED_MORE: `next` returns a real one before it looks for this value.
 */
const NO_EVENT: typeof NEED_MORE = 0;

/** Largest number of plain bytes that an extension makes in one step. */
const LARGEST_STEP = 65_536;
/** Plain bytes expected for each byte of compressed payload: sizes the first memory of a message. */
const EXPECTED_RATIO = 8;
/**
 * Bytes that a message of an extension may have on the wire above twice its limit: some peers flush
 * often.
 */
const WIRE_SLACK = 65_536;

/**
 * Turns chunks of frames into messages. It joins fragments, checks text and limits as the bytes
 * arrive, lets control frames through between fragments, and undoes an {@link Extension}.
 *
 * A chunk is lent: the decoder unmasks it in place or while it moves the payload, and after
 * {@link keep} it refers to no byte of it. The payload of a message moves once, into memory that is
 * contiguous over all frames and chunks.
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
 *     // Here: messages, and the payloads of control frames.
 *     console.log(event, decoder.data());
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
  /**
   * @internal Pooled memory of the message. The decoder releases it at the next call, unless the
   *   caller takes it and sets the field to undefined.
   */
  lease: Lease | undefined;
  /** The fault of the peer, after FAILED. */
  error: ProtocolError | undefined;
  /** Whether the next message is delivered in pieces, as its bytes arrive. */
  streaming = false;
  /**
   * @internal Whether the caller keeps the bytes of messages: they then are in ordinary memory of
   *   their size, which the {@link MessageAllocator} makes for a message that is whole in its chunk.
   */
  callerKeeps = true;

  /**
   * @internal When that many frames have come, `next()` returns STEP after a frame without an event:
   *   the caller gives way to other work.
   */
  stopAt: number = Infinity;

  readonly #frames: FrameDecoder;
  readonly #isUtf8: ((bytes: Uint8Array) => boolean) | undefined;
  readonly #maxEmptyFragments: number;
  readonly #limitsWire: boolean;
  readonly #checksText: boolean;
  readonly #ownsChunks: boolean;
  readonly #memory = new MessageMemory();
  /** The payload of a control frame is copied here: its frame may end in another chunk. */
  readonly #control = new Uint8Array(MAX_CONTROL_PAYLOAD);
  /** Whether {@link bytes} is exactly one message, in memory of the caller. */
  #owned = false;
  #counters: MessageCounters = { framesIn: 0, messagesIn: 0, pingsIn: 0 };
  #allocator: MessageAllocator = exact;
  #extension: Extension | undefined;
  readonly #unread: UnreadInput;
  #limit: number;
  #use: PayloadUse = DELIVERED;
  #delivery: typeof NO_MESSAGE | typeof WHOLE | typeof PIECES | typeof UNWANTED = NO_MESSAGE;
  /** Whether MESSAGE_BEGIN has announced the message under way. */
  #announced = false;
  /** Whether the message under way has reserved bits of the extension. */
  #extended = false;
  /** Whether the extension has input of the message that it has not used. */
  #transforming = false;
  /** Payload bytes of the message on the wire. */
  #wireLength = 0;
  #utf8: number = UTF8_ACCEPT;
  #emptyFragments = 0;
  /** Whether the frame decoder may have unparsed bytes. */
  #pending = false;

  /** @throws TypeError or RangeError that names the unknown or invalid option. */
  constructor(options: MessageDecoderOptions) {
    const {
      role,
      pool = sharedSlabPool(),
      readLimit = Infinity,
      maxEmptyFragments = 1024,
      ownsChunks = false,
      isUtf8,
      limitsWire = false,
      checksText = true,
      ...unknown
    } = options;
    checkCoderOptions('MessageDecoder', role, unknown);
    notNegative('readLimit', readLimit);
    notNegative('maxEmptyFragments', maxEmptyFragments);
    // With holdLimit 0 data frames are delivered as their bytes arrive. So bad text fails at its
    // first bad byte, and payload moves once.
    // With `ownsChunks` the frame decoder unmasks; later steps see key 0.
    this.#frames = new FrameDecoder({ role, pool }, { holdLimit: 0, unmask: ownsChunks });
    this.#unread = new UnreadInput(this.#frames);
    this.#ownsChunks = ownsChunks;
    this.#isUtf8 = isUtf8;
    this.#maxEmptyFragments = maxEmptyFragments;
    this.#limitsWire = limitsWire;
    this.#checksText = checksText;
    this.#limit = readLimit;
    this.#bound();
  }

  /** Longest message in bytes. A change also applies to the message under way. */
  get readLimit(): number {
    return this.#limit;
  }

  set readLimit(bytes: number) {
    notNegative('readLimit', bytes);
    this.#limit = bytes;
    this.#bound();
  }

  /** Sets the extension of the connection. Only between two messages. */
  set extension(extension: Extension | undefined) {
    if (extension === this.#extension) return;
    this.#useExtension(extension);
    this.#bound();
  }

  /** Whether `next()` may return an event without another chunk. */
  get pending(): boolean {
    return this.#pending || this.#transforming;
  }

  /** Whether the stream is between two messages and all input is parsed. */
  get idle(): boolean {
    if (this.#pending || this.#transforming || this.#delivery !== NO_MESSAGE) return false;
    return this.#frames.atFrameBoundary;
  }

  /** @internal Whether a message has begun and not ended, and its reader has not given up the rest. */
  get withinMessage(): boolean {
    const isGivenUp = this.#delivery === UNWANTED && this.#use === DELIVERED;
    return this.#delivery !== NO_MESSAGE && !isGivenUp;
  }

  /** @internal The frame of the last event. After FAILED the header that has the fault, if one has. */
  get frame(): FrameDecoder {
    return this.#frames;
  }

  /** Whether the next step is one of the extension. */
  get transforming(): boolean {
    return this.#transforming;
  }

  /** Bytes that are held of the message under way. */
  get assembled(): number {
    return this.#memory.length + (this.#extension?.held ?? 0);
  }

  /** Unparsed bytes that arrived while others were unparsed. */
  get waiting(): number {
    return this.#unread.waiting;
  }

  /** The payload of the last event, in memory of the caller. */
  data(): OwnedBytes {
    const { bytes, start, end } = this;
    return this.#owned ? (bytes as OwnedBytes) : new Uint8Array(bytes.subarray(start, end));
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
  push(chunk: Uint8Array, end: number = chunk.length): void {
    if (end === 0) return;
    if (this.#pending && this.#frames.unread > 0) {
      this.keep();
      return this.#unread.append(chunk, end);
    }
    // The input of the extension may be in the rest.
    if (this.#transforming) this.#extension!.keep();
    if (this.#unread.copy !== undefined) this.#unread.release();
    this.#frames.push(chunk, end);
    this.#pending = true;
  }

  /** Ends the loan of the chunk: what is unread is copied. */
  keep(): void {
    if (this.#transforming) this.#extension!.keep();
    if (this.#pending) this.#unread.keep();
  }

  /**
   * Advances to the next event and sets the fields.
   *
   * @throws Any error of the platform, for example when memory is missing.
   */
  next(): MessageEvent {
    if (this.lease !== undefined) this.release();
    if (this.error !== undefined) return FAILED;
    for (;;) {
      let event: MessageEvent;
      if (this.#transforming) {
        event = this.#step();
        if (this.#transforming) return event;
      } else {
        switch (this.#frames.next()) {
          case FRAME:
            event = this.#wholeFrame();
            break;
          case FRAME_BEGIN:
            event = this.#frameBegins();
            break;
          case FRAME_DATA:
            event = this.#frameData();
            break;
          case FAILED:
            return this.#fail(this.#frames.error);
          case FRAME_END:
            event = NO_EVENT;
            break;
          case NEED_MORE:
            return this.#exhausted();
        }
      }
      if (event !== NO_EVENT) return event;
      if (this.#counters.framesIn >= this.stopAt) return STEP;
    }
  }

  /** @internal Releases the memory of the last message. Call it once the message is copied. */
  release(): void {
    this.lease?.release();
    this.lease = undefined;
  }

  /** @internal Drops a chunk that is parsed to its end: another `next()` would return NEED_MORE. */
  releaseParsed(): void {
    if (!this.#pending || this.#transforming || !this.#frames.atFrameBoundary) return;
    this.#frames.next();
    this.#exhausted();
  }

  /** All input is parsed. An idle connection holds no memory. */
  #exhausted(): typeof NEED_MORE {
    this.#pending = false;
    this.#show(NO_BYTES, 0, 0);
    if (this.#unread.copy !== undefined) this.#unread.release();
    return NEED_MORE;
  }

  /**
   * @internal Delivers the rest of the message under way in pieces.
   *
   * @returns The bytes so far, which the caller owns. Undefined when no message is under way, or it
   *   is not delivered.
   */
  turnIntoPieces(): OwnedBytes | undefined {
    if (this.#delivery !== WHOLE || this.#use !== DELIVERED) return undefined;
    this.#delivery = PIECES;
    this.#announced = true;
    return this.#memory.takeOwn();
  }

  /**
   * @internal Delivers a message whole after all that was announced in pieces: no reader has one.
   *
   * @returns Whether it has ended. The fields then describe it, as after MESSAGE.
   */
  turnIntoWhole(): boolean {
    this.#memory.append(this.bytes, this.start, this.end, 0, this.callerKeeps);
    this.release();
    if (this.#delivery === NO_MESSAGE) {
      this.#showAssembled();
      return true;
    }
    this.#delivery = WHOLE;
    return false;
  }

  /** Skips the rest of a message that is delivered in pieces: SKIPPED follows at its end. */
  skip(): void {
    if (this.#delivery === PIECES) this.#delivery = UNWANTED;
  }

  /** Changes the use of the payload, from DELIVERED to CHECKED_ONLY to IGNORED and never back. */
  setPayloadUse(use: PayloadUse): void {
    if (use === this.#use) return;
    this.#use = use;
    this.#memory.release();
    if (use !== IGNORED) return;
    this.streaming = false;
    this.skip();
    this.#endTransforming();
    this.#extension?.destroy();
  }

  #endTransforming(): void {
    if (!this.#transforming) return;
    // All of the message may have arrived: then no later frame completes it.
    this.#transforming = false;
    if (this.#frames.fin && this.#frames.missing === 0) {
      this.#delivery = NO_MESSAGE;
      this.#counters.messagesIn++;
      this.#bound();
    }
  }

  /** @internal The connection has ended: messages under way need no pooled memory from now on. */
  leavePools(): void {
    this.#memory.leavePools();
    if (this.#transforming) this.#extension!.keep();
    this.#unread.leavePools();
  }

  #useExtension(extension: Extension | undefined): void {
    this.#extension = extension;
    this.#frames.allowedRsv = extension === undefined ? 0 : extension.rsv;
  }

  /** @internal Begins the work for a connection. The decoder is {@link idle}. */
  attach(
    counters: MessageCounters,
    readLimit: number,
    extension: Extension | undefined,
    allocator: MessageAllocator = exact,
  ): void {
    this.#counters = counters;
    if (extension !== this.#extension) this.extension = extension;
    this.#allocator = allocator;
    this.#memory.usePools();
    this.#unread.usePools();
    if (readLimit !== this.#limit) this.readLimit = readLimit;
  }

  /** @internal Ends {@link attach}. The decoder is {@link idle}. */
  detach(): void {
    this.#counters = NONE_COUNTED;
    // Also bounds frames as without an extension.
    if (this.#extension !== undefined) this.extension = undefined;
    this.#allocator = exact;
    this.#use = DELIVERED;
    this.streaming = false;
  }

  /** Releases all memory and ends parsing. */
  destroy(): void {
    this.release();
    this.#transforming = false;
    this.#delivery = NO_MESSAGE;
    this.#memory.release();
    this.error = undefined;
    this.#frames.reset();
    this.#exhausted();
    this.#bound();
    this.#extension?.destroy();
  }

  /** Bounds the payload of the next frame by the rest of the message's limit. */
  #bound(): void {
    const used = this.#delivery === NO_MESSAGE ? 0 : this.#wireLength;
    // The next frame may have reserved bits, so with an extension the bound allows for them.
    const limitsExactly = this.#extension === undefined || this.#limitsWire;
    const slack = limitsExactly ? 0 : this.#limit + WIRE_SLACK;
    this.#frames.maxFramePayload = this.#limit + slack - used;
  }

  #wholeFrame(): MessageEvent {
    const frames = this.#frames;
    const { opcode, length } = frames;
    this.#counters.framesIn++;
    if (opcode >= CloseMessage) return this.#controlFrame(opcode);
    const common = frames.fin && opcode !== ContinuationFrame && frames.rsv === 0;
    if (!common || this.streaming || this.#use === IGNORED || length > this.#limit) {
      return this.#startFrame() ? this.#payload(frames.fin) : FAILED;
    }
    // The straight way of nearly every message: whole, plain, in one piece.
    this.type = opcode as DataType;
    this.length = length;
    const unwanted = this.#use !== DELIVERED && opcode !== TextMessage;
    if (length === 0 || unwanted) {
      this.#show(NO_BYTES, 0, 0);
    } else if (this.#ownsChunks) {
      const { buf, start, end } = frames;
      this.#show(buf, start, end);
      if (opcode === TextMessage && !this.#isText(buf, start, end))
        return this.#fail(invalidText());
    } else {
      const { buf, start, end } = frames;
      const into = this.#memoryOf(length);
      const ascii = moveUnmasked(into, 0, buf, start, end, frames.key);
      this.#show(into, 0, length);
      this.#owned = this.lease === undefined;
      if (opcode === TextMessage && !ascii && !this.#isText(into, 0, length)) {
        return this.#fail(invalidText());
      }
    }
    this.#counters.messagesIn++;
    if (this.#use === DELIVERED) return MESSAGE;
    this.release();
    return SKIPPED;
  }

  #memoryOf(length: number): Uint8Array {
    if (this.callerKeeps && this.#use === DELIVERED) {
      return this.#allocator.allocate(length, this.#frames.unread);
    }
    this.lease = Lease.acquire(length);
    return this.lease.bytes;
  }

  #isText(bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.#checksText) return true;
    return utf8Step(UTF8_ACCEPT, bytes, start, end, this.#isUtf8) === UTF8_ACCEPT;
  }

  #controlFrame(opcode: number): MessageEvent {
    const { buf, start, end, key, rsv } = this.#frames;
    if (rsv !== 0) return this.#fail(reservedBits(rsv));
    moveUnmasked(this.#control, 0, buf, start, end, key);
    this.#show(this.#control, 0, end - start);
    if (opcode === CloseMessage) return CLOSE;
    if (opcode !== PingMessage) return PONG;
    this.#counters.pingsIn++;
    return PING;
  }

  #frameBegins(): MessageEvent {
    this.#counters.framesIn++;
    if (!this.#startFrame()) return FAILED;
    const begins = this.#delivery === PIECES && this.#frames.opcode !== ContinuationFrame;
    return begins ? this.#piece(NO_BYTES, 0, 0, false) : NO_EVENT;
  }

  #frameData(): MessageEvent {
    const frames = this.#frames;
    const complete = frames.missing === 0;
    const event = this.#payload(complete && frames.fin);
    // The end of a frame is not read: no chunk could be pushed.
    if (complete) frames.next();
    return event;
  }

  /**
   * Starts a data frame that is not a whole plain message. Returns false for a fault, and sets
   * `error`.
   */
  #startFrame(): boolean {
    const { opcode, length, fin, rsv } = this.#frames;
    if (opcode !== ContinuationFrame) this.#startMessage(opcode as DataType);
    else if (rsv !== 0) this.error = reservedBits(rsv);
    if (this.error !== undefined) return false;
    if (length > 0 || fin) this.#emptyFragments = 0;
    else if (++this.#emptyFragments > this.#maxEmptyFragments) {
      this.error = emptyFragments(this.#maxEmptyFragments);
      return false;
    }
    this.#wireLength += length;
    if (!this.#extended) {
      this.length += length;
      if (this.#delivery === WHOLE) this.#memory.announce(length, fin);
    }
    this.#bound();
    return this.#checkLength();
  }

  #startMessage(type: DataType): void {
    this.type = type;
    this.#delivery = this.streaming ? PIECES : WHOLE;
    this.#announced = false;
    this.#utf8 = UTF8_ACCEPT;
    this.length = 0;
    this.#wireLength = 0;
    this.#emptyFragments = 0;
    this.#extended = this.#frames.rsv !== 0;
    if (!this.#extended || this.#use === IGNORED) return;
    try {
      this.#extension!.begin(type, this.#frames.rsv);
    } catch (error) {
      this.#failBy(error);
    }
  }

  /** Takes the payload, or a piece of it; `last`: the message ends with it. */
  #payload(last: boolean): MessageEvent {
    const { buf, start, end, key } = this.#frames;
    const use = this.#use;
    if (use === IGNORED) return last ? this.#finish() : NO_EVENT;
    // The limit may have been lowered since the frame began.
    if (!this.#checkLength()) return FAILED;
    if (this.#extended) {
      xorAnywhere(buf, start, end, key);
      try {
        this.#extension!.feed(buf, start, end, last);
      } catch (error) {
        return this.#failBy(error);
      }
      this.#transforming = true;
      // Announced before its first plain bytes, which may need a later turn or a later frame.
      const begins = this.#delivery === PIECES && !this.#announced;
      return begins ? this.#piece(NO_BYTES, 0, 0, false) : STEP;
    }
    if (this.#delivery === WHOLE && use === DELIVERED) {
      const at = this.#memory.length;
      const ascii = this.#memory.append(buf, start, end, key, this.callerKeeps);
      if (!this.#checkText(this.#memory.bytes, at, this.#memory.length, ascii)) return FAILED;
      return last ? this.#finish() : NO_EVENT;
    }
    const checks = this.type === TextMessage;
    if (this.#delivery === PIECES || checks) xorAnywhere(buf, start, end, key);
    if (!this.#checkText(buf, start, end, false)) return FAILED;
    if (this.#delivery === PIECES && !last) return this.#piece(buf, start, end, false);
    return last ? this.#finishWith(buf, start, end) : NO_EVENT;
  }

  #piece(bytes: Uint8Array, start: number, end: number, fin: boolean): MessageEvent {
    this.#show(bytes, start, end);
    this.fin = fin;
    if (this.#announced) return MESSAGE_DATA;
    this.#announced = true;
    return MESSAGE_BEGIN;
  }

  /** Checks the message's length: the frame decoder checks the limit only for plain messages. */
  #checkLength(): boolean {
    if (this.length <= this.#limit) return true;
    this.error = tooBig(this.#limit);
    return false;
  }

  /** Checks the next bytes of a text; `ascii`: they are known to be ASCII. */
  #checkText(bytes: Uint8Array, start: number, end: number, ascii: boolean): boolean {
    if (this.type !== TextMessage || start === end || !this.#checksText) return true;
    if (ascii && this.#utf8 === UTF8_ACCEPT) return true;
    this.#utf8 = utf8Step(this.#utf8, bytes, start, end, this.#isUtf8);
    if (this.#utf8 !== UTF8_REJECT) return true;
    this.error = invalidText();
    return false;
  }

  /** The last byte of a message that is not delivered in pieces has arrived. */
  #finish(): MessageEvent {
    return this.#finishWith(NO_BYTES, 0, 0);
  }

  /** Ends the message; `bytes[start, end)` is its last piece when it is delivered in pieces. */
  #finishWith(bytes: Uint8Array, start: number, end: number): MessageEvent {
    const delivery = this.#delivery;
    this.#delivery = NO_MESSAGE;
    this.#bound();
    // A text may end inside a character.
    const isText = this.type === TextMessage && this.#use !== IGNORED;
    if (isText && this.#utf8 !== UTF8_ACCEPT) return this.#fail(invalidText());
    this.#counters.messagesIn++;
    if (delivery === PIECES) return this.#piece(bytes, start, end, true);
    if (delivery === UNWANTED || this.#use !== DELIVERED) return SKIPPED;
    this.#showAssembled();
    return MESSAGE;
  }

  #showAssembled(): void {
    const memory = this.#memory;
    const { length } = memory;
    if (length === 0) return this.#show(NO_BYTES, 0, 0);
    if (this.callerKeeps) {
      this.#show(memory.takeOwn(), 0, length);
      this.#owned = true;
      return;
    }
    const lease = memory.takeLease();
    this.lease = lease;
    this.#show(lease.bytes, 0, length);
  }

  /** Lets the extension make the next plain bytes. */
  #step(): MessageEvent {
    const extension = this.#extension!;
    // A real NEED_MORE: `next` returns it, because the message is still transforming. The extension
    // calls `resume` when it can continue.
    if (!extension.ready()) return NEED_MORE;
    // The limit may have been lowered since the message began.
    if (!this.#checkLength()) return FAILED;
    const limit = this.#limit - this.length;
    const first = this.length === 0 && this.#delivery === WHOLE;
    const expected = first ? extension.unread * EXPECTED_RATIO : LARGEST_STEP;
    const lease = Lease.acquire(Math.min(expected, LARGEST_STEP));
    let event: MessageEvent = FAILED;
    try {
      const size = checkedSize(extension.step(lease.bytes, limit), lease.bytes, limit);
      this.#transforming = extension.more;
      this.length += size;
      if (this.#checkLength() && this.#checkText(lease.bytes, 0, size, false)) {
        event = this.#deliverStep(lease, size, extension.done);
      }
    } catch (error) {
      this.#failBy(error);
    } finally {
      if (this.lease !== lease) lease.release();
    }
    return event === NO_EVENT && this.#transforming ? STEP : event;
  }

  /** Delivers `size` plain bytes in `lease`; `last`: the message ends with them. */
  #deliverStep(lease: Lease, size: number, last: boolean): MessageEvent {
    if (last) this.#extension!.endMessage();
    const delivery = this.#delivery;
    if (delivery === PIECES) {
      this.lease = lease;
      if (last) return this.#finishWith(lease.bytes, 0, size);
      return size === 0 ? NO_EVENT : this.#piece(lease.bytes, 0, size, false);
    }
    if (delivery === UNWANTED || this.#use !== DELIVERED) return last ? this.#finish() : NO_EVENT;
    if (last && this.#memory.length === 0 && !this.callerKeeps) {
      const event = this.#finish();
      if (event !== MESSAGE) return event;
      this.lease = lease;
      this.#show(lease.bytes, 0, size);
      return MESSAGE;
    }
    this.#memory.announce(size, last);
    this.#memory.append(lease.bytes, 0, size, 0, this.callerKeeps);
    return last ? this.#finish() : NO_EVENT;
  }

  #show(bytes: Uint8Array, start: number, end: number): void {
    // The comparison is cheaper than a store with its write barrier.
    if (this.bytes !== bytes) this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.#owned = false;
  }

  /** The extension has thrown `error`. Throws it again unless it is a fault of the peer. */
  #failBy(error: unknown): typeof FAILED {
    if (!(error instanceof ProtocolError)) throw error;
    return this.#fail(error);
  }

  #fail(error: ProtocolError | undefined): typeof FAILED {
    this.error = error;
    this.#memory.release();
    return FAILED;
  }
}

/** The counters of a decoder without a connection. */
const NONE_COUNTED: MessageCounters = { framesIn: 0, messagesIn: 0, pingsIn: 0 };

const exact: MessageAllocator = { allocate: (size) => new Uint8Array(size) };
