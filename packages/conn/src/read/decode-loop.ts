import {
  CLOSE,
  DELIVERED,
  type Extension,
  FAILED,
  IGNORED,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageCounters,
  type MessageDecoder,
  type MessageEvent,
  NEED_MORE,
  type OwnedBytes,
  type PayloadUse,
  PING,
  PONG,
  SKIPPED,
  STEP,
} from '@ws/codec';
import type { Pool } from '@ws/codec/internal';
import type { PerMessageDeflate } from '../deflate/per-message-deflate.ts';
import type { Observer } from '../platform/observer.ts';
import type { Platform } from '../platform/platform.ts';
import type { ReadResult } from './pending-read.ts';

/**
 * Frames of one connection that are parsed in one turn of the event loop: less than 1 ms, if the
 * reader streams fragments of one byte.
 */
const FRAMES_PER_TURN = 1_000;

// Stages of the decode loop.

/** Nothing is parsed yet: the code that created the connection first runs its synchronous part. */
const STARTING = 0;
const READY = 1;
const PARSING = 2;

/** The connection of a decode loop. */
export interface DecodeLoopOwner extends MessageCounters {
  /** The `Conn`, for the observer. */
  readonly conn: object;
  readonly platform: Platform;
  /** The longest message, in bytes. */
  readonly readLimit: number;
  /** The agreed extension, or all of them as one. */
  readonly extension: Extension | undefined;
  /** Set when both ends have agreed on permessage-deflate. */
  readonly deflate: PerMessageDeflate | undefined;
  /** Lends decoders to connections with the same settings. */
  readonly shared: { readonly decoders: Pool<MessageDecoder>; createDecoder(): MessageDecoder };
  /**
   * Whether plain messages are parsed although the read-ahead is full, because the transport is
   * closed. A compressed message waits for its reader: it may become much larger.
   */
  readonly parsesRest: boolean;
  /** Starts a pass of the loop. False when a pass is already running. */
  beginPass(): boolean;
  /** Ends the pass, so that frames written in it are sent. */
  endPass(): void;
  /**
   * The loop has stopped. Ends reading when that is due. `ahead`: the loop also parsed into the
   * read-ahead.
   */
  parsed(ahead: boolean): void;
  /**
   * Whether the end of the turn is scheduled and nothing else is due after a read: no pass runs, the
   * transport is not paused, the connection does not end.
   */
  readonly settled: boolean;
  /** Pauses or resumes the transport, depending on the size of the read-ahead. */
  balance(): void;
  /** A ping has arrived; `decoder` has its payload. */
  pinged(decoder: MessageDecoder): void;
  /** A pong has arrived; `decoder` has its payload. */
  ponged(decoder: MessageDecoder): void;
  /** The peer's close frame has arrived; `decoder` has its payload. */
  closeReceived(decoder: MessageDecoder): void;
  /** The peer broke a rule; `decoder` has the error. */
  faulted(decoder: MessageDecoder): void;
  /** Calls the observer of the platform, and reports its error. */
  observe(event: (observer: Observer) => unknown): void;
  /** Passes an error of the application to the option `report`. */
  report(error: unknown, where: string): void;
  /** Counts messages that have arrived and that no reader gets. */
  countDropped(messages: number): void;
  /** Parsing threw, for example because memory could not be allocated. */
  parsingFailed(error: unknown): void;
}

/**
 * Base class of `ReadSide`: leases a decoder while there is input, and runs the loop that parses.
 *
 * The loop parses a chunk while a read waits for messages. The rest stays unparsed until all ready
 * microtasks have run. By then the caller may have started the next read; otherwise the rest is
 * parsed into the read-ahead. So an echo loop of `await`s needs no queue, and pings are answered
 * although no read is pending.
 */
export abstract class DecodeLoop {
  /** Whether parsing has ended. The loop then holds no pooled memory for input. */
  stopped = false;
  protected readonly owner: DecodeLoopOwner;
  /** Leased while there is input. */
  protected decoder: MessageDecoder | undefined;
  #stage: typeof STARTING | typeof READY | typeof PARSING = STARTING;
  #payloadUse: PayloadUse = DELIVERED;
  /** An event that was parsed before the loop began. The loop handles it first. */
  protected unhandled: MessageEvent | undefined;
  /** Whether this turn's share of frames is used up. */
  #spent = false;
  #yielding = false;

  constructor(owner: DecodeLoopOwner) {
    this.owner = owner;
  }

  /** Whether a read waits for the next message. */
  abstract get readWaits(): boolean;
  /** Whether the messages that wait for a reader leave room for more. Unparsed input does not count. */
  abstract get hasRoom(): boolean;
  /** Whether the pending read takes its message as a stream. */
  protected abstract get streams(): boolean;
  /**
   * Delivers a message. If the call of a read runs the loop, returns the message as its result
   * instead.
   */
  protected abstract deliver(decoder: MessageDecoder): ReadResult | undefined;
  /**
   * Returns the next event of `decoder`. Gives messages straight to a waiting handler of `receive`
   * instead, and returns the first other event.
   */
  protected abstract handOver(decoder: MessageDecoder): MessageEvent;
  /** Makes memory for a message that a reader keeps; `following`: bytes after it in the input. */
  abstract allocate(size: number, following: number): OwnedBytes;
  /**
   * A message in pieces begins, with its first piece. Delivers or returns its reader as {@link
   * deliver} does.
   */
  protected abstract begin(decoder: MessageDecoder): ReadResult | undefined;
  /** Adds a piece to the message that {@link begin} announced. */
  protected abstract addPiece(decoder: MessageDecoder): void;
  /** The loop has stopped. Later messages are not results of the call that ran the loop. */
  protected abstract loopStopped(): void;

  /** Whether the loop wants input even when the read-ahead is full. */
  get wantsInput(): boolean {
    if (this.stopped || this.dropping) return true;
    return this.#stage !== STARTING && this.readWaits && !this.#spent && !this.inflatesLater;
  }

  /** Whether unparsed bytes are held. */
  get pending(): boolean {
    return this.decoder?.pending === true;
  }

  /** Whether the input waits for its turn to inflate. */
  get inflatesLater(): boolean {
    return this.owner.deflate?.waiting === true;
  }

  /** Whether all messages are dropped, unchecked. */
  get dropping(): boolean {
    return this.#payloadUse === IGNORED;
  }

  /** Whether messages are delivered. */
  protected get delivering(): boolean {
    return this.#payloadUse === DELIVERED;
  }

  /** Whether a new decode loop could replace this one: its state is the same as after `start`. */
  get droppable(): boolean {
    const kept = this.decoder !== undefined || this.stopped || this.#spent;
    return !kept && this.#stage === READY && this.#payloadUse === DELIVERED;
  }

  /** Whether the loop may start: it neither runs nor waits for the first turn. */
  protected get ready(): boolean {
    return this.#stage === READY;
  }

  get starting(): boolean {
    return this.#stage === STARTING;
  }

  /** Lets the loop parse: the code that created the connection has run its synchronous part. */
  start(): void {
    if (this.#stage === STARTING) this.#stage = READY;
  }

  /** Takes `chunk[0, end)`, lent for this call, and parses it while a read waits. */
  push(chunk: Uint8Array, end: number): void {
    this.decoder ??= this.#acquireDecoder();
    this.decoder.push(chunk, end);
    this.parseForReads();
    this.decoder?.keep();
  }

  #acquireDecoder(): MessageDecoder {
    const { owner } = this;
    const decoder = owner.shared.decoders.acquire() ?? owner.shared.createDecoder();
    decoder.attach(owner, owner.readLimit, owner.extension, this);
    decoder.setPayloadUse(this.#payloadUse);
    decoder.streaming = this.streams && !this.dropping;
    decoder.stopAt = owner.framesIn + FRAMES_PER_TURN;
    return decoder;
  }

  /** Releases the decoder when all input is parsed. */
  releaseIfIdle(): void {
    const { decoder } = this;
    if (decoder === undefined || this.#stage === PARSING) return;
    // The decoder has the payload of that event.
    if (this.unhandled !== undefined) return;
    decoder.releaseParsed();
    if (!decoder.idle || this.#spent) return;
    this.decoder = undefined;
    this.owner.deflate?.leaveInflaters();
    decoder.detach();
    this.owner.shared.decoders.release(decoder);
  }

  set readLimit(bytes: number) {
    if (this.decoder !== undefined) this.decoder.readLimit = bytes;
  }

  /** Whether the next message is delivered in pieces. */
  protected set streaming(streams: boolean) {
    if (this.decoder !== undefined) this.decoder.streaming = streams && !this.dropping;
  }

  protected setPayloadUse(use: PayloadUse): void {
    this.#payloadUse = use;
    try {
      this.decoder?.setPayloadUse(use);
      if (use === IGNORED) this.owner.extension?.destroy();
    } catch (error) {
      this.owner.report(error, 'extension');
    }
  }

  /** Ends parsing and releases the memory of the input. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    try {
      this.decoder?.destroy();
      this.owner.extension?.destroy();
    } catch (error) {
      this.owner.report(error, 'extension');
    }
  }

  /**
   * Moves the message under way, unread compressed input and the history out of pooled memory,
   * because the transport is closed.
   */
  leavePools(): void {
    this.decoder?.leavePools();
    this.owner.deflate?.leavePools();
  }

  /** Parses while a read waits, in a new pass unless a pass is already running. */
  parseForReads(): ReadResult | undefined {
    return this.#parseInPass(false);
  }

  /**
   * Continues after a wait for a later turn, or for an inflater. Without a waiting read it fills the
   * read-ahead, so control frames are handled without a reader.
   */
  continue(): void {
    this.#parseInPass(!this.readWaits);
  }

  #parseInPass(ahead: boolean): ReadResult | undefined {
    const outermost = this.owner.beginPass();
    const result = this.parse(ahead);
    if (outermost) this.owner.endPass();
    return result;
  }

  /**
   * Parses while a read waits for messages. `ahead`: also parses into the read-ahead, while that
   * has room.
   *
   * @returns The result of the read whose call runs the loop, if its message was parsed.
   */
  parse(ahead: boolean): ReadResult | undefined {
    if (this.#stage !== READY) {
      this.owner.balance();
      return undefined;
    }
    this.#stage = PARSING;
    const { decoder } = this;
    let result: ReadResult | undefined;
    try {
      if (decoder !== undefined) result = this.#parse(decoder, ahead);
    } catch (error) {
      this.owner.parsingFailed(error);
    } finally {
      this.#stage = READY;
    }
    if (this.#spent) this.#continueInNextTurn();
    this.owner.parsed(ahead);
    this.loopStopped();
    this.owner.balance();
    return result;
  }

  /**
   * Parses all remaining input into the read-ahead, without the bound on frames: the connection
   * ends in this turn.
   */
  parseRest(): void {
    this.#spent = false;
    if (this.decoder !== undefined) this.decoder.stopAt = Infinity;
    this.parse(true);
  }

  /** Whether this turn's share of frames is used up. Dropped frames cost little. */
  protected spends(decoder: MessageDecoder): boolean {
    this.#spent = this.owner.framesIn >= decoder.stopAt && !this.dropping;
    return this.#spent;
  }

  #parse(decoder: MessageDecoder, ahead: boolean): ReadResult | undefined {
    const { owner } = this;
    let result: ReadResult | undefined;
    while (!this.stopped && this.#continues(decoder, ahead) && !this.spends(decoder)) {
      const event = this.unhandled ?? this.handOver(decoder);
      this.unhandled = undefined;
      switch (event) {
        case NEED_MORE:
          return result;
        case MESSAGE:
          if (this.observed) this.#observe(decoder);
          // The observer may have terminated the connection: no message is delivered after that.
          if (!this.stopped) result = this.deliver(decoder) ?? result;
          break;
        // The observer comes last: its writes may bring the next chunk, which replaces the piece.
        case MESSAGE_BEGIN:
          result = this.begin(decoder) ?? result;
          if (decoder.fin && this.observed) this.#observe(decoder);
          break;
        case MESSAGE_DATA:
          this.addPiece(decoder);
          if (decoder.fin && this.observed) this.#observe(decoder);
          break;
        case SKIPPED:
          if (this.observed) this.#observe(decoder);
          if (this.dropping) owner.countDropped(1);
          break;
        case STEP:
          break;
        case PING:
          owner.pinged(decoder);
          break;
        case PONG:
          owner.ponged(decoder);
          break;
        case CLOSE:
          owner.closeReceived(decoder);
          break;
        case FAILED:
          owner.faulted(decoder);
          break;
      }
    }
    return result;
  }

  #continues(decoder: MessageDecoder, ahead: boolean): boolean {
    if (this.readWaits || this.dropping) return true;
    if (!ahead) return false;
    const { transforming } = decoder;
    if (!this.hasRoom) return this.owner.parsesRest && !transforming;
    const deflate = transforming ? this.owner.deflate : undefined;
    if (deflate?.inflatersBusy !== true) return true;
    deflate.awaitInflater();
    return false;
  }

  protected get observed(): boolean {
    return this.owner.platform.observer?.messageIn !== undefined;
  }

  #observe({ type, length }: MessageDecoder): void {
    const { owner } = this;
    owner.observe((observer) => observer.messageIn?.(owner.conn, type, length));
  }

  /** Continues in the next turn: this turn's share of frames is used up. */
  #continueInNextTurn(): void {
    if (this.#yielding) return;
    this.#yielding = true;
    this.owner.platform.yield(() => {
      this.#yielding = false;
      this.#spent = false;
      if (this.decoder !== undefined) this.decoder.stopAt = this.owner.framesIn + FRAMES_PER_TURN;
      this.continue();
    });
  }
}
