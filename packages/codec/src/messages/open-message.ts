import { ProtocolError } from '../errors.ts';
import type { FrameDecoder } from '../frames/decoder.ts';
import { FAILED, NEED_MORE } from '../frames/decoder-options.ts';
import { xorAnywhere } from '../masking/mask.ts';
import { NO_BYTES, type OwnedBytes } from '../memory/slab.ts';
import { ContinuationFrame, TextMessage } from '../protocol.ts';
import { checkedSize, type DataType, type Extension } from './extension.ts';
import type { Lease, LeaseSource } from './lease.ts';
import type { MessageDecoder } from './message-decoder.ts';
import {
  DELIVERED,
  IGNORED,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageCounters,
  type MessageEvent,
  OWNED,
  type PayloadUse,
  SKIPPED,
  STEP,
} from './message-decoder-options.ts';
import { MessageMemory } from './message-memory.ts';
import { invalidText, type MessageRules, reservedBits } from './message-rules.ts';

// The ways to deliver an open message.
export const NO_MESSAGE = 0;
const WHOLE = 1;
const PIECES = 2;
/** The message was delivered in pieces, but the reader does not want the rest. */
export const UNWANTED = 3;

/**
 * A frame, or a part of one, gives the caller no event: the next one is parsed. It has the value of
 * NEED_MORE: `next` returns a real one before it looks for this value.
 */
export const NO_EVENT: typeof NEED_MORE = 0;

/** Largest number of plain bytes that an extension makes in one step. */
const LARGEST_STEP = 65_536;
/** Plain bytes expected for each byte of compressed payload: sizes the first memory of a message. */
const EXPECTED_RATIO = 8;

/**
 * The message that arrives in more than one frame or piece, or through the extension: a part of its
 * {@link MessageDecoder}. It sets the fields of the decoder.
 */
export class OpenMessage {
  /** Of the connection. */
  counters: MessageCounters = { framesIn: 0, messagesIn: 0, pingsIn: 0 };
  use: PayloadUse = DELIVERED;
  /** Whether the extension has input of the message that it has not used. */
  transforming = false;
  readonly rules: MessageRules;
  readonly #decoder: MessageDecoder;
  readonly #frames: FrameDecoder;
  /** Only {@link useExtension} changes it. */
  extension: Extension | undefined;
  readonly memory: MessageMemory;
  delivery: typeof NO_MESSAGE | typeof WHOLE | typeof PIECES | typeof UNWANTED = NO_MESSAGE;
  /** Whether MESSAGE_BEGIN has announced it. */
  #announced = false;
  /** Whether the event of this {@link step} is in the memory of the step. */
  #lends = false;
  /** Whether it has reserved bits of the extension. */
  #extended = false;

  constructor(
    decoder: MessageDecoder,
    frames: FrameDecoder,
    rules: MessageRules,
    leases: LeaseSource,
  ) {
    this.#decoder = decoder;
    this.#frames = frames;
    this.rules = rules;
    this.memory = new MessageMemory(leases);
    this.bound();
  }

  /** Bytes that are held of it. */
  get held(): number {
    return this.memory.length + (this.extension?.held ?? 0);
  }

  useExtension(extension: Extension | undefined): void {
    this.extension = extension;
    this.#frames.allowedRsv = extension === undefined ? 0 : extension.rsv;
    this.bound();
  }

  /** Needs no pooled memory from now on. */
  leavePools(): void {
    this.memory.leavePools();
    if (this.transforming) this.extension!.keep();
  }

  /** Drops it. */
  destroy(): void {
    this.transforming = false;
    this.memory.release();
    if (this.delivery !== NO_MESSAGE) this.#endMessage();
    this.extension?.destroy();
  }

  /**
   * Delivers the rest of the message under way in pieces.
   *
   * @returns The bytes so far, which the caller owns. Undefined when no message is under way, or it
   *   is not delivered.
   */
  becomePieces(): OwnedBytes | undefined {
    if (this.delivery !== WHOLE || this.use !== DELIVERED) return undefined;
    this.delivery = PIECES;
    this.#announced = true;
    return this.memory.takeOwn();
  }

  /**
   * Delivers a message whole after all that was announced in pieces: no reader has one.
   *
   * @returns Whether it has ended. The fields then describe it, as after MESSAGE.
   */
  becomeWhole(): boolean {
    const decoder = this.#decoder;
    const { bytes, start, end } = decoder;
    this.memory.append(bytes, start, end, 0, decoder.memory === OWNED);
    decoder.release();
    if (this.delivery === NO_MESSAGE) {
      this.#showAssembled();
      return true;
    }
    this.delivery = WHOLE;
    return false;
  }

  /** Skips the rest of a message that is delivered in pieces: SKIPPED follows at its end. */
  skip(): void {
    if (this.delivery === PIECES) this.delivery = UNWANTED;
  }

  /** Changes the use of the payload, from DELIVERED to CHECKED_ONLY to IGNORED and never back. */
  setUse(use: PayloadUse): void {
    if (use === this.use) return;
    this.use = use;
    this.memory.release();
    if (use !== IGNORED) return;
    this.#decoder.streaming = false;
    this.skip();
    this.#endTransforming();
    this.extension?.destroy();
  }

  #endTransforming(): void {
    if (!this.transforming) return;
    // All of the message may have arrived: then no later frame completes it.
    this.transforming = false;
    if (this.#frames.fin && this.#frames.missing === 0) {
      this.counters.messagesIn++;
      this.#endMessage();
    }
  }

  /** Bounds the payload of the next frame by the rest of the message's limit. */
  bound(): void {
    // The next frame may have reserved bits, so with an extension the bound allows for them.
    this.#frames.maxFramePayload = this.rules.frameLimit(this.extension !== undefined);
  }

  /** No message is under way. */
  #endMessage(): void {
    this.delivery = NO_MESSAGE;
    this.rules.reset();
    this.bound();
  }

  /** Starts a data frame that is not a whole plain message. Returns false for a fault. */
  startFrame(): boolean {
    const decoder = this.#decoder;
    const { opcode, length, fin, rsv } = this.#frames;
    if (opcode !== ContinuationFrame) this.#startMessage(opcode as DataType);
    else if (rsv !== 0) this.fail(reservedBits(rsv));
    if (decoder.error !== undefined) return false;
    if (!this.rules.addFrame(length, fin)) this.fail(this.rules.tooManyEmpty());
    if (!this.#extended) {
      decoder.length += length;
      if (this.delivery === WHOLE) this.memory.announce(length, fin);
    }
    this.bound();
    return decoder.error === undefined && this.checkLength();
  }

  #startMessage(type: DataType): void {
    const decoder = this.#decoder;
    decoder.type = type;
    this.delivery = decoder.streaming ? PIECES : WHOLE;
    this.#announced = false;
    decoder.length = 0;
    this.#extended = this.#frames.rsv !== 0;
    if (!this.#extended || this.use === IGNORED) return;
    try {
      this.extension!.begin(type, this.#frames.rsv);
    } catch (error) {
      this.#failBy(error);
    }
  }

  /** A frame begins that is not whole. */
  frameBegins(): MessageEvent {
    this.counters.framesIn++;
    if (!this.startFrame()) return FAILED;
    const begins = this.delivery === PIECES && this.#frames.opcode !== ContinuationFrame;
    return begins ? this.#piece(NO_BYTES, 0, 0, false) : NO_EVENT;
  }

  /** Takes the payload, or a piece of it; `last`: the message ends with it. */
  payload(last: boolean): MessageEvent {
    const { buf, start, end, key } = this.#frames;
    if (this.use === IGNORED) return last ? this.#finish(NO_BYTES, 0, 0) : NO_EVENT;
    return this.#extended
      ? this.#feed(buf, start, end, key, last)
      : this.#take(buf, start, end, key, last, undefined);
  }

  /** Gives payload to the extension. */
  #feed(bytes: Uint8Array, start: number, end: number, key: number, last: boolean): MessageEvent {
    xorAnywhere(bytes, start, end, key);
    try {
      this.extension!.feed(bytes, start, end, last);
    } catch (error) {
      return this.#failBy(error);
    }
    this.transforming = true;
    // Announced before its first plain bytes, which may need a later turn or a later frame.
    const begins = this.delivery === PIECES && !this.#announced;
    return begins ? this.#piece(NO_BYTES, 0, 0, false) : STEP;
  }

  /** Lets the extension make the next plain bytes. */
  step(): MessageEvent {
    const decoder = this.#decoder;
    const extension = this.extension!;
    // A real NEED_MORE: `next` returns it, because the message is still transforming. The extension
    // calls `resume` when it can continue.
    if (!extension.ready()) return NEED_MORE;
    // The limit may have been lowered since the message began.
    if (!this.checkLength()) return FAILED;
    const limit = this.rules.limit - decoder.length;
    const first = decoder.length === 0 && this.delivery === WHOLE;
    const expected = first ? extension.unread * EXPECTED_RATIO : LARGEST_STEP;
    const lease = this.memory.leases.acquire(Math.min(expected, LARGEST_STEP));
    let event: MessageEvent = FAILED;
    try {
      const size = checkedSize(extension.step(lease.bytes, limit), lease.bytes, limit);
      const last = extension.done;
      this.transforming = extension.more;
      decoder.length += size;
      if (this.checkLength()) {
        if (last) extension.endMessage();
        event = this.#take(lease.bytes, 0, size, 0, last, lease);
      }
    } catch (error) {
      this.#failBy(error);
    } finally {
      if (!this.#lends) lease.release();
      this.#lends = false;
    }
    return event === NO_EVENT && this.transforming ? STEP : event;
  }

  /**
   * Takes the next plain bytes of the message, `last`: it ends with them.
   *
   * @param key - Little-endian masking key for the first byte; 0 for none.
   * @param lease - The memory of `bytes`, if the caller of {@link next} may have it.
   */
  #take(
    bytes: Uint8Array,
    start: number,
    end: number,
    key: number,
    last: boolean,
    lease: Lease | undefined,
  ): MessageEvent {
    const decoder = this.#decoder;
    const memory = this.memory;
    const isText = decoder.type === TextMessage;
    const isOwned = decoder.memory === OWNED;
    const isWhole = this.delivery === WHOLE && this.use === DELIVERED;
    // A borrowed message that the extension made in one step stays where it is.
    const stays = lease !== undefined && last && memory.length === 0 && !isOwned;
    if (isWhole && !stays) {
      const at = memory.length;
      if (lease !== undefined) memory.announce(end - start, last);
      const ascii = memory.append(bytes, start, end, key, isOwned);
      if (isText && !this.rules.mayContinue(memory.bytes, at, memory.length, ascii)) {
        return this.fail(invalidText());
      }
      return last ? this.#finish(NO_BYTES, 0, 0) : NO_EVENT;
    }
    const inPieces = this.delivery === PIECES;
    if (inPieces || isText) xorAnywhere(bytes, start, end, key);
    if (isText && !this.rules.mayContinue(bytes, start, end, false)) {
      return this.fail(invalidText());
    }
    if (lease !== undefined && (inPieces || isWhole)) {
      decoder.setLease(lease);
      this.#lends = true;
    }
    if (last) return this.#finish(bytes, start, end);
    const isEmptyStep = lease !== undefined && start === end;
    return inPieces && !isEmptyStep ? this.#piece(bytes, start, end, false) : NO_EVENT;
  }

  #piece(bytes: Uint8Array, start: number, end: number, fin: boolean): MessageEvent {
    const decoder = this.#decoder;
    decoder.show(bytes, start, end);
    decoder.fin = fin;
    if (this.#announced) return MESSAGE_DATA;
    this.#announced = true;
    return MESSAGE_BEGIN;
  }

  /** Checks the message's length: the frame decoder checks the limit only for plain messages. */
  checkLength(): boolean {
    if (this.#decoder.length <= this.rules.limit) return true;
    this.fail(this.rules.tooBig());
    return false;
  }

  /** Ends the message. Unless it is assembled, `bytes[start, end)` is its last piece, or all of it. */
  #finish(bytes: Uint8Array, start: number, end: number): MessageEvent {
    const decoder = this.#decoder;
    const delivery = this.delivery;
    // A text may end inside a character.
    const isCut = decoder.type === TextMessage && this.use !== IGNORED && !this.rules.mayEnd;
    this.#endMessage();
    if (isCut) return this.fail(invalidText());
    this.counters.messagesIn++;
    if (delivery === PIECES) return this.#piece(bytes, start, end, true);
    if (delivery === UNWANTED || this.use !== DELIVERED) return SKIPPED;
    if (this.#lends) decoder.show(bytes, start, end);
    else this.#showAssembled();
    return MESSAGE;
  }

  #showAssembled(): void {
    const decoder = this.#decoder;
    const memory = this.memory;
    const { length } = memory;
    if (length === 0) return decoder.show(NO_BYTES, 0, 0);
    if (decoder.memory === OWNED) return decoder.showOwned(memory.takeOwn());
    const lease = memory.takeLease();
    decoder.setLease(lease);
    decoder.show(lease.bytes, 0, length);
  }

  /** The extension has thrown `error`. Throws it again unless it is a fault of the peer. */
  #failBy(error: unknown): typeof FAILED {
    if (!(error instanceof ProtocolError)) throw error;
    return this.fail(error);
  }

  fail(error: ProtocolError | undefined): typeof FAILED {
    if (error !== undefined) error.offset ??= this.#frames.offset;
    this.#decoder.error = error;
    this.memory.release();
    return FAILED;
  }
}
