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
  NEED_MORE,
  type OwnedBytes,
  type PayloadUse,
  PING,
  PONG,
  SKIPPED,
  STEP,
} from '@ws/codec';
import { END, type MachineEvent } from '@ws/codec/internal';
import { isNormalEnd, ReadPendingError } from '../errors.ts';
import type { Message } from '../message.ts';
import { messageBlocks } from '../read/message-blocks.ts';
import { MessageQueue, messageOf } from '../read/message-queue.ts';
import {
  addPiece,
  beginPieces,
  type ReadResult,
  readerOf,
  readyReader,
} from '../read/message-reader.ts';
import { type PieceQueue, restDropped } from '../read/piece-queue.ts';
import type { PullRead } from '../read/pull-read.ts';
import type { Rate } from '../read/rate.ts';
import { FREE, type ReceiveCall } from '../read/receive-call.ts';
import type { Connection } from './connection.ts';
import { pauseOrResume, readAheadHasRoom } from './flow-control.ts';
import { FRAMES_PER_TURN } from './shared.ts';

// Messages come to a reader in four ways:
//
// | way                      | when                                      | what                               |
// |--------------------------|-------------------------------------------|------------------------------------|
// | `#nextEvent`             | the handler of `receive` is free, and     | whole messages of the input: nearly |
// |                          | nothing else sees the message             | all messages come this way         |
// | `#deliver`               | any other reader, or an observer          | whole messages of the input        |
// | `shiftQueued`            | a read begins, a handler has settled, or  | messages that were read ahead      |
// |                          | the rate has a token                      |                                    |
// | `takeNext`               | `readMessage` and `for await` begin, in a | one message of the input, without  |
// |                          | turn with a chunk: see pull-reads.ts      | the loop                           |
//
// `#loop` takes the events of the input, while a read waits or the read-ahead has room. `#run` calls it:
// for a chunk, for a new read, at the end of a turn, and in a later turn after the quota is used up.

// Stages of the loop.

/** Nothing is parsed yet. The code that created the connection first runs its synchronous part. */
const STARTING = 0;
const READY = 1;
const PARSING = 2;

// Bits of the quota: the frames that this turn may still parse.

/** The quota is used up. */
const QUOTA_SPENT = 1;
/** The loop continues in a later turn. */
const CONTINUES_LATER = 2;

/**
 * How far the loop parses: while a read waits; also into the read-ahead, while that has room.
 * `last` is for a closed transport: like `read-ahead`, but not in a pass, whose end sends frames.
 */
type UpTo = 'reader' | 'read-ahead' | 'last';

/** Why reading has ended. `normally`: `receive` resolves and iterations are done. */
type ReadEnd = { readonly reason: unknown; readonly normally: boolean };

/** The decoder needs more input, or another call. */
type NoEvent = typeof NEED_MORE | typeof STEP;

/**
 * The read side of a connection: turns chunks into events for one reader of messages. That is the
 * handler of `receive`, `discardReads`, a {@link PullRead}, or the reader of a message in pieces.
 * Without a reader that waits, messages are copied to a queue, up to the read-ahead. Messages after a
 * fault are not delivered. A decoder is leased while there is unparsed input.
 *
 * The loop parses a chunk while a read waits for messages. The rest stays unparsed until all ready
 * microtasks have run. By then the caller may have started the next read. Otherwise the rest is
 * parsed into the read-ahead. So an echo loop of `await`s needs no queue, and pings are answered
 * although no read is pending.
 *
 * A pass is one run of the loop, including the handlers that its events call. When a pass has
 * parsed all input and no pull read has a message, frames written in it are sent at once. Otherwise
 * they are sent at the end of the turn, together with what the reader writes until then.
 */
export class Inbox {
  receiveCall: ReceiveCall | undefined;
  /** The pending `readMessage`, `nextReader` or `next` of an iterator. */
  pull: PullRead<ReadResult> | undefined;
  /** The message that a MessageReader reads. */
  pieces: PieceQueue | undefined;
  /**
   * Whether a pull read got its message, and the application has not begun the next read. It may
   * still answer that message.
   */
  messageTaken = false;
  /** The messages that were read ahead. */
  queue: MessageQueue | undefined;
  /** Bounds what readers get. Few connections have one. */
  rate: Rate | undefined;
  /** Set when no further message can arrive. Queued messages can still be read. */
  ended: ReadEnd | undefined;
  inPass = false;
  /** Whether the application has begun to read. */
  hasRead = false;
  /** Whether the application's handler of this connection is running. */
  connHandlerRuns = false;
  readonly #connection: Connection;
  #stage: typeof STARTING | typeof READY | typeof PARSING = STARTING;
  /** What happens to messages: see {@link MessageDecoder.setPayloadUse}. */
  use: PayloadUse = DELIVERED;
  /** The state of this turn's quota of frames: {@link QUOTA_SPENT}, {@link CONTINUES_LATER}. */
  #quota = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Whether every message is read, and no handler is at work. */
  get isRead(): boolean {
    const { queue, receiveCall, pieces } = this;
    if (queue?.empty === false || receiveCall?.busy === true) return false;
    return pieces === undefined || pieces.empty;
  }

  /** The error of a read that begins while another one is pending. */
  clash(name: string): ReadPendingError | undefined {
    const pending = this.receiveCall?.name ?? this.pull?.name ?? this.pieces?.pending ?? '';
    return pending === '' ? undefined : new ReadPendingError(name, pending);
  }

  /** Whether the rate keeps messages from readers. The loop then parses as without a read. */
  get held(): boolean {
    return this.rate?.empty === true;
  }

  /** Whether code waits for the next message, or for the next piece of one. */
  get asks(): boolean {
    const { receiveCall } = this;
    if (receiveCall !== undefined) return receiveCall.state === FREE || receiveCall.discards;
    return this.pull !== undefined || this.pieces?.demanding === true;
  }

  /** Whether a reader would get the next message or piece at once. */
  get waits(): boolean {
    if (this.held || !this.asks) return false;
    return this.receiveCall?.handler === undefined || this.receiverFree;
  }

  /** Whether the handler of `receive` is free. It has no message, and takes the next one. */
  get receiverFree(): boolean {
    const { receiveCall, queue, rate } = this;
    if (receiveCall?.handler === undefined || receiveCall.state !== FREE) return false;
    return (queue === undefined || queue.empty) && (rate === undefined || !rate.empty);
  }

  /** Whether more input is wanted even when the read-ahead is full. */
  get wanted(): boolean {
    if (this.#connection.machine.inputEnded || this.dropping) return true;
    if ((this.#quota & QUOTA_SPENT) !== 0 || this.#stage < READY) return false;
    // The extension waits for its turn to decode.
    if (this.#connection.extension?.waiting === true) return false;
    return this.waits;
  }

  /** Whether all messages are dropped, unchecked. */
  get dropping(): boolean {
    return this.use === IGNORED;
  }

  /**
   * The decoder from which a pull read may take its message without a pass. Undefined unless the
   * end of the turn is scheduled, and nothing else is due after the read: no message is queued,
   * read in pieces or observed, the transport is not paused, and the connection does not end.
   */
  get straight(): MessageDecoder | undefined {
    const { awaitsTurn, paused, ending, machine } = this.#connection;
    if (!awaitsTurn || paused || ending !== undefined || this.rate !== undefined) return undefined;
    if (this.#stage !== READY || this.inPass || this.#isObserved()) return undefined;
    if (this.pieces !== undefined || this.queue?.empty === false) return undefined;
    const { input } = machine;
    return input !== undefined && machine.framesIn < input.stopAt ? input : undefined;
  }

  /** Lets the loop parse: the code that created the connection has run its synchronous part. */
  start(): void {
    if (this.#stage === STARTING) this.#stage = READY;
  }

  /** Takes `chunk[0, end)`, lent for this call, and parses it while a read waits. */
  arrived(chunk: Uint8Array, end: number): void {
    const { machine } = this.#connection;
    machine.push(chunk, end);
    this.run('reader');
    if (machine.input !== undefined) machine.keep();
  }

  /** Releases what is read, and the decoder when no unparsed byte is left. */
  #releaseRead(): void {
    if (this.queue?.empty === true) this.queue = undefined;
    if (this.pieces?.isRead === true) this.pieces = undefined;
    const decoder = this.#connection.machine.input;
    if (decoder === undefined || this.#stage === PARSING) return;
    decoder.releaseParsed();
    if (decoder.idle && (this.#quota & QUOTA_SPENT) === 0) this.#connection.machine.giveBack();
  }

  /** Changes what happens to messages: see {@link MessageDecoder.setPayloadUse}. */
  #useFor(use: PayloadUse): void {
    // The rate also bounds messages that are discarded.
    if (use === CHECKED_ONLY && this.rate !== undefined) return;
    this.use = use;
    const connection = this.#connection;
    const { messagesIn } = connection.machine;
    try {
      connection.machine.input?.setPayloadUse(use);
      // The decoder drops a message that has arrived and that the extension has not decoded.
      this.countDropped(connection.machine.messagesIn - messagesIn);
      if (use === IGNORED) connection.extension?.destroy();
    } catch (error) {
      connection.report(error, 'extension');
    }
  }

  /** @param lost - Whether a reader may still have wanted them. That reader rejects at the end. */
  countDropped(messages: number, lost: boolean = this.#connection.rare?.loses === true): void {
    if (messages > 0) this.#connection.rareParts().countDropped(messages, lost);
  }

  /** Ends parsing and releases the memory of the input. */
  stop(): void {
    try {
      this.#connection.machine.drop();
      this.#connection.extension?.destroy();
    } catch (error) {
      this.#connection.report(error, 'extension');
    }
  }

  // The loop

  /** Runs the loop, in a new pass unless one is already running. */
  run(upTo: UpTo): void {
    if (upTo === 'last') return this.#run(true);
    const ahead = upTo === 'read-ahead';
    if (this.inPass) return this.#run(ahead);
    this.inPass = this.#stage !== STARTING;
    this.#run(ahead);
    this.inPass = false;
    this.#passEnded();
  }

  /**
   * Continues after a wait for a later turn, or for the extension. Without a waiting read it fills the
   * read-ahead, so control frames are read without a reader.
   */
  continue(): void {
    this.#connection.rare?.checkExpiry();
    this.run(this.waits ? 'reader' : 'read-ahead');
  }

  /** The turn ends: parses into the read-ahead. The connection then sends what was written. */
  turnEnds(): void {
    if (this.#stage === STARTING) this.#stage = READY;
    this.inPass = true;
    this.#run(true);
    this.inPass = false;
  }

  /** The connection has sent what was written in this turn. */
  turnEnded(): void {
    if (this.#connection.machine.input ?? this.queue ?? this.pieces) this.#releaseRead();
  }

  /**
   * The transport is closed: parses the input of this turn, while the extension still has its
   * shared resources. The peer's close frame may follow an encoded message.
   *
   * @returns Whether some input waits for a later turn.
   */
  runLast(): boolean {
    const { extension, awaitsTurn, machine } = this.#connection;
    // Before the first pass, the peer's close frame may be in the input.
    if (this.#stage === STARTING && machine.input?.pending === true) return true;
    if (extension === undefined) return false;
    if (awaitsTurn && machine.input?.pending === true) this.run('last');
    return extension.waiting === true;
  }

  #run(ahead: boolean): void {
    const connection = this.#connection;
    // STARTING: nothing is parsed yet. PARSING: an event has called back, and its loop continues.
    if (this.#stage !== READY) return pauseOrResume(connection);
    this.#stage = PARSING;
    const { machine } = connection;
    this.rate?.refill();
    try {
      if (machine.input !== undefined || (connection.ending !== undefined && machine.endIsDue)) {
        // The context is entered once for all messages of a chunk.
        const context = this.receiveCall?.context;
        if (context === undefined) this.#loop(ahead);
        // oxlint-disable-next-line typescript/unbound-method -- `this` is the second argument
        else context.runInAsyncScope(this.#loop, this, ahead);
      }
    } catch (error) {
      connection.readingFailed(error);
    } finally {
      this.#stage = READY;
    }
    if ((this.#quota & QUOTA_SPENT) !== 0) this.#continueInNextTurn();
    connection.ending?.parsed(ahead);
    const holdsInput = (machine.input ?? this.queue ?? this.pieces) !== undefined;
    if (holdsInput || connection.rare !== undefined) pauseOrResume(connection);
  }

  /** A pass has ended: sends what was written in it, unless the reader may write more. */
  #passEnded(): void {
    const connection = this.#connection;
    const { receiveCall } = this;
    const flowControl = connection.rare?.flowControl;
    if (flowControl?.paused === true) flowControl.renewalDue = true;
    const { input } = connection.machine;
    const holdsInput = (input ?? this.queue ?? this.pieces) !== undefined;
    const endIsDue = connection.ending?.readEnd !== undefined && this.ended === undefined;
    const busy = receiveCall !== undefined && receiveCall.state !== FREE;
    // A reader has messages, or gets some in this turn.
    const mayWrite = this.messageTaken || (holdsInput && (input?.pending === true || !this.isRead));
    if (endIsDue || busy || mayWrite) connection.scheduleEndOfTurn();
    else connection.outbox.sender.passEnded();
    if (holdsInput) this.#releaseRead();
  }

  #loop(ahead: boolean): void {
    const connection = this.#connection;
    const { machine } = connection;
    while (!machine.inputEnded) {
      const decoder = machine.input;
      if (decoder === undefined) {
        if (machine.next() === END) connection.controlOrEnd(END);
        return;
      }
      const isFree = this.receiverFree;
      if (!isFree && !this.#continues(decoder, ahead)) return;
      // This turn's quota of frames is used up. Dropped frames cost little.
      if (machine.framesIn >= decoder.stopAt && !this.dropping) {
        this.#quota |= QUOTA_SPENT;
        return;
      }
      this.#quota &= ~QUOTA_SPENT;
      const event = this.#nextEvent(decoder, isFree);
      if (event === NEED_MORE) return;
      if (event !== STEP) this.handle(event, decoder);
    }
  }

  handle(event: Exclude<MachineEvent, NoEvent>, decoder: MessageDecoder): void {
    switch (event) {
      case MESSAGE:
        this.#messageArrived(decoder);
        break;
      // Calls the observer last: it may write, and the peer's next chunk may overwrite this piece.
      case MESSAGE_BEGIN:
        // Code of the application has run since the message began. Its reader may have given up.
        if (this.pull?.streams === true) {
          const reader = beginPieces(this.#connection, decoder);
          // The rate may have ended the connection.
          if (this.pull !== undefined) this.give(reader);
          if (decoder.fin) this.#observe(decoder);
        } else if (decoder.becomeWhole()) this.#messageArrived(decoder);
        break;
      case MESSAGE_DATA:
        addPiece(this.#connection, decoder, 0);
        if (decoder.fin) this.#observe(decoder);
        break;
      case SKIPPED:
        this.#observe(decoder);
        if (this.dropping) this.countDropped(1);
        break;
      case PING:
      case PONG:
      case CLOSE:
      case FAILED:
      case END:
        this.#connection.controlOrEnd(event);
        break;
    }
  }

  /** Whether the loop continues although no handler is free. */
  #continues(decoder: MessageDecoder, ahead: boolean): boolean {
    if (this.waits || this.dropping) return true;
    if (!ahead) return false;
    const connection = this.#connection;
    if (!readAheadHasRoom(connection)) return false;
    // An encoded message waits for its reader. It may become much larger.
    return !decoder.transforming || connection.extension!.readyAhead?.() !== false;
  }

  /**
   * Parses the next event. Nearly all messages go no further: they are whole, and the handler of
   * `receive` is free. One loop parses them and calls the handler. It returns at any other event, while
   * messages are queued, observed or dropped, and after a call that left the handler busy
   * or ended reading.
   *
   * @param isFree - Whether the handler is free.
   * @returns The first event that the handler did not get. STEP when the loop ends after a message.
   */
  #nextEvent(decoder: MessageDecoder, isFree: boolean): MachineEvent {
    const { machine } = this.#connection;
    decoder.callerKeeps = !isFree;
    decoder.streaming = !isFree && this.pull?.streams === true && !this.held && !this.dropping;
    const plain = isFree && this.use === DELIVERED && !this.#isObserved();
    for (;;) {
      const event = machine.next();
      if (event !== MESSAGE || !plain) return event;
      this.rate?.deliver(decoder.length);
      // The rate may have ended the connection.
      if (machine.inputEnded || this.ended !== undefined) return STEP;
      const isFreeAgain = this.receiveCall!.take(decoder) && this.use === DELIVERED && !this.held;
      if (!isFreeAgain || machine.framesIn >= decoder.stopAt) return STEP;
    }
  }

  /** Whether the observer sees each message before a reader gets it. */
  #isObserved(): boolean {
    return this.#connection.shared.platform.observer?.messageIn !== undefined;
  }

  /** A message has arrived. The rate counts it, and the observer sees it. */
  #observe(decoder: MessageDecoder): void {
    if (!this.dropping) this.rate?.arrived(decoder.length);
    if (this.#isObserved()) observeMessage(this.#connection, decoder);
  }

  /** Continues in the next turn: this turn's quota of frames is used up. */
  #continueInNextTurn(): void {
    if ((this.#quota & CONTINUES_LATER) !== 0) return;
    this.#quota |= CONTINUES_LATER;
    const connection = this.#connection;
    connection.platform.yield(() => {
      this.#quota = 0;
      const { input, framesIn } = connection.machine;
      if (input !== undefined) input.stopAt = framesIn + FRAMES_PER_TURN;
      this.continue();
    });
  }

  // Messages

  /** A whole message of the input, that `#nextEvent` has not given to the handler. */
  #messageArrived(decoder: MessageDecoder): void {
    this.#observe(decoder);
    // The observer or the rate may have ended the connection. No message is delivered after that.
    if (!this.#connection.machine.inputEnded) this.#deliver(decoder);
  }

  /** Gives a whole message to the reader, or queues it. */
  #deliver(decoder: MessageDecoder): void {
    if (this.use !== DELIVERED) {
      if (this.dropping) this.countDropped(1);
      return;
    }
    // True only with an observer. Without one, `#nextEvent` has called the handler.
    const isFree = this.receiverFree;
    const discards = this.receiveCall?.discards === true && !this.held;
    const takes = this.pull !== undefined && !this.held;
    if (isFree || discards || takes) this.rate?.take(1, decoder.length);
    if (isFree) this.receiveCall!.take(decoder);
    if (isFree || discards) return;
    const message = messageOf(decoder, this.#connection.platform);
    if (takes) return this.give(this.pull!.streams ? readerOf(this.#connection, message) : message);
    this.queue ??= new MessageQueue();
    this.queue.push(message);
  }

  give(result: ReadResult): void {
    const { pull } = this;
    this.pull = undefined;
    this.messageTaken = true;
    pull!.give(result);
  }

  /** Takes the first queued message for a reader. */
  shiftQueued(): Message | undefined {
    if (this.held) return undefined;
    const message = this.queue?.shift();
    if (message !== undefined) this.rate?.takeQueued(message.data.length);
    return message;
  }

  /**
   * The decoder's allocator: makes memory for a message that a reader keeps.
   *
   * @param following - Number of bytes after it in the input.
   */
  allocate(size: number, following: number): OwnedBytes {
    // A queued message may wait for long. It gets its own memory, so that it keeps no block alive.
    if (this.pull === undefined || this.held) return new Uint8Array(size);
    const connection = this.#connection;
    return messageBlocks.take(size, following, connection, connection.shared.endOfTurn);
  }

  /** Gives queued messages to the reader that waits. */
  serve(): void {
    const { pull, receiveCall } = this;
    if (pull !== undefined) {
      const ready = pull.streams ? readyReader(this.#connection) : this.shiftQueued();
      if (ready !== undefined) this.give(ready);
    } else if (receiveCall?.discards === true) while (this.shiftQueued() !== undefined);
    else receiveCall?.serve();
  }

  /**
   * Drops the unread rest of the message that is read in pieces. Later reads of it reject, unless the
   * reader has read all of it.
   */
  dropPieces(cause: string): void {
    const { pieces } = this;
    if (pieces === undefined) return;
    this.pieces = undefined;
    const arrived = pieces.over;
    pieces.drop();
    pieces.finish(restDropped(cause));
    if (!arrived) this.#connection.machine.input?.skip();
  }

  /** No more input will arrive. Ends a message under way with `failure`, and expects no answer. */
  finishMessage(failure: { readonly reason: unknown }): void {
    if (this.pieces?.over !== false) return;
    this.pieces.finish(failure);
    this.messageTaken = false;
  }

  // The end of reading

  /** Checks and drops all messages from now on: `discardReads` wants none. */
  checkOnly(): void {
    if (!this.dropping) this.#useFor(CHECKED_ONLY);
    this.#dropUnread();
  }

  /**
   * Drops the queued messages and the unread pieces. The reader of the pieces rejects with the
   * reason why reading ends.
   */
  #dropUnread(): void {
    this.queue = undefined;
    this.pieces?.drop();
    if (this.ended !== undefined) this.pieces?.finish(this.ended);
  }

  /** Drops the queued messages and all later messages. */
  dropAll(): void {
    const { rare } = this.#connection;
    this.countDropped(this.queue?.length ?? 0, false);
    if (rare !== undefined) rare.loses = false;
    this.#dropUnread();
    this.#useFor(IGNORED);
  }

  /**
   * Drops all messages from now on. Queued messages and pieces can still be read. The reader of a
   * message under way gets the pieces that have arrived. Then it gets the error of the end. If a
   * message was lost, that error is not a normal end.
   */
  dropExcess(): void {
    const loses = !this.dropping && this.receiveCall?.discards !== true;
    if (loses) this.#connection.rareParts().loses = true;
    this.#useFor(IGNORED);
  }

  /**
   * Ends reading. Pending reads reject with the reason. Queued messages can still be read.
   *
   * @param isEnd - Whether the cause is the end of this connection. A handler may throw the normal end of
   *   another one.
   */
  finish(cause: unknown, isEnd: boolean): void {
    if (this.ended !== undefined) return;
    const connection = this.#connection;
    this.rate?.stop();
    const loss = connection.rare?.loss;
    const isNormal = isEnd && connection.machine.failed?.error !== cause && isNormalEnd(cause);
    const normally = isNormal && loss === undefined;
    const reason = isNormal ? (loss ?? cause) : cause;
    this.ended = { reason, normally };
    const { pull } = this;
    this.pull = undefined;
    pull?.finish(reason, normally);
    this.pieces?.finish(this.ended);
    this.receiveCall?.settleAtEnd();
  }
}

// A separate function: in `#observe` the closure would cost an object, also without an observer.
function observeMessage(connection: Connection, { type, length }: MessageDecoder): void {
  connection.observe((observer) => observer.messageIn?.(connection.conn, type, length));
}
