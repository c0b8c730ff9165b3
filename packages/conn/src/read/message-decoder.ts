import {
  BinaryMessage,
  CloseMessage,
  ContinuationFrame,
  FAILED,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  FrameDecoder,
  NEED_MORE,
  PingMessage,
  type Role,
  TextMessage,
  UTF8_ACCEPT,
  UTF8_REJECT,
  utf8Step,
  type WebSocketError,
} from '@ws/codec';
import { ReadLimitError } from '../errors.ts';
import { FragmentBuffer } from '../memory/fragment-buffer.ts';
import type { Lease } from '../memory/lease.ts';
import type { DataType } from '../message.ts';
import type { Settings } from '../options.ts';
import { type Platform, platformFunctions } from '../platform/platform.ts';
import { ChunkQueue } from './chunk-queue.ts';
import { DETACHED_CONTEXT, type DecodeContext } from './decode-context.ts';
import {
  BEGIN,
  CLOSE,
  DELIVERED,
  type DecodedEvent,
  type Delivery,
  END,
  END_PENDING,
  FAULT,
  IGNORED,
  MESSAGE,
  NO_MESSAGE,
  NOTHING,
  type PayloadUse,
  PIECE,
  PIECE_PENDING,
  PIECES,
  PING,
  PONG,
  SKIPPED,
  SKIPPED_PENDING,
  UNWANTED,
  WHOLE,
} from './decoded-event.ts';
import { emptyFragments, frameError, invalidText } from './message-faults.ts';

/**
 * Frames of one connection that are parsed in one turn of the event loop: less than 1 ms, if the
 * reader streams fragments of one byte.
 */
const FRAMES_PER_TURN = 1_000;

/**
 * Turns chunks of frames into messages: `push()` accepts a chunk, and each `next()` returns one
 * event. The decoder merges fragments and checks text and limits as the bytes arrive. It allocates
 * nothing for a message that is whole in its chunk.
 *
 * A message is delivered whole, as MESSAGE, or in pieces, as BEGIN, PIECE and END. The value of
 * `streaming` at the start of a message decides. Plain pieces are views of their chunk, which
 * belongs to the connection.
 *
 * Connections lease a decoder with {@link attach} when bytes arrive and release it with
 * {@link detach} when it is {@link idle}: an idle connection holds neither the decoder nor buffers.
 */
export class MessageDecoder {
  /** Type of the message under way. */
  type: DataType = BinaryMessage;
  /**
   * Payload of the message or control frame: `bytes[start, end)`, valid until the next `next()`.
   */
  bytes: Uint8Array = EMPTY;
  start = 0;
  end = 0;
  /**
   * Pooled memory of the message or piece. The decoder owns it until {@link dropMessage}, or until
   * the code that takes the message sets it to undefined. Undefined for memory of a chunk.
   */
  lease: Lease | undefined;
  /** The error of the event FAULT. */
  error: WebSocketError | undefined;
  /** Plain bytes of the complete message. Of a message under way: the plain bytes so far. */
  length = 0;
  /** Delivers the next message in pieces. */
  streaming = false;
  /**
   * Whether this turn's share of frames is used up. `next()` returns NOTHING until
   * {@link renewBudget}.
   */
  budgetSpent = false;
  /** Whether the decode loop waits for the next turn of the event loop. */
  yielding = false;
  /** Whether the decoder waits for its turn to inflate. `next()` returns NOTHING until then. */
  waiting = false;

  protected context: DecodeContext = DETACHED_CONTEXT;
  protected readonly frames: FrameDecoder;
  /** Caches {@link wholeBuffer}; undefined until that is read. */
  #wholeBuffer: ArrayBufferLike | null | undefined;
  readonly #chunks = new ChunkQueue();
  /** Whether the frame decoder has parsed every byte pushed to it. */
  #exhausted = true;
  protected readonly fragments: FragmentBuffer;
  readonly #isUtf8: ((bytes: Uint8Array) => boolean) | undefined;
  readonly #maxEmptyFragments: number;
  protected payloadUse: PayloadUse = DELIVERED;
  protected delivery: Delivery = NO_MESSAGE;
  protected pendingEvents = 0;
  /** The limit that {@link bound} has set. */
  protected limit: number = Infinity;
  #utf8 = UTF8_ACCEPT;
  /** Payload bytes of the message under way, as they were on the wire. */
  protected wireLength = 0;
  #emptyFragments = 0;
  /** The connection's number of frames that ends the share of this turn. */
  #lastFrame = Infinity;
  #compressed = false;
  /** Whether the current chunk has compressed input of the message that is not inflated yet. */
  protected inflating = false;

  /** @param allowedRsv - Reserved bits of a frame that an extension uses. */
  constructor(role: Role, settings: Settings, platform: Platform, allowedRsv = 0) {
    this.#maxEmptyFragments = settings.maxEmptyFragments;
    this.#isUtf8 = platformFunctions(platform).isUtf8;
    // With holdLimit 0 the frame decoder delivers data frames as their bytes arrive. So bad text
    // fails at its first bad byte, and borrowed bytes are never in the frame decoder's ring.
    this.frames = new FrameDecoder({
      role,
      holdLimit: 0,
      readBufferSize: settings.readBufferSize,
      allowedRsv,
    });
    this.fragments = new FragmentBuffer(this.frames);
  }

  /** Attaches this decoder to the connection that `context` belongs to. */
  attach(context: DecodeContext, payloadUse: PayloadUse, streaming: boolean): void {
    this.context = context;
    this.fragments.usePools();
    this.payloadUse = payloadUse;
    this.streaming = streaming;
    this.#lastFrame = context.framesIn + FRAMES_PER_TURN;
    if (context.readLimit !== this.limit) this.readLimit = context.readLimit;
  }

  /** Detaches the decoder from its connection. Only an {@link idle} decoder may be detached. */
  detach(): void {
    this.context = DETACHED_CONTEXT;
    this.lease = undefined;
    this.error = undefined;
  }

  /** Whether the decoder is between two messages and has parsed all input. */
  get idle(): boolean {
    return (
      !this.pending &&
      this.frames.atFrameBoundary &&
      this.delivery === NO_MESSAGE &&
      this.pendingEvents === 0 &&
      !this.inflating &&
      !this.budgetSpent &&
      !this.yielding
    );
  }

  /** Sets the longest message in bytes. The limit also applies to the message under way. */
  set readLimit(bytes: number) {
    this.limit = bytes;
    this.bound();
  }

  /** Bounds the payload of the next frame by the rest of the message's limit. */
  protected bound(): void {
    const open = this.delivery !== NO_MESSAGE;
    this.frames.maxFramePayload = this.limit - (open ? this.length : 0);
  }

  /**
   * The buffer of {@link bytes}, or null when `bytes` is only a part of it. Cached for a chunk:
   * reading `buffer` calls the runtime.
   */
  get wholeBuffer(): ArrayBufferLike | null {
    if (this.#wholeBuffer === undefined) {
      const { buffer, length } = this.bytes;
      this.#wholeBuffer = buffer.byteLength === length ? buffer : null;
    }
    return this.#wholeBuffer;
  }

  /** Bytes that are held of the message under way. */
  get assembled(): number {
    return this.fragments.length;
  }

  /** Bytes of the chunks that are not parsed yet, plus a cost for each chunk. */
  get unparsed(): number {
    return this.#chunks.cost;
  }

  /** Whether `next()` may return an event without another chunk. */
  get pending(): boolean {
    return !this.#exhausted || !this.#chunks.empty;
  }

  /** Takes ownership of a chunk. The decoder unmasks the chunk in place. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    if (this.pending) {
      this.#chunks.push(chunk);
      return;
    }
    this.#parseNext(chunk);
    this.#exhausted = false;
  }

  #parseNext(chunk: Uint8Array): void {
    this.frames.push(chunk);
    if (this.fragments.incomplete) this.fragments.offer();
  }

  next(): DecodedEvent {
    if (this.pendingEvents !== 0) return this.#nextPending();
    if (!this.pending || this.delayed) return NOTHING;
    for (;;) {
      let event: DecodedEvent = NOTHING;
      if (this.inflating) {
        event = this.inflate();
        if (event !== NOTHING || this.waiting) return event;
      }
      switch (this.frames.next()) {
        case FRAME:
          event = this.#frame();
          break;
        case FRAME_BEGIN:
          event = this.#begin();
          break;
        case FRAME_DATA:
          event = this.#data();
          break;
        case FRAME_END:
          event = this.#endOfFrame(this.frames.fin);
          break;
        case FAILED:
          return this.fault(frameError(this.frames.error, this.limit));
        case NEED_MORE: {
          const chunk = this.#chunks.shift();
          if (chunk === undefined) {
            this.#exhausted = true;
            // An idle connection holds no chunk.
            this.showNothing();
            return NOTHING;
          }
          this.#parseNext(chunk);
        }
      }
      if (event !== NOTHING || this.budgetSpent) return event;
    }
  }

  /**
   * Drops the last chunk when all its bytes are parsed: another `next()` would return NOTHING. So
   * connections with a handler at work share a decoder.
   */
  releaseParsed(): void {
    if (this.#exhausted || !this.#chunks.empty || this.pendingEvents !== 0) return;
    if (this.inflating || !this.frames.atFrameBoundary) return;
    this.frames.next();
    this.#exhausted = true;
    this.showNothing();
  }

  /**
   * Delivers the rest of the message under way in pieces. Its bytes so far are the first piece; the
   * caller releases their lease. Undefined when no message is under way, or it cannot be streamed.
   */
  turnIntoPieces(): { lease: Lease | undefined; length: number } | undefined {
    if (this.delivery !== WHOLE || this.payloadUse === IGNORED) return undefined;
    this.delivery = PIECES;
    const { length } = this.fragments;
    return { lease: this.fragments.complete(), length };
  }

  /**
   * Skips the rest of the message under way: `next()` returns SKIPPED at its end, and no further
   * PIECE or END.
   */
  skip(): void {
    if (this.delivery === PIECES) this.delivery = UNWANTED;
    this.pendingEvents = (this.pendingEvents & END_PENDING) === 0 ? 0 : SKIPPED_PENDING;
  }

  /**
   * Changes the use of the payload, from now on. `use` never needs more of the payload than before.
   */
  setPayloadUse(use: PayloadUse): void {
    this.payloadUse = use;
    if (use === IGNORED) {
      this.streaming = false;
      this.skip();
    }
    this.fragments.drop();
  }

  /** The connection has ended: messages under way need no pooled memory from now on. */
  leavePools(): void {
    this.fragments.leavePools();
  }

  /** Releases the memory of the message of the last event: it is copied, or not delivered. */
  dropMessage(): void {
    this.lease?.release();
    this.lease = undefined;
  }

  /** Releases all memory and ends parsing. */
  destroy(): void {
    this.dropMessage();
    this.#chunks.clear();
    this.#exhausted = true;
    this.pendingEvents = 0;
    this.delivery = NO_MESSAGE;
    this.inflating = false;
    this.budgetSpent = false;
    this.fragments.drop();
    this.frames.reset();
    this.bound();
    this.showNothing();
  }

  #frame(): DecodedEvent {
    const frames = this.frames;
    // Dropped frames cost little, and must not wait: the transport is not paused for them.
    const bounded = this.payloadUse !== IGNORED;
    if (++this.context.framesIn >= this.#lastFrame && bounded) this.budgetSpent = true;
    const { opcode } = frames;
    if (opcode >= CloseMessage) {
      this.show(frames.buf, frames.start, frames.end);
      if (opcode === CloseMessage) return CLOSE;
      if (opcode !== PingMessage) return PONG;
      this.context.pingsIn++;
      return PING;
    }
    if (
      frames.fin &&
      opcode !== ContinuationFrame &&
      !this.streaming &&
      frames.rsv === 0 &&
      frames.length <= this.limit
    ) {
      this.type = opcode as DataType;
      if (opcode === TextMessage) {
        const { buf, start, end } = frames;
        const valid = utf8Step(UTF8_ACCEPT, buf, start, end, this.#isUtf8) === UTF8_ACCEPT;
        if (!valid && this.payloadUse !== IGNORED) return this.fault(invalidText());
      }
      this.context.messagesIn++;
      this.length = frames.length;
      this.lease = undefined;
      this.show(frames.buf, frames.start, frames.end);
      return MESSAGE;
    }
    return this.#fragment();
  }

  /**
   * Handles a whole frame of a message that has several frames, is compressed, or is delivered in
   * pieces.
   */
  #fragment(): DecodedEvent {
    const { opcode, buf, start, end, fin } = this.frames;
    if (!this.#startFrame()) return FAULT;
    const delivery = this.delivery;
    const begins = opcode !== ContinuationFrame;
    if (this.#compressed) {
      const event = this.feed(buf, start, end, fin);
      // The next events deliver the bytes.
      return delivery !== WHOLE && begins ? BEGIN : event;
    }
    if (!this.checkText(buf, start, end)) return FAULT;
    if (delivery === WHOLE) {
      if (this.payloadUse === DELIVERED) this.fragments.append(buf, start, end);
      return this.#endOfFrame(fin);
    }
    if (fin && !this.complete()) return FAULT;
    if (delivery === UNWANTED) return fin ? SKIPPED : NOTHING;
    this.lease = undefined;
    this.show(buf, start, end);
    this.pendingEvents = (start === end ? 0 : PIECE_PENDING) | (fin ? END_PENDING : 0);
    if (begins) return BEGIN;
    return this.pendingEvents === 0 ? NOTHING : this.#nextPending();
  }

  #begin(): DecodedEvent {
    this.context.framesIn++;
    if (!this.#startFrame()) return FAULT;
    if (this.delivery !== WHOLE) {
      return this.frames.opcode === ContinuationFrame ? NOTHING : BEGIN;
    }
    if (this.payloadUse !== DELIVERED || this.#compressed) return NOTHING;
    this.fragments.expect(this.frames.length);
    this.fragments.offer();
    return NOTHING;
  }

  #data(): DecodedEvent {
    const { buf, start, end } = this.frames;
    if (this.#compressed) return this.feed(buf, start, end, false);
    // The limit may have been lowered since the frame began.
    if (!this.checkLength()) return FAULT;
    const assembles = this.delivery === WHOLE && this.payloadUse === DELIVERED;
    if (assembles) this.fragments.arrived(end - start);
    if (!this.checkText(buf, start, end)) return FAULT;
    if (assembles && this.fragments.incomplete) this.fragments.offer();
    if (this.delivery !== PIECES) return NOTHING;
    this.lease = undefined;
    this.show(buf, start, end);
    return PIECE;
  }

  /**
   * Starts a data frame that is not a whole plain message. Returns false for a fault, and sets
   * `error`.
   */
  #startFrame(): boolean {
    const { opcode, length, fin } = this.frames;
    if (opcode !== ContinuationFrame) this.#startMessage(opcode as DataType);
    if (length > 0 || fin) this.#emptyFragments = 0;
    else if (++this.#emptyFragments > this.#maxEmptyFragments) {
      this.error = emptyFragments(this.#maxEmptyFragments);
      return false;
    }
    this.wireLength += length;
    if (!this.#compressed) this.length += length;
    this.bound();
    return this.checkLength();
  }

  #startMessage(type: DataType): void {
    this.type = type;
    this.delivery = this.streaming ? PIECES : WHOLE;
    this.#utf8 = UTF8_ACCEPT;
    this.length = 0;
    this.wireLength = 0;
    this.#emptyFragments = 0;
    this.#compressed = this.frames.rsv !== 0;
    if (this.#compressed) this.beginCompressed();
  }

  /** Checks the message's length: the frame decoder checks the limit only for plain messages. */
  protected checkLength(): boolean {
    if (this.length <= this.limit) return true;
    this.error = new ReadLimitError(this.limit);
    return false;
  }

  protected checkText(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.type !== TextMessage || start === end) return true;
    this.#utf8 = utf8Step(this.#utf8, bytes, start, end, this.#isUtf8);
    if (this.#utf8 !== UTF8_REJECT || this.payloadUse === IGNORED) return true;
    this.error = invalidText();
    return false;
  }

  /**
   * Completes a message whose last byte has arrived. False for a text that ends inside a character.
   */
  protected complete(): boolean {
    this.delivery = NO_MESSAGE;
    this.bound();
    const checked = this.type === TextMessage && this.payloadUse !== IGNORED;
    if (checked && this.#utf8 !== UTF8_ACCEPT) {
      this.error = invalidText();
      return false;
    }
    this.context.messagesIn++;
    return true;
  }

  #endOfFrame(fin: boolean): DecodedEvent {
    if (!fin) return NOTHING;
    if (this.#compressed) return this.feed(EMPTY, 0, 0, true);
    const delivery = this.delivery;
    if (!this.complete()) return FAULT;
    if (delivery === PIECES) return END;
    if (delivery === UNWANTED) return SKIPPED;
    return this.deliverAssembled();
  }

  /** Announces the message in the fragment buffer. */
  protected deliverAssembled(): DecodedEvent {
    const lease = this.fragments.complete();
    this.lease = lease;
    if (lease === undefined) this.showNothing();
    else this.show(lease.bytes, 0, this.length);
    return MESSAGE;
  }

  #nextPending(): DecodedEvent {
    if ((this.pendingEvents & PIECE_PENDING) !== 0) {
      this.pendingEvents &= ~PIECE_PENDING;
      return PIECE;
    }
    const event = this.pendingEvents === SKIPPED_PENDING ? SKIPPED : END;
    this.pendingEvents = 0;
    return event;
  }

  // InflatingDecoder overrides the methods below: a plain decoder never gets a compressed frame.

  /** Whether the next step would need an inflater and all are in use. */
  get inflatersBusy(): boolean {
    return false;
  }

  /** Continues when an inflater is free. */
  awaitInflater(): void {}

  /** Whether the next step inflates a part of a message. */
  get inflatesNext(): boolean {
    return this.inflating;
  }

  /** Whether parsing continues in a later turn only. */
  get delayed(): boolean {
    return this.budgetSpent || this.waiting;
  }

  /** Starts the share of a new turn. */
  renewBudget(): void {
    this.budgetSpent = false;
    this.yielding = false;
    this.#lastFrame = this.context.framesIn + FRAMES_PER_TURN;
  }

  /** Lifts the bound on frames: the rest of the input has to be parsed in this turn. */
  liftFrameBound(): void {
    this.budgetSpent = false;
    this.#lastFrame = Infinity;
  }

  protected beginCompressed(): void {}

  /** Takes payload of a compressed message; `last`: the message ends with it. */
  protected feed(_bytes: Uint8Array, _start: number, _end: number, _last: boolean): DecodedEvent {
    return this.fault(undefined);
  }

  /** Inflates one step of the payload that has arrived. */
  protected inflate(): DecodedEvent {
    return NOTHING;
  }

  protected showNothing(): void {
    this.show(EMPTY, 0, 0);
  }

  protected show(bytes: Uint8Array, start: number, end: number): void {
    if (this.bytes !== bytes) {
      this.bytes = bytes;
      this.#wholeBuffer = undefined;
    }
    this.start = start;
    this.end = end;
  }

  protected fault(error: WebSocketError | undefined): DecodedEvent {
    this.error ??= error;
    return FAULT;
  }
}

const EMPTY = /* @__PURE__ */ new Uint8Array(0);
