import {
  CHECKED_ONLY,
  IGNORED,
  MESSAGE,
  type MessageDecoder,
  type MessageEvent,
  NEED_MORE,
  type OwnedBytes,
  STEP,
} from '@ws/codec';
import type { CloseInfo } from '../close-info.ts';
import { ReadPendingError, type TimeoutError } from '../errors.ts';
import { type DataType, Message } from '../message.ts';
import type { Platform } from '../platform/platform.ts';
import { rejectedLater } from '../time/refusal.ts';
import { DecodeLoop, type DecodeLoopOwner } from './decode-loop.ts';
import { messageBlocks } from './message-blocks.ts';
import { MessageQueue } from './message-queue.ts';
import { MessageReader, type PieceSource } from './message-reader.ts';
import {
  PendingMessage,
  type PendingRead,
  PendingResult,
  type ReadResult,
} from './pending-read.ts';
import { PieceQueue } from './piece-queue.ts';
import { type MessageHandler, ReceiveCall, type ReceiveCallOwner } from './receive-call.ts';

// The last read of a connection (type LastRead).

/** No read was ever started. */
export const NO_READ = 0;
/** A single read: `readMessage`, `readJSON` or `nextReader`. */
export const SINGLE_READ = 1;
/** `for await`, `receive` or `discardReads`: the same code reads the next message. */
export const LOOP_READ = 2;
/** A single read; then the application has read `closed`, so it reads no further. */
export const DONE = 3;
export type LastRead = 0 | 1 | 2 | 3;

/** The connection of a read side. */
export interface ReadSideOwner extends DecodeLoopOwner {
  readonly settings: { readonly readAhead: number };
  readonly closed: Promise<CloseInfo>;
  /** The pending `readMessage`, `nextReader` or `for await`. */
  reader: PendingRead | undefined;
  /** The pending `receive` or `discardReads`. */
  receiveCall: ReceiveCall | undefined;
  /**
   * Whether a pull reader has a message and has not asked for the next one: it may still answer
   * that message.
   */
  messageTaken: boolean;
  lastRead: LastRead;
  /** Since when the message of a single read is taken, see `Connection`. A read resets it. */
  idleSince: number;
  /** Whether `error` is the one with which writes reject after our close frame. */
  isCloseSent(error: unknown): boolean;
  /** Whether reading ends normally with `reason`. A handler may fail with any CloseError. */
  endsNormally(reason: unknown): boolean;
  /** The handler of `receive` failed. */
  handlerFailed(error: unknown): void;
  /** As `ReceiveCallOwner.isLateAnswer`. */
  isLateAnswer(error: unknown): boolean;
  reportMistake(error: unknown, where: string): void;
  /** Schedules the connection's work at the end of the turn. */
  scheduleEndOfTurn(): void;
}

/**
 * The read side of a connection: serves the pending read and queues messages for later reads. At
 * most one way of reading is pending. A message goes straight to the pending read. Without a
 * pending read, messages are copied to a queue, up to the read-ahead.
 *
 * Messages after a fault are not delivered.
 */
export class ReadSide extends DecodeLoop implements PieceSource, ReceiveCallOwner {
  declare protected readonly owner: ReadSideOwner;
  /**
   * Why reading ended. Set when no further message can arrive; queued messages can still be read.
   */
  #ended: { readonly reason: unknown; readonly normally: boolean } | undefined;
  /** Name of the read whose call runs the loop. `''` when no such call runs. */
  #directRead = '';
  #queue: MessageQueue | undefined;
  /** The message that a MessageReader reads. */
  #pieces: PieceQueue | undefined;

  get platform(): Platform {
    return this.owner.platform;
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  endedWith(error: unknown): boolean {
    return this.#ended !== undefined && this.#ended.reason === error;
  }

  get readWaits(): boolean {
    const { receiveCall } = this.owner;
    if (receiveCall === undefined) {
      return (
        this.owner.reader !== undefined ||
        this.#directRead !== '' ||
        this.#pieces?.demanding === true
      );
    }
    return receiveCall.handler === undefined || (!receiveCall.busy && !this.#hasQueued());
  }

  get hasRoom(): boolean {
    return this.#unread() <= this.owner.settings.readAhead;
  }

  /** Whether the read-ahead is full: no more input is wanted, unless a read waits for it. */
  get isFull(): boolean {
    return this.#readAhead() > this.owner.settings.readAhead;
  }

  /** Whether the read-ahead is at most half full. */
  get isLow(): boolean {
    return this.#readAhead() <= this.owner.settings.readAhead / 2;
  }

  /** Bytes of messages that wait for a reader or for their rest, plus a cost for each message. */
  #unread(): number {
    return (this.#queue?.cost ?? 0) + (this.#pieces?.cost ?? 0) + (this.decoder?.assembled ?? 0);
  }

  /** {@link #unread}, plus the chunks that wait for the parsing of an earlier one. */
  #readAhead(): number {
    return this.#unread() + (this.decoder?.waiting ?? 0);
  }

  /** A number that changes when a reader takes a message, or a piece of one. */
  get progress(): number {
    return this.owner.messagesIn - (this.#queue?.length ?? 0) - (this.#pieces?.cost ?? 0);
  }

  /** Whether every message is read and no handler is at work. */
  get idle(): boolean {
    return (
      !this.#hasQueued() && this.owner.receiveCall?.busy !== true && this.#pieces?.empty !== false
    );
  }

  override get droppable(): boolean {
    const kept = this.#queue !== undefined || this.#pieces !== undefined || this.ended;
    return (
      !kept && this.#directRead === '' && this.owner.receiveCall?.busy !== true && super.droppable
    );
  }

  protected get streams(): boolean {
    return this.owner.reader?.streams === true;
  }

  #hasQueued(): boolean {
    return this.#queue !== undefined && !this.#queue.empty;
  }

  // The connection's calls

  override releaseIfIdle(): void {
    if (this.#queue?.empty === true) this.#queue = undefined;
    const pieces = this.#pieces;
    if (pieces?.over === true && pieces.empty && pieces.pending === '') this.#pieces = undefined;
    super.releaseIfIdle();
  }

  /**
   * Drops the queued messages and the unread pieces. The reader of the pieces rejects with the
   * reason why reading ends.
   */
  drop(): void {
    this.#queue = undefined;
    this.#pieces?.drop();
    if (this.#ended !== undefined) this.#pieces?.end(this.#ended);
  }

  /** Drops the queued messages and all later messages. */
  dropAll(): void {
    this.owner.countDropped(this.#queue?.length ?? 0);
    this.drop();
    this.setPayloadUse(IGNORED);
  }

  /**
   * Drops all messages from now on. Queued messages and pieces can still be read. Of a message under
   * way, the reader gets the pieces that have arrived, then the error of the end.
   */
  dropExcess(): void {
    this.setPayloadUse(IGNORED);
  }

  /** The read deadline has passed: drops the read-ahead and ends reading. */
  expire(error: TimeoutError): void {
    this.dropAll();
    this.end(error);
    // Control frames behind the dropped messages are still handled.
    this.parseForReads();
  }

  /** No more input will arrive: a message under way ends with `failure`, and gets no answer. */
  endMessage(failure: { readonly reason: unknown }): void {
    if (this.#pieces?.over !== false) return;
    this.#pieces.end(failure);
    this.owner.messageTaken = false;
  }

  /** Ends reading: pending reads reject with `reason`. Queued messages can still be read. */
  end(reason: unknown): void {
    if (this.#ended !== undefined) return;
    const normally = this.owner.endsNormally(reason);
    this.#ended = { reason, normally };
    const { reader } = this.owner;
    this.owner.reader = undefined;
    reader?.end(reason, normally);
    this.#pieces?.end(this.#ended);
    this.#finishReceive();
  }

  // Events of the loop

  /** Whether the handler of `receive` has no message and takes the next one. */
  #handlerWaits(receiveCall: ReceiveCall | undefined): receiveCall is ReceiveCall {
    return receiveCall?.handler !== undefined && !receiveCall.busy && !this.#hasQueued();
  }

  /**
   * The common messages: whole, and for a waiting handler that has no message. One loop parses them
   * and calls the handler. It declines at any other event, while messages are queued, observed or
   * dropped, and after a call that left the handler busy or ended reading.
   */
  protected handOver(decoder: MessageDecoder): MessageEvent {
    const { receiveCall } = this.owner;
    const lends = this.#handlerWaits(receiveCall);
    decoder.owns = !lends;
    const plain = lends && this.delivering && !this.observed;
    for (;;) {
      const event = decoder.next();
      if (event !== MESSAGE || !plain) return event;
      this.#call(receiveCall, decoder);
      const over = receiveCall.busy || this.#ended !== undefined || !this.delivering;
      if (over || this.spends(decoder)) return STEP;
    }
  }

  protected deliver(decoder: MessageDecoder): Message | undefined {
    const { receiveCall } = this.owner;
    if (!this.delivering) {
      if (this.dropping) this.owner.countDropped(1);
      return undefined;
    }
    if (this.#handlerWaits(receiveCall)) {
      this.#call(receiveCall, decoder);
      return undefined;
    }
    const message = new Message(decoder.type, decoder.data(), this.platform);
    decoder.release();
    if (this.#directRead !== '' || this.owner.reader !== undefined) return this.#give(message);
    this.#queue ??= new MessageQueue();
    this.#queue.push(message);
    return undefined;
  }

  allocate(size: number, following: number): OwnedBytes {
    const waits = this.#directRead !== '' || this.owner.reader !== undefined;
    // A queued message may wait for long. It gets its own memory, so that it keeps no block alive.
    return waits ? messageBlocks.take(size, following, this, this.platform) : new Uint8Array(size);
  }

  #call(receiveCall: ReceiveCall, decoder: MessageDecoder): void {
    const { type, bytes, start, end, lease } = decoder;
    if (lease !== undefined) decoder.lease = undefined;
    receiveCall.call(type, bytes, start, end, lease, this);
    if (this.#ended !== undefined) this.#finishReceive();
  }

  protected begin(decoder: MessageDecoder): MessageReader | undefined {
    decoder.streaming = false;
    const reader = this.#readerOf(decoder.type);
    this.addPiece(decoder);
    return this.#give(reader);
  }

  protected addPiece(decoder: MessageDecoder): void {
    const { bytes, start, end, fin } = decoder;
    this.#pieces?.pushCopy(bytes, start, end);
    if (fin) this.#pieces?.end();
    decoder.release();
  }

  /**
   * A transport may deliver more input while it resumes. Those messages wait until the read is
   * pending.
   */
  protected loopStopped(): void {
    this.#directRead = '';
    this.owner.receiveCall?.forgetBytes();
  }

  /** Gives `result` to the pending read, or returns it for the read whose call runs the loop. */
  #give<T extends ReadResult>(result: T): T | undefined {
    this.owner.messageTaken = true;
    if (this.#directRead !== '') {
      this.#directRead = '';
      return result;
    }
    const { reader } = this.owner;
    this.owner.reader = undefined;
    reader?.give(result);
    return undefined;
  }

  #readerOf(type: DataType): MessageReader {
    this.#pieces = new PieceQueue();
    return new MessageReader(type, this.#pieces, this, this.platform);
  }

  // The readers' calls

  /** Reads the next message, whole. `name` is the method that the caller used. */
  read(name: string): Promise<Message> {
    return this.#read(name, false) as Promise<Message>;
  }

  /** Reads the next message as a stream. */
  nextReader(): Promise<MessageReader> {
    return this.#read('nextReader', true) as Promise<MessageReader>;
  }

  /**
   * Reads the next message as a result of `iterator`. A message that has already arrived costs no
   * further objects.
   */
  next(iterator: object): Promise<IteratorResult<Message, undefined>> {
    const clash = this.#clash('for await');
    if (clash !== undefined) return rejectedLater(this.platform, clash);
    this.owner.lastRead = LOOP_READ;
    const message = this.#take('for await', false);
    if (message !== undefined) return Promise.resolve({ done: false, value: message as Message });
    const pending = new PendingResult(iterator);
    this.#wait(pending);
    return pending.promise;
  }

  #read(name: string, streams: boolean): Promise<ReadResult> {
    const clash = this.#clash(name);
    if (clash !== undefined) return rejectedLater(this.platform, clash);
    this.#singleRead();
    const result = this.#take(name, streams);
    if (result !== undefined) return Promise.resolve(result);
    const pending = new PendingMessage(name);
    this.#wait(pending);
    return pending.promise;
  }

  #singleRead(): void {
    this.owner.lastRead = SINGLE_READ;
    this.owner.idleSince = -1;
  }

  /**
   * The common read of a loop: the next message of a chunk, in a turn whose end is scheduled. It
   * declines at any other event, while messages are queued, observed, dropped or read as a stream,
   * and when a pass, a pause or the end of the connection is under way.
   */
  #takeNext(): Message | undefined {
    const { decoder, owner } = this;
    if (decoder === undefined || this.#ended !== undefined || this.observed) return undefined;
    if (!this.ready || !owner.settled || this.#hasQueued() || this.#pieces !== undefined) {
      return undefined;
    }
    if (this.unhandled !== undefined || owner.framesIn >= decoder.stopAt) return undefined;
    try {
      decoder.owns = true;
      this.#directRead = 'a loop';
      const event = decoder.next();
      this.#directRead = '';
      if (event !== MESSAGE) {
        // Input that comes later must be read before these two count again.
        if (event !== NEED_MORE && event !== STEP) this.unhandled = event;
        return undefined;
      }
      owner.messageTaken = true;
      return new Message(decoder.type, decoder.data(), this.platform);
    } catch (error) {
      this.#directRead = '';
      owner.parsingFailed(error);
      return undefined;
    }
  }

  /** Returns a queued result, or parses one from the input that has arrived. */
  #take(name: string, streams: boolean): ReadResult | undefined {
    const next = streams ? undefined : this.#takeNext();
    if (next !== undefined) return next;
    if (this.#pieces !== undefined) this.#dropPieces(`${name} began`);
    this.owner.messageTaken = false;
    const ready = streams ? this.#readyReader() : this.#queue?.shift();
    if (ready !== undefined) {
      this.owner.messageTaken = true;
      this.parseForReads();
      return ready;
    }
    if (this.#ended !== undefined) return undefined;
    this.streaming = streams;
    this.#directRead = name;
    const result = this.parseForReads();
    this.#directRead = '';
    return result;
  }

  #wait(pending: PendingRead): void {
    const ended = this.#ended;
    if (ended !== undefined) {
      // In a later turn, so that a loop that reads on after the end blocks no other work.
      this.platform.yield(() => pending.end(ended.reason, ended.normally));
      return;
    }
    this.owner.reader = pending;
    this.streaming = pending.streams;
    this.owner.balance();
  }

  /** Returns a reader of the first queued message, or of the message under way. */
  #readyReader(): MessageReader | undefined {
    const message = this.#queue?.shift();
    if (message !== undefined) {
      const reader = this.#readerOf(message.type);
      this.#pieces!.push(message.data);
      this.#pieces!.end();
      return reader;
    }
    const decoder = this.decoder;
    const begun = this.#ended === undefined ? decoder?.turnIntoPieces() : undefined;
    if (begun === undefined) return undefined;
    const reader = this.#readerOf(decoder!.type);
    this.#pieces!.push(begun);
    return reader;
  }

  more(pieces: PieceQueue): void {
    if (pieces !== this.#pieces) return pieces.end(restDropped('a later read began'));
    if (this.#ended !== undefined) return pieces.end(this.#ended);
    pieces.demanding = true;
    this.parseForReads();
  }

  taken(pieces: PieceQueue): void {
    if (pieces === this.#pieces) this.parseForReads();
  }

  dropRest(pieces: PieceQueue, cause: string): void {
    if (pieces !== this.#pieces) return;
    this.#dropPieces(cause);
    this.parseForReads();
  }

  reportMistake(error: unknown, where: string): void {
    this.owner.reportMistake(error, where);
  }

  /**
   * Drops the unread rest of the message that is read as a stream. Later reads of it reject, unless
   * the reader has read all of it.
   */
  #dropPieces(cause: string): void {
    const pieces = this.#pieces;
    if (pieces === undefined) return;
    this.#pieces = undefined;
    const arrived = pieces.over;
    pieces.drop();
    pieces.end(restDropped(cause));
    if (!arrived) this.decoder?.skip();
  }

  /**
   * Cancels the pending read with this promise. Later messages are for the next read. False when
   * the read already has its message.
   */
  giveUp(promise: Promise<unknown>, reason: unknown): boolean {
    const { reader } = this.owner;
    if (reader?.promise !== promise) return false;
    this.owner.reader = undefined;
    this.streaming = false;
    reader.reject(reason);
    return true;
  }

  /** Takes `message` back: its read was cancelled. It is for the pending read, or the next one. */
  takeBack(message: Message): void {
    if (!this.delivering) return;
    this.owner.messageTaken = false;
    this.#queue ??= new MessageQueue();
    this.#queue.unshift(message);
    const { reader } = this.owner;
    if (reader === undefined) this.#serveQueue();
    else this.#give(reader.streams ? this.#readyReader()! : this.#queue.shift()!);
    this.owner.scheduleEndOfTurn();
  }

  /**
   * The loop over `iterator` was left: ends its pending read. Its last message is handled as that of
   * a single read. Later messages are for the next read.
   */
  leave(iterator: object): void {
    if (this.owner.receiveCall === undefined && this.owner.lastRead === LOOP_READ) {
      this.#singleRead();
    }
    const { reader } = this.owner;
    if (!(reader instanceof PendingResult) || reader.iterator !== iterator) return;
    this.owner.reader = undefined;
    reader.resolve({ done: true, value: undefined });
  }

  /**
   * Gives every message to `handler`. Resolves when reading has ended normally and the connection
   * is closed.
   */
  receive(handler: MessageHandler): Promise<CloseInfo> {
    const clash = this.#clash('receive');
    if (clash !== undefined) return rejectedLater(this.platform, clash);
    return this.#startReceive(new ReceiveCall(handler));
  }

  /** Drops every message. Resolves as {@link receive} does. */
  discard(): Promise<CloseInfo> {
    const clash = this.#clash('discardReads');
    if (clash !== undefined) return rejectedLater(this.platform, clash);
    this.#dropPieces('discardReads began');
    if (!this.dropping) this.setPayloadUse(CHECKED_ONLY);
    this.drop();
    return this.#startReceive(new ReceiveCall(undefined));
  }

  #startReceive(receiveCall: ReceiveCall): Promise<CloseInfo> {
    this.#dropPieces(`${receiveCall.name} began`);
    this.owner.messageTaken = false;
    this.owner.lastRead = LOOP_READ;
    this.owner.receiveCall = receiveCall;
    const ended = this.#ended !== undefined;
    this.#serveQueue();
    this.parseForReads();
    if (ended) this.platform.yield(() => this.#finishReceive());
    else if (this.#ended !== undefined) this.#finishReceive();
    return receiveCall;
  }

  #clash(name: string): ReadPendingError | undefined {
    if (this.owner.reader !== undefined) return new ReadPendingError(name, this.owner.reader.name);
    if (this.#directRead !== '') return new ReadPendingError(name, this.#directRead);
    const stream = this.#pieces?.pending ?? '';
    if (stream !== '') return new ReadPendingError(name, stream);
    if (this.owner.receiveCall === undefined) return undefined;
    return new ReadPendingError(name, this.owner.receiveCall.name);
  }

  // The handler of `receive`

  /** Gives queued messages to the handler until it is busy or has failed. */
  #serveQueue(): void {
    for (;;) {
      const { receiveCall } = this.owner;
      if (receiveCall?.handler === undefined) return;
      if (receiveCall.busy || receiveCall.thrown !== undefined) return;
      const message = this.#queue?.shift();
      if (message === undefined) return;
      const { type, data } = message;
      receiveCall.call(type, data, 0, data.length, undefined, this);
      if (this.#ended !== undefined) this.#finishReceive();
    }
  }

  handlerSettled(): void {
    this.#serveQueue();
    this.parseForReads();
    if (this.#ended !== undefined) this.#finishReceive();
  }

  isLateAnswer(error: unknown): boolean {
    return this.owner.isLateAnswer(error);
  }

  handlerFailed(error: unknown): void {
    this.owner.handlerFailed(error);
    this.#finishReceive();
  }

  /** Settles `receive` or `discardReads` once reading has ended and no handler is at work. */
  #finishReceive(): void {
    const { receiveCall } = this.owner;
    const ended = this.#ended;
    if (receiveCall === undefined || ended === undefined) return;
    if (receiveCall.busy || this.#hasQueued()) return;
    this.owner.receiveCall = undefined;
    receiveCall.forgetBytes();
    const { reason } = ended;
    const { thrown } = receiveCall;
    // Two errors of a handler do not count as failures: that of a write after our close frame, and
    // the reason of the end itself.
    const error = thrown === undefined ? reason : thrown.error;
    if (error !== reason && !this.owner.isCloseSent(error)) receiveCall.reject(error);
    else if (ended.normally) receiveCall.resolve(this.owner.closed);
    else receiveCall.end(reason);
  }
}

/** Why a reader whose message was not read to its end cannot continue. */
function restDropped(cause: string): { readonly reason: ReadPendingError } {
  const message = `the rest of this message was dropped, because ${cause}; read it to its end first`;
  return { reason: new ReadPendingError('a read of a message', cause, message) };
}
