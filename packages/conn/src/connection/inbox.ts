import {
  CLOSE,
  FAILED,
  LEASED,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageDecoder,
  NEED_MORE,
  OWNED,
  type OwnedBytes,
  PING,
  PONG,
  SKIPPED,
  STEP,
} from '@ws/codec';
import { END, type MachineEvent } from '@ws/codec/internal';
import { Message } from '../message.ts';
import { messageBlocks } from '../read/message-blocks.ts';
import type { Connection } from './connection.ts';
import { pauseOrResume, readAheadHasRoom } from './read-ahead.ts';
import { ReadSide } from './read-side.ts';
import {
  AFTER,
  ASKS,
  BROKEN,
  cellName,
  DISCARDS,
  FREE,
  HAS_MESSAGE,
  KEPT,
  NONE,
  type Reader,
  type ReaderEvent,
} from './reader.ts';
import { FRAMES_PER_TURN } from './shared.ts';

// Four functions give whole messages to a reader. `#nextEvent` gives nearly all of them.
//
// | function      | when                                        | which messages                      |
// |---------------|---------------------------------------------|-------------------------------------|
// | `#nextEvent`  | the handler of `receive` is free, and no    | the next messages of the input      |
// |               | observer sees the messages                  |                                     |
// | `#deliver`    | there is another reader, or an observer     | the next message of the input       |
// | `shiftQueued` | a read begins, a handler has settled, or    | the messages of the read-ahead      |
// |               | the rate has a token, or a later turn       |                                     |
// | `takeNext`    | `readMessage` or `for await` begins a read, | the next message of the input,      |
// |               | after a chunk of this turn: pull-reads.ts   | without the loop                    |
//
// `#loop` parses the input while a reader waits, or while the read-ahead has room. `#run` calls `#loop`
// for a chunk, for a new read, at the end of a turn, and in a later turn once the quota is used up.

// Stages of the loop.

/** Nothing is parsed: the code that has created the connection still runs, and may set handlers. */
const STARTING = 0;
const READY = 1;
const PARSING = 2;

// Bits of the quota of a turn. The quota is FRAMES_PER_TURN frames.

/** This turn has parsed its quota. */
const QUOTA_SPENT = 1;
/** A later turn is scheduled, in which the loop continues. */
const CONTINUES_LATER = 2;

/**
 * How far the loop parses. `reader`: while a reader waits. `read-ahead`: also while the read-ahead has
 * room. `last`: as `read-ahead`, but outside a pass, because the end of a pass would send frames.
 */
type UpTo = 'reader' | 'read-ahead' | 'last';

/** Number of events that a program for debugging gets. */
const REMEMBERED = 16;

/** The decoder needs more input, or another call. */
type NoEvent = typeof NEED_MORE | typeof STEP;

/**
 * Reads for one connection: parses chunks and gives messages to one reader: the handler of
 * `receive`, `discardReads`, a {@link PullRead}, or a MessageReader, which reads a message in pieces.
 * While no reader waits, the inbox queues messages, up to the read-ahead. The inbox delivers no message
 * after a fault. The connection leases a decoder while input is unparsed.
 *
 * The loop parses a chunk while a reader waits. The rest of the chunk stays unparsed until the end of
 * the turn, because the caller may begin the next read before that. At the end of the turn, the loop
 * parses the rest into the read-ahead. So an echo loop of `await`s needs no queue, and pings are
 * answered although no read is pending.
 *
 * A pass is one run of the loop, including the handlers that the loop calls. Frames that were written
 * in a pass are sent when the pass ends, if no input is left and no reader has a message. Otherwise the
 * frames are sent at the end of the turn, together with frames that the reader writes until then.
 */
export class Inbox extends ReadSide {
  reader: Reader = NONE;
  held = false;
  /** Whether the next message or piece of the input goes to the reader, not to the read-ahead. */
  takes = false;
  inPass = false;
  #stage: typeof STARTING | typeof READY | typeof PARSING = STARTING;
  /** Bits of this turn's quota: {@link QUOTA_SPENT}, {@link CONTINUES_LATER}. */
  #quota = 0;

  /** The only place where the state of the reader changes. */
  on(event: ReaderEvent): void {
    const before = this.reader;
    const reader = AFTER[before][event]!;
    this.reader = reader;
    this.takes = (reader & ASKS) !== 0 && !this.held;
    if (reader === BROKEN && before !== BROKEN) this.#broken(before, event);
  }

  #broken(reader: Reader, event: ReaderEvent): void {
    const connection = this.connection;
    const error = new Error(`bug in the library: reader ${cellName(reader, event)}`);
    // Later: the caller is within a read, or within the loop.
    connection.platform.defer(() => connection.handlerFailed(error, 'receive'));
  }

  gate(): void {
    this.held = this.rate?.empty === true || this.readAhead?.isHeld === true;
    this.takes = (this.reader & ASKS) !== 0 && !this.held;
  }

  /** Whether the inbox can use more input although the read-ahead is full. */
  get wantsInput(): boolean {
    if (this.connection.machine.inputEnded || this.drops) return true;
    if ((this.#quota & QUOTA_SPENT) !== 0 || this.#stage < READY) return false;
    // The extension decodes no message before a later turn.
    if (this.connection.extension?.waiting === true) return false;
    return this.takes;
  }

  /**
   * The decoder from which a pull read may take its message without a pass. Undefined unless the end
   * of the turn is scheduled. Also undefined when a pass is necessary: if a message is queued, read in
   * pieces or observed, if there is a rate, if the transport is paused, or if the connection ends.
   */
  get decoderForPull(): MessageDecoder | undefined {
    const { awaitsTurn, ending, machine } = this.connection;
    if (!awaitsTurn || (ending ?? this.rate ?? this.pieces ?? this.readAhead) !== undefined)
      return undefined;
    if (this.#stage !== READY || this.inPass || this.#isObserved()) return undefined;
    const { input } = machine;
    return input !== undefined && machine.framesIn < input.stopAt ? input : undefined;
  }

  /** Lets the loop parse: the code that created the connection has run its synchronous part. */
  start(): void {
    if (this.#stage === STARTING) this.#stage = READY;
  }

  /** Parses `chunk[0, end)` while a reader waits. The chunk is borrowed: the machine keeps a copy of the rest. */
  chunkArrived(chunk: Uint8Array, end: number): void {
    const { machine } = this.connection;
    machine.push(chunk, end);
    this.run('reader');
    if (machine.input !== undefined) machine.keep();
  }

  /** Releases an empty queue, pieces that were read to the end, and a decoder without input. */
  releaseUnused(): void {
    if (this.readAhead?.isUnused === true) this.readAhead = undefined;
    if (this.pieces?.isReadToEnd === true) this.pieces = undefined;
    const decoder = this.connection.machine.input;
    if (decoder !== undefined && this.#stage !== PARSING) this.#releaseParsed(decoder);
  }

  /** Ends the loan of a decoder without input. */
  #releaseParsed(decoder: MessageDecoder): void {
    decoder.releaseParsed();
    if (decoder.idle && (this.#quota & QUOTA_SPENT) === 0) this.connection.machine.giveBack();
  }

  /** Ends parsing and releases the memory of the input. */
  stopParsing(): void {
    try {
      this.connection.machine.drop();
      this.connection.extension?.destroy();
    } catch (error) {
      this.connection.report(error, 'extension');
    }
  }

  // The loop

  /** Runs the loop, in a new pass unless a pass is running. */
  run(upTo: UpTo): void {
    if (upTo === 'last') return this.#run(true);
    const readsAhead = upTo === 'read-ahead';
    if (this.inPass) return this.#run(readsAhead);
    this.inPass = this.#stage !== STARTING;
    this.#run(readsAhead);
    this.inPass = false;
    this.#passEnded();
  }

  /**
   * Continues to parse. Called when the extension or the rate is ready, and in a later turn. While no
   * reader waits, the loop fills the read-ahead, so that control frames are handled.
   */
  continue(): void {
    this.connection.control?.checkExpiry();
    this.run(this.takes ? 'reader' : 'read-ahead');
  }

  /** Called at the end of a turn: parses into the read-ahead. The connection then sends its frames. */
  turnEnds(): void {
    if (this.#stage === STARTING) this.#stage = READY;
    this.inPass = true;
    this.#run(true);
    this.inPass = false;
  }

  /**
   * Called when the transport is closed. Parses the input of this turn, because the peer's close frame
   * may follow an encoded message, and the extension is about to lose its shared resources.
   *
   * @returns Whether input is still unparsed. Then call this method again in a later turn.
   */
  runLast(): boolean {
    const { extension, awaitsTurn, machine } = this.connection;
    // The input may contain the peer's close frame, and no pass has parsed any of it.
    if (this.#stage === STARTING && machine.input?.pending === true) return true;
    if (extension === undefined) return false;
    if (awaitsTurn && machine.input?.pending === true) this.run('last');
    return extension.waiting === true;
  }

  #run(readsAhead: boolean): void {
    const connection = this.connection;
    // While PARSING, code that the loop has called calls this method. The loop continues afterwards.
    if (this.#stage !== READY) return pauseOrResume(connection);
    this.#stage = PARSING;
    const { machine } = connection;
    this.rate?.chunkArrived();
    try {
      if (machine.input !== undefined || (connection.ending !== undefined && machine.endIsDue)) {
        // The async context of `receive`, entered once for all messages of a chunk.
        const context = this.receiveCall?.context;
        if (context === undefined) this.#loop(readsAhead);
        // oxlint-disable-next-line typescript/unbound-method -- `this` is the second argument
        else context.runInAsyncScope(this.#loop, this, readsAhead);
      }
    } catch (error) {
      connection.readingFailed(error);
    } finally {
      this.#stage = READY;
    }
    if ((this.#quota & QUOTA_SPENT) !== 0) this.#continueInNextTurn();
    connection.ending?.parsed(readsAhead);
    const hasUnread = (machine.input ?? this.readAhead ?? this.pieces) !== undefined;
    if (hasUnread) pauseOrResume(connection);
  }

  /** A pass has ended. Sends the frames of the pass, unless the reader may write more in this turn. */
  #passEnded(): void {
    const connection = this.connection;
    const { readAhead } = this;
    if (readAhead?.paused === true) readAhead.renewalDue = true;
    const { input } = connection.machine;
    const hasUnread = (input ?? readAhead ?? this.pieces) !== undefined;
    const endIsDue = connection.ending?.reasons.readEnd !== undefined && this.ended === undefined;
    // A reader has a message, or may get one in this turn. After our last frame, it cannot write.
    const mayWrite = (this.reader & HAS_MESSAGE) !== 0 && connection.machine.open;
    const mayGet = hasUnread && (input?.pending === true || !this.nothingUnread);
    if (endIsDue || mayWrite || mayGet) connection.scheduleEndOfTurn();
    else connection.outbox.passEnded();
    if (hasUnread) this.releaseUnused();
  }

  #loop(readsAhead: boolean): void {
    const connection = this.connection;
    const { machine } = connection;
    while (!machine.inputEnded) {
      const decoder = machine.input;
      if (decoder === undefined) {
        if (machine.next() === END) connection.controlOrEnd(END);
        return;
      }
      if (!this.takes && !(readsAhead ? this.#readsAhead(decoder) : this.drops)) {
        this.#releaseParsed(decoder);
        // The peer's end needs no room in the read-ahead.
        if (machine.input !== undefined || connection.ending === undefined) return;
        continue;
      }
      // This turn's quota of frames is used up. Frames of dropped messages cost little.
      if (machine.framesIn >= decoder.stopAt && !this.drops) {
        this.#quota |= QUOTA_SPENT;
        return;
      }
      this.#quota &= ~QUOTA_SPENT;
      const event = this.#nextEvent(decoder);
      if (event === NEED_MORE) return;
      if (event !== STEP) this.handle(event, decoder);
    }
  }

  handle(event: Exclude<MachineEvent, NoEvent>, decoder: MessageDecoder): void {
    switch (event) {
      case MESSAGE:
        this.#deliver(decoder);
        break;
      // The observer comes last: it may write, and the peer's next chunk may then overwrite this piece.
      case MESSAGE_BEGIN:
        // Since the message began, the application may have cancelled its read.
        if (this.pull?.streams === true) {
          const reader = this.beginPieces(decoder);
          // In `beginPieces`, the rate may have ended the connection and the read.
          if (this.pull !== undefined) this.give(reader);
          if (decoder.fin) this.#observe(decoder);
        } else if (decoder.becomeWhole()) this.#deliver(decoder);
        break;
      case MESSAGE_DATA:
        this.addPiece(decoder, 0);
        if (decoder.fin) this.#observe(decoder);
        break;
      case SKIPPED:
        this.#observe(decoder);
        if (this.drops) this.countDropped(1);
        break;
      case PING:
      case PONG:
      case CLOSE:
      case FAILED:
      case END:
        this.connection.controlOrEnd(event);
        break;
    }
  }

  /** Whether the loop continues at the end of a turn although no reader takes the next message. */
  #readsAhead(decoder: MessageDecoder): boolean {
    if (this.drops) return true;
    const connection = this.connection;
    if (!readAheadHasRoom(connection)) return false;
    // An encoded message usually waits for its reader, because decoding may make it much larger.
    return !decoder.transforming || connection.extension!.readyAhead?.() !== false;
  }

  /**
   * Parses up to the next event that {@link handle} must handle. Nearly all messages are whole and
   * arrive while the handler of `receive` is free: this method calls the handler with each of them. Its
   * loop ends at any other event, and when a call leaves the handler busy or ends reading.
   *
   * @returns The first event that is not for the handler. STEP when the loop ends after a call.
   */
  #nextEvent(decoder: MessageDecoder): MachineEvent {
    const { machine } = this.connection;
    const { takes, pull } = this;
    const isFree = takes && this.reader === FREE;
    decoder.memory = isFree ? LEASED : OWNED;
    decoder.streaming = takes && pull?.streams === true && !this.drops;
    const handlerOnly = isFree && this.use === KEPT && !this.#isObserved();
    for (;;) {
      const event = machine.next();
      if (event !== MESSAGE || !handlerOnly) return event;
      this.rate?.deliver(decoder.length);
      // The rate may have ended the connection.
      if (machine.inputEnded || this.ended !== undefined) return STEP;
      this.receiveCall!.take(decoder);
      if (!this.takes || this.use !== KEPT || machine.framesIn >= decoder.stopAt) return STEP;
    }
  }

  /** Whether an observer sees each message before its reader. */
  #isObserved(): boolean {
    return this.connection.shared.platform.observer?.messageIn !== undefined;
  }

  /** A message has arrived: the rate counts the message, and the observer sees it. */
  #observe(decoder: MessageDecoder): void {
    if (!this.drops) this.rate?.arrived(decoder.length);
    // Not by `#isObserved`, which would be a call for each message.
    const { observer } = this.connection.shared.platform;
    if (observer?.messageIn !== undefined) observeMessage(this.connection, decoder);
  }

  /** This turn's quota of frames is used up. The loop continues in the next turn. */
  #continueInNextTurn(): void {
    if ((this.#quota & CONTINUES_LATER) !== 0) return;
    this.#quota |= CONTINUES_LATER;
    const connection = this.connection;
    connection.platform.yield(() => {
      this.#quota = 0;
      const { input, framesIn } = connection.machine;
      if (input !== undefined) input.stopAt = framesIn + FRAMES_PER_TURN;
      this.continue();
    });
  }

  // Messages

  /** Gives a whole message to the reader, or queues the message. */
  #deliver(decoder: MessageDecoder): void {
    this.#observe(decoder);
    // The observer or the rate may have ended the connection. No message is delivered after that.
    if (this.connection.machine.inputEnded) return;
    if (this.use !== KEPT) {
      if (this.drops) this.countDropped(1);
      return;
    }
    const { takes, reader, pull } = this;
    if (takes) {
      this.rate?.take(1, decoder.length);
      if (reader === FREE) return this.receiveCall!.take(decoder);
      if (reader === DISCARDS) return;
    }
    const message = new Message(decoder.type, decoder.data(), this.connection.shared.platform);
    decoder.release();
    if (takes) return this.give(pull!.streams ? this.readerOf(message) : message);
    const readAhead = this.readAheadOrNew();
    readAhead.push(message);
    if (readAhead.isHeld) this.gate();
  }

  /**
   * Allocates the memory of a message that its reader keeps. The decoder calls this method.
   *
   * @param following - Number of bytes after the message in the input.
   */
  allocate(size: number, following: number): OwnedBytes {
    // A queued message may wait for long, so it gets separate memory: it must not keep a block alive.
    if (this.pull === undefined || this.held) return new Uint8Array(size);
    const connection = this.connection;
    return messageBlocks.take(size, following, connection, connection.shared.endOfTurn);
  }
}

// A separate function: within `#observe`, the closure would cost an object even without an observer.
function observeMessage(connection: Connection, { type, length }: MessageDecoder): void {
  connection.observe((observer) => observer.messageIn?.(connection.conn, type, length));
}

/** See `InternalsOfConn.rememberEvents`. */
export function rememberEvents(
  { inbox, platform }: Connection,
  tell: (events: readonly string[]) => void,
): void {
  const events: string[] = [];
  inbox.on = (event) => {
    if (inbox.reader === BROKEN) return;
    events.push(cellName(inbox.reader, event));
    if (events.length > REMEMBERED) events.shift();
    Inbox.prototype.on.call(inbox, event);
    if ((inbox.reader as Reader) === BROKEN) platform.defer(() => tell(events));
  };
}
