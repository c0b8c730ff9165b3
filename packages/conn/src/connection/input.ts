import {
  CHECKED_ONLY,
  CLOSE,
  DELIVERED,
  FAILED,
  IGNORED,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageDecoder,
  type MessageEvent,
  NEED_MORE,
  type PayloadUse,
  PING,
  PONG,
  ProtocolError,
  parseCloseMessage,
  SKIPPED,
  STEP,
  type WebSocketError,
} from '@ws/codec';
import { NO_BYTES } from '@ws/codec/internal';
import { causeText, TransportError } from '../errors.ts';
import { Message } from '../message.ts';
import type { Gate } from '../read/gate.ts';
import { closeFrameOf, decodeError } from '../read/message-faults.ts';
import type { ReadResult } from '../read/pending-read.ts';
import type { Connection } from './connection.ts';

/**
 * Frames of one connection that are parsed in one turn of the event loop: less than 1 ms, if the
 * reader streams fragments of one byte.
 */
const FRAMES_PER_TURN = 1_000;

// Stages of the loop.

/** Nothing is parsed yet: the code that created the connection first runs its synchronous part. */
const STARTING = 0;
const READY = 1;
const PARSING = 2;

/**
 * The input of a connection: turns chunks into messages for the reader, and into control frames and
 * faults for the connection. It leases a decoder while there is unparsed input.
 *
 * The loop parses a chunk while a read waits for messages. The rest stays unparsed until all ready
 * microtasks have run. By then the caller may have started the next read; otherwise the rest is
 * parsed into the read-ahead. So an echo loop of `await`s needs no queue, and pings are answered
 * although no read is pending.
 *
 * A pass is one run of the loop, with what its events do. When a pass has parsed all input and no
 * pull reader has a message, frames written in it are sent at once. Otherwise they are sent at the
 * end of the turn, together with what the reader writes until then.
 */
export class Input {
  /** Whether parsing has ended. The input then holds no pooled memory. */
  stopped = false;
  /** Leased while there is input. */
  decoder: MessageDecoder | undefined;
  /** Whether a pass runs. */
  inPass = false;
  /** Sees each message before a reader gets it. Few connections have one. */
  gate: Gate | undefined;
  /**
   * Whether the gate holds back what has arrived for a reader. Input is then parsed into the
   * read-ahead, as without a read.
   */
  held = false;
  readonly #connection: Connection;
  #stage: typeof STARTING | typeof READY | typeof PARSING = STARTING;
  #use: PayloadUse = DELIVERED;
  /** An event that was parsed before the loop began. The loop handles it first. */
  #unhandled: MessageEvent | undefined;
  /** Whether this turn's share of frames is used up. */
  #spent = false;
  #yielding = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Whether more input is wanted even when the read-ahead is full. */
  get wanted(): boolean {
    if (this.stopped || this.dropping) return true;
    if (this.#spent || this.#stage < READY || this.decodesLater) return false;
    return this.#connection.reader.waits;
  }

  /** Whether the decoder may return an event without another chunk. */
  get pending(): boolean {
    return this.decoder?.pending === true;
  }

  /** Whether the extension waits for its turn to decode. */
  get decodesLater(): boolean {
    return this.#connection.extension?.waiting === true;
  }

  /** Whether all messages are dropped, unchecked. */
  get dropping(): boolean {
    return this.#use === IGNORED;
  }

  /** Whether messages are delivered. */
  get delivers(): boolean {
    return this.#use === DELIVERED;
  }

  get starting(): boolean {
    return this.#stage === STARTING;
  }

  /** Lets the loop parse: the code that created the connection has run its synchronous part. */
  start(): void {
    if (this.#stage === STARTING) this.#stage = READY;
  }

  /** Takes `chunk[0, end)`, lent for this call, and parses it while a read waits. */
  arrived(chunk: Uint8Array, end: number): void {
    this.decoder ??= this.#leaseDecoder();
    this.decoder.push(chunk, end);
    this.parse(false);
    this.decoder?.keep();
  }

  #leaseDecoder(): MessageDecoder {
    const connection = this.#connection;
    const { shared, reader, readLimit, extension } = connection;
    const decoder = shared.decoders.acquire() ?? shared.createDecoder();
    decoder.attach(connection, readLimit, extension, reader);
    if (this.#use !== DELIVERED) decoder.setPayloadUse(this.#use);
    decoder.stopAt = connection.framesIn + FRAMES_PER_TURN;
    return decoder;
  }

  /** Returns the decoder when all input is parsed. */
  #returnDecoder(decoder: MessageDecoder): void {
    if (!decoder.idle || this.#spent) return;
    this.decoder = undefined;
    decoder.detach();
    this.#connection.shared.decoders.release(decoder);
  }

  /** Returns the decoder when no unparsed byte is left. */
  returnIfIdle(): void {
    const { decoder } = this;
    if (decoder === undefined || this.#stage === PARSING) return;
    // The decoder has the payload of that event.
    if (this.#unhandled !== undefined) return;
    decoder.releaseParsed();
    this.#returnDecoder(decoder);
  }

  set readLimit(bytes: number) {
    if (this.decoder !== undefined) this.decoder.readLimit = bytes;
  }

  /** Changes the use of messages: see {@link MessageDecoder.setPayloadUse}. */
  useFor(use: PayloadUse): void {
    // The gate answers or counts messages that no reader wants.
    if (use === CHECKED_ONLY && this.gate?.readsAll === true) return;
    this.#use = use;
    const { messagesIn } = this.#connection;
    try {
      this.decoder?.setPayloadUse(use);
      // A message that had arrived, and that the extension has not decoded.
      const dropped = this.#connection.messagesIn - messagesIn;
      this.#connection.countDropped(dropped, this.#connection.reader.loses);
      if (use === IGNORED) this.#connection.extension?.destroy();
    } catch (error) {
      this.#connection.report(error, 'extension');
    }
  }

  /** Ends parsing and releases the memory of the input. */
  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.#unhandled = undefined;
    try {
      this.decoder?.destroy();
      this.#connection.extension?.destroy();
    } catch (error) {
      this.#connection.report(error, 'extension');
    }
  }

  /**
   * Moves the message under way and the state of the extension out of shared memory, because the
   * transport is closed.
   */
  leavePools(): void {
    this.#connection.extension?.detach?.();
    this.decoder?.leavePools();
  }

  /**
   * Continues after a wait for a later turn, or for the extension. Without a waiting read it fills the
   * read-ahead, so control frames are handled without a reader.
   */
  continue(): void {
    this.parse(!this.#connection.reader.waits);
  }

  /**
   * Runs the loop while a read waits for messages, in a new pass unless one is already running.
   *
   * @param ahead - Also parses into the read-ahead, while that has room.
   * @returns The result of the read whose call runs the loop, if its message was parsed.
   */
  parse(ahead: boolean): ReadResult | undefined {
    if (this.inPass) return this.#run(ahead);
    this.inPass = this.#stage !== STARTING;
    const result = this.#run(ahead);
    this.inPass = false;
    this.#connection.passEnded();
    return result;
  }

  /** The end of the turn: parses into the read-ahead. The connection then sends what was written. */
  parseAhead(): void {
    this.start();
    this.inPass = true;
    this.#run(true);
    this.inPass = false;
  }

  /**
   * Parses all remaining input into the read-ahead, without the bound on frames: the connection
   * ends in this turn.
   */
  parseRest(): void {
    this.#spent = false;
    if (this.decoder !== undefined) this.decoder.stopAt = Infinity;
    this.#run(true);
  }

  #run(ahead: boolean): ReadResult | undefined {
    const connection = this.#connection;
    if (this.#stage !== READY) {
      connection.balance();
      return undefined;
    }
    this.#stage = PARSING;
    const { decoder } = this;
    let result: ReadResult | undefined;
    try {
      if (decoder !== undefined) result = this.#loopInContext(decoder, ahead);
    } catch (error) {
      this.failed(error);
    } finally {
      if (this.#stage === PARSING) this.#stage = READY;
    }
    if (this.#spent) this.#continueInNextTurn();
    connection.loopEnded(ahead);
    return result;
  }

  /** The context is entered once for all messages of a chunk. */
  #loopInContext(decoder: MessageDecoder, ahead: boolean): ReadResult | undefined {
    const context = this.#connection.reader.receiveCall?.context;
    if (context === undefined) return this.#loop(decoder, ahead);
    // oxlint-disable-next-line typescript/unbound-method -- `this` is the second argument
    return context.runInAsyncScope(this.#loop, this, decoder, ahead);
  }

  #loop(decoder: MessageDecoder, ahead: boolean): ReadResult | undefined {
    const connection = this.#connection;
    const { reader } = connection;
    let result: ReadResult | undefined;
    while (!this.stopped && this.#stage === PARSING && this.#continues(decoder, ahead)) {
      if (this.#spends(decoder)) return result;
      let event = this.#unhandled ?? this.#serveHandler(decoder);
      this.#unhandled = undefined;
      if (this.gate !== undefined && !this.dropping) event = this.gate.pass(event, decoder);
      // Code of the application has run since the message began: its reader may have given up.
      if (event === MESSAGE_BEGIN && !reader.streams) event = this.#joined(decoder);
      switch (event) {
        case NEED_MORE:
          this.#returnDecoder(decoder);
          return result;
        case MESSAGE:
          if (this.#isObserved()) this.#observe(decoder);
          // The observer may have terminated the connection: no message is delivered after that.
          if (!this.stopped) result = reader.deliver(decoder) ?? result;
          break;
        // The observer comes last: its writes may bring the next chunk, which replaces the piece.
        case MESSAGE_BEGIN:
          result = reader.beginMessage(decoder, this.gate?.takeWithheld()) ?? result;
          if (decoder.fin && this.#isObserved()) this.#observe(decoder);
          break;
        case MESSAGE_DATA:
          reader.addPiece(decoder);
          if (decoder.fin && this.#isObserved()) this.#observe(decoder);
          break;
        case SKIPPED:
          if (this.#isObserved()) this.#observe(decoder);
          if (this.dropping) connection.countDropped(1, reader.loses);
          break;
        case STEP:
          break;
        case PING:
          connection.pinged(decoder);
          break;
        case PONG:
          connection.ponged(decoder);
          break;
        case CLOSE:
          this.#closeReceived(decoder);
          break;
        case FAILED:
          this.#fail(decodeError(decoder.error!, connection.readLimit));
          break;
      }
    }
    return result;
  }

  #continues(decoder: MessageDecoder, ahead: boolean): boolean {
    const { reader, extension } = this.#connection;
    if (reader.waits || this.dropping) return true;
    if (!ahead) return false;
    const { transforming } = decoder;
    // An encoded message waits for its reader: it may become much larger.
    if (!reader.hasRoom) return this.#connection.transportClosed && !transforming;
    return !transforming || extension!.readyAhead?.() !== false;
  }

  /** Whether this turn's share of frames is used up. Dropped frames cost little. */
  #spends(decoder: MessageDecoder): boolean {
    this.#spent = this.#connection.framesIn >= decoder.stopAt && !this.dropping;
    return this.#spent;
  }

  /**
   * Nearly all messages go this way: whole, and for a handler of `receive` that is free. One loop parses
   * them and calls the handler. It returns at any other event, while messages are queued, observed,
   * dropped or pass a gate, and after a call that left the handler busy or ended reading.
   */
  #serveHandler(decoder: MessageDecoder): MessageEvent {
    const { reader } = this.#connection;
    const lends = reader.handlerFree;
    decoder.callerKeeps = !lends;
    decoder.streaming = !lends && reader.streams && !this.held && !this.dropping;
    const plain = lends && this.#use === DELIVERED && !this.#isWatched();
    for (;;) {
      const event = decoder.next();
      if (event !== MESSAGE || !plain) return event;
      const waits = reader.callHandler(decoder) && this.#use === DELIVERED;
      if (!waits || this.#connection.framesIn >= decoder.stopAt) return STEP;
    }
  }

  /**
   * The common read of a loop, with no message queued or read as a stream: the next message of a
   * chunk, in a turn whose end is scheduled. Declines at any other event, which the loop then
   * handles, while messages are watched, and when a pass, a pause or the end of the connection is
   * under way.
   */
  takeNext(): Message | undefined {
    const { decoder } = this;
    const connection = this.#connection;
    if (decoder === undefined || !connection.onlyTurnEndDue) return undefined;
    if (this.#stage !== READY || this.#unhandled !== undefined || this.#isWatched())
      return undefined;
    if (connection.framesIn >= decoder.stopAt) return undefined;
    const { reader } = connection;
    reader.directRead = 'a loop';
    try {
      decoder.callerKeeps = true;
      decoder.streaming = false;
      const event = decoder.next();
      if (event !== MESSAGE) {
        // Input that comes later must be read before these two count again.
        if (event !== NEED_MORE && event !== STEP) this.#unhandled = event;
        return undefined;
      }
      reader.attention.messageTaken = true;
      return new Message(decoder.type, decoder.data(), connection.platform);
    } catch (error) {
      this.failed(error);
      return undefined;
    } finally {
      reader.directRead = '';
    }
  }

  /** Delivers a message whole that has begun in pieces, because no read takes pieces any more. */
  #joined(decoder: MessageDecoder): typeof MESSAGE | typeof STEP {
    return decoder.turnIntoWhole(this.gate?.takeWithheld() ?? NO_BYTES) ? MESSAGE : STEP;
  }

  #closeReceived({ bytes, start, end }: MessageDecoder): void {
    try {
      const { code, reason } = parseCloseMessage(bytes.subarray(start, end));
      this.#connection.peerClosed(code, reason);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#fail(error);
    }
  }

  /** A parsing error must not reach the transport, where it would end the process. */
  failed(cause: unknown): void {
    this.#fail(new TransportError(`reading failed: ${causeText(cause)}`, { cause }));
  }

  #fail(error: WebSocketError): void {
    const { code, reason } = closeFrameOf(error);
    this.#connection.fail(error, code, reason);
  }

  /** Whether something sees each message before a reader gets it. */
  #isWatched(): boolean {
    return this.gate !== undefined || this.#isObserved();
  }

  #isObserved(): boolean {
    return this.#connection.shared.platform.observer?.messageIn !== undefined;
  }

  #observe({ type, length }: MessageDecoder): void {
    const connection = this.#connection;
    connection.observe((observer) => observer.messageIn?.(connection.conn, type, length));
  }

  /** Continues in the next turn: this turn's share of frames is used up. */
  #continueInNextTurn(): void {
    if (this.#yielding) return;
    this.#yielding = true;
    this.#connection.platform.yield(() => {
      this.#yielding = false;
      this.#spent = false;
      if (this.decoder !== undefined) {
        this.decoder.stopAt = this.#connection.framesIn + FRAMES_PER_TURN;
      }
      this.continue();
    });
  }
}
