import { CHECKED_ONLY, IGNORED, type MessageDecoder, type OwnedBytes } from '@ws/codec';
import { ReadPendingError, type TimeoutError } from '../errors.ts';
import type { DataType, Message } from '../message.ts';
import type { CloseInfo } from '../platform/observer.ts';
import type { Platform } from '../platform/platform.ts';
import { messageBlocks } from '../read/message-blocks.ts';
import { MessageQueue, messageOf } from '../read/message-queue.ts';
import { MessageReader } from '../read/message-reader.ts';
import {
  PendingMessage,
  type PendingRead,
  PendingResult,
  type ReadResult,
} from '../read/pending-read.ts';
import { PieceQueue, restDropped } from '../read/piece-queue.ts';
import { type MessageHandler, ReceiveCall } from '../read/receive-call.ts';
import { rejectedLater } from '../time/refusal.ts';
import { Attention } from './attention.ts';
import type { Connection } from './connection.ts';
import { mostReadAhead } from './flow-control.ts';
import type { Input } from './input.ts';

/**
 * The messages of a connection, and the reads that wait for them. At most one way of reading is
 * pending. A message goes straight to the pending read. Without a pending read, messages are copied
 * to a queue, up to the read-ahead.
 *
 * Messages after a fault are not delivered.
 */
export class Reader {
  /** The pending `readMessage`, `nextReader` or `for await`. */
  pending: PendingRead | undefined;
  /** The pending `receive` or `discardReads`. */
  receiveCall: ReceiveCall | undefined;
  readonly attention: Attention = new Attention();
  readonly #connection: Connection;
  readonly #input: Input;
  /**
   * Why reading ended. Set when no further message can arrive; queued messages can still be read.
   */
  #ended: { readonly reason: unknown; readonly normally: boolean } | undefined;
  /** Name of the read whose call runs the loop of the input. `''` when no such call runs. */
  directRead = '';
  queue: MessageQueue | undefined;
  /** Whether messages are dropped that the application may still have wanted. */
  loses = false;
  /** The message that a MessageReader reads. */
  pieces: PieceQueue | undefined;

  constructor(connection: Connection, input: Input) {
    this.#connection = connection;
    this.#input = input;
  }

  get platform(): Platform {
    return this.#connection.platform;
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  endedWith(error: unknown): boolean {
    return this.#ended !== undefined && this.#ended.reason === error;
  }

  /** Whether a read waits for the next message, and gets what arrives. */
  get waits(): boolean {
    if (this.#input.held) return false;
    const call = this.receiveCall;
    if (call !== undefined) return call.handler === undefined || this.handlerFree;
    if (this.pending !== undefined || this.directRead !== '') return true;
    return this.pieces?.demanding === true;
  }

  /** Whether the read that waits takes its message as a stream. */
  get streams(): boolean {
    return this.directRead === 'nextReader' || this.pending?.streams === true;
  }

  /** Whether the handler of `receive` is free: it has no message, and takes the next one. */
  get handlerFree(): boolean {
    const call = this.receiveCall;
    if (call === undefined || call.handler === undefined || call.busy) return false;
    return this.queue === undefined || this.queue.empty;
  }

  /** Whether the messages that wait for a reader leave room for more. Unparsed input does not count. */
  get hasRoom(): boolean {
    return this.#unread() <= mostReadAhead(this.#connection);
  }

  /** Whether the read-ahead is full: no more input is wanted, unless a read waits for it. */
  get isFull(): boolean {
    const empty = this.queue === undefined && this.pieces === undefined;
    if (empty && this.#input.decoder === undefined) return false;
    return this.#readAhead() > mostReadAhead(this.#connection);
  }

  /** Whether the read-ahead is at most half full. */
  get isLow(): boolean {
    return this.#readAhead() <= mostReadAhead(this.#connection) / 2;
  }

  /** Bytes of messages that wait for a reader or for their rest, plus a cost for each message. */
  #unread(): number {
    const assembled = this.#input.decoder?.assembled ?? 0;
    return (this.queue?.cost ?? 0) + (this.pieces?.cost ?? 0) + assembled;
  }

  /** {@link #unread}, plus the chunks that wait for the parsing of an earlier one. */
  #readAhead(): number {
    return this.#unread() + (this.#input.decoder?.waiting ?? 0);
  }

  /** A number that changes when a reader takes a message, or a piece of one. */
  get progress(): number {
    const unread = (this.queue?.length ?? 0) + (this.pieces?.cost ?? 0);
    return this.#connection.messagesIn - unread;
  }

  /** Whether every message is read and no handler is at work. */
  get idle(): boolean {
    if (this.queue?.empty === false || this.receiveCall?.busy === true) return false;
    return this.pieces === undefined || this.pieces.empty;
  }

  /** {@link idle}, and the reader of the last message has had the time for its answer. */
  get handled(): boolean {
    const { attention } = this;
    if (!this.idle) return false;
    return !attention.messageTaken || attention.patience(this.platform.now()) <= 0;
  }

  // The connection's calls

  /** Releases what is read. */
  forgetRead(): void {
    if (this.queue?.empty === true) this.queue = undefined;
    const pieces = this.pieces;
    if (pieces?.over === true && pieces.empty && pieces.pending === '') this.pieces = undefined;
  }

  /**
   * Drops the queued messages and the unread pieces. The reader of the pieces rejects with the
   * reason why reading ends.
   */
  #drop(): void {
    this.queue = undefined;
    this.pieces?.drop();
    if (this.#ended !== undefined) this.pieces?.end(this.#ended);
  }

  /** Drops the queued messages and all later messages. */
  dropAll(): void {
    this.#connection.countDropped(this.queue?.length ?? 0, false);
    this.loses = false;
    this.#drop();
    this.#input.useFor(IGNORED);
  }

  /**
   * Drops all messages from now on. Queued messages and pieces can still be read. Of a message under
   * way, the reader gets the pieces that have arrived, then the error of the end. After a loss that
   * error is never a normal end.
   */
  dropExcess(): void {
    if (!this.#input.dropping) this.loses = this.receiveCall?.discards !== true;
    this.#input.useFor(IGNORED);
  }

  /** The read deadline has passed: drops the read-ahead and ends reading. */
  expire(error: TimeoutError): void {
    this.dropAll();
    this.end(error);
    // Control frames behind the dropped messages are still handled.
    this.#input.parse(false);
  }

  /** No more input will arrive: a message under way ends with `failure`, and gets no answer. */
  endMessage(failure: { readonly reason: unknown }): void {
    if (this.pieces?.over !== false) return;
    this.pieces.end(failure);
    this.attention.messageTaken = false;
  }

  /** Ends reading: pending reads reject with `reason`. Queued messages can still be read. */
  end(cause: unknown): void {
    if (this.#ended !== undefined) return;
    this.#input.gate?.rate?.stop();
    const loss = this.#connection.rare?.loss;
    const isNormal = this.#connection.endsNormally(cause);
    const normally = isNormal && loss === undefined;
    const reason = isNormal ? (loss ?? cause) : cause;
    this.#ended = { reason, normally };
    const { pending } = this;
    this.pending = undefined;
    pending?.end(reason, normally);
    this.pieces?.end(this.#ended);
    this.#finishReceive();
  }

  // The input's calls

  /** Gives a whole message to a read, or returns it for the read whose call runs the loop. */
  deliver(decoder: MessageDecoder): ReadResult | undefined {
    if (!this.#input.delivers) {
      if (this.#input.dropping) this.#connection.countDropped(1, this.loses);
      return undefined;
    }
    if (this.handlerFree) {
      this.callHandler(decoder);
      return undefined;
    }
    if (this.receiveCall?.discards === true) return undefined;
    const message = messageOf(decoder, this.platform);
    if (this.directRead === '' && this.pending === undefined) {
      this.queued().push(message);
      return undefined;
    }
    return this.#give(this.streams ? this.#wholeReader(message) : message);
  }

  queued(): MessageQueue {
    this.queue ??= new MessageQueue();
    return this.queue;
  }

  /** The decoder's allocator: makes memory for a message that a reader keeps; `following`: bytes after it in the input. */
  allocate(size: number, following: number): OwnedBytes {
    const waits = this.directRead !== '' || this.pending !== undefined;
    // A queued message may wait for long. It gets its own memory, so that it keeps no block alive.
    if (!waits) return new Uint8Array(size);
    return messageBlocks.take(size, following, this, this.#connection.shared.endOfTurn);
  }

  /**
   * Lends the message to the handler of `receive`, which {@link handlerFree}. Returns whether it
   * waits again.
   */
  callHandler(decoder: MessageDecoder): boolean {
    const { type, bytes, start, end, lease } = decoder;
    if (lease !== undefined) decoder.lease = undefined;
    const call = this.receiveCall!;
    call.call(type, bytes, start, end, lease);
    if (this.#ended === undefined) return !call.busy;
    this.#finishReceive();
    return false;
  }

  /**
   * A message in pieces begins, with its first piece. Delivers its reader as {@link deliver} does.
   *
   * @param before - Bytes before that piece, which a gate has withheld.
   */
  beginMessage(decoder: MessageDecoder, before: Uint8Array | undefined): MessageReader | undefined {
    const reader = this.#readerOf(decoder.type);
    if (before !== undefined) this.pieces!.push(before);
    this.addPiece(decoder);
    return this.#give(reader);
  }

  /** Adds a piece to the message that {@link beginMessage} announced. */
  addPiece(decoder: MessageDecoder): void {
    const { bytes, start, end, fin } = decoder;
    this.pieces?.pushCopy(bytes, start, end);
    if (fin) this.pieces?.end();
    decoder.release();
  }

  /** Gives `result` to the pending read, or returns it for the read whose call runs the loop. */
  #give<T extends ReadResult>(result: T): T | undefined {
    this.attention.messageTaken = true;
    if (this.directRead !== '') {
      this.directRead = '';
      return result;
    }
    const { pending } = this;
    this.pending = undefined;
    pending?.give(result);
    return undefined;
  }

  #readerOf(type: DataType): MessageReader {
    this.pieces = new PieceQueue();
    this.pieces.held = this.#input.held;
    return new MessageReader(type, this.pieces, this, this.platform);
  }

  /** A reader of a message that has arrived. */
  #wholeReader({ type, data }: Message): MessageReader {
    const reader = this.#readerOf(type);
    const pieces = this.pieces!;
    pieces.held = false;
    pieces.push(data);
    pieces.end();
    return reader;
  }

  // The user's reads

  /** Reads the next message, whole. `name` is the method that the caller used. */
  readMessage(name: string): Promise<Message> {
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
  nextResult(iterator: object): Promise<IteratorResult<Message, undefined>> {
    const clash = this.#clash('for await');
    if (clash !== undefined) return rejectedLater(this.platform, clash);
    this.attention.loopBegins();
    const message = this.#take('for await', false);
    if (message !== undefined) return Promise.resolve({ done: false, value: message as Message });
    const pending = new PendingResult(iterator);
    this.#wait(pending);
    return pending.promise;
  }

  #read(name: string, streams: boolean): Promise<ReadResult> {
    const clash = this.#clash(name);
    if (clash !== undefined) return rejectedLater(this.platform, clash);
    this.attention.singleRead();
    const result = this.#take(name, streams);
    if (result !== undefined) return Promise.resolve(result);
    const pending = new PendingMessage(name);
    this.#wait(pending);
    return pending.promise;
  }

  /** Returns a queued result, or parses one from the input that has arrived. */
  #take(name: string, streams: boolean): ReadResult | undefined {
    const common = !streams && this.pieces === undefined && this.#ended === undefined;
    if (common && this.queue?.empty !== false) {
      const next = this.#input.takeNext();
      if (next !== undefined) return next;
    }
    if (this.pieces !== undefined) this.#dropPieces(`${name} began`);
    this.attention.messageTaken = false;
    this.#input.gate?.expiry?.check();
    const ready = streams ? this.#readyReader() : this.queue?.shift();
    if (ready !== undefined) {
      this.attention.messageTaken = true;
      this.#input.parse(false);
      return ready;
    }
    if (this.#ended !== undefined) return undefined;
    this.directRead = name;
    const result = this.#input.parse(false);
    this.directRead = '';
    return result;
  }

  #wait(pending: PendingRead): void {
    const ended = this.#ended;
    if (ended !== undefined) return this.#endLater(pending, ended.reason, ended.normally);
    this.pending = pending;
    this.#connection.balance();
  }

  /** In a later turn, so that a loop that reads on after the end blocks no other work. */
  #endLater(pending: PendingRead, reason: unknown, normally: boolean): void {
    this.platform.yield(() => pending.end(reason, normally));
  }

  /** Returns a reader of the first queued message, or of the message under way. */
  #readyReader(): MessageReader | undefined {
    const message = this.queue?.shift();
    if (message !== undefined) return this.#wholeReader(message);
    const { decoder, gate, held } = this.#input;
    // Messages that are held come before the one under way.
    const begun = this.#ended === undefined && !held ? decoder?.turnIntoPieces() : undefined;
    if (begun === undefined || gate?.begins(decoder!.type, begun) === true) return undefined;
    const reader = this.#readerOf(decoder!.type);
    this.pieces!.push(begun);
    return reader;
  }

  /**
   * Cancels the pending read with this promise. Later messages are for the next read. False when
   * the read already has its message.
   */
  giveUp(promise: Promise<unknown>, reason: unknown): boolean {
    const { pending } = this;
    if (pending?.promise !== promise) return false;
    this.pending = undefined;
    pending.reject(reason);
    return true;
  }

  /** Takes `message` back: its read was cancelled. It is for the pending read, or the next one. */
  takeBack(message: Message): void {
    if (!this.#input.delivers) return;
    this.attention.messageTaken = false;
    this.queued().unshift(message);
    this.serve();
    this.#connection.scheduleEndOfTurn();
  }

  /** Gives queued messages to the read that waits; a handler runs in the context of its call. */
  serve(): void {
    const { pending } = this;
    if (pending === undefined) {
      const context = this.receiveCall?.context;
      if (context === undefined) return this.#serveQueue();
      // oxlint-disable-next-line typescript/unbound-method -- `this` is the second argument
      return context.runInAsyncScope(this.#serveQueue, this);
    }
    const ready = pending.streams ? this.#readyReader() : this.queue?.shift();
    if (ready !== undefined) this.#give(ready);
  }

  /**
   * The loop over `iterator` was left: ends its pending read. Later messages are for the next read.
   */
  leave(iterator: object): void {
    if (this.receiveCall === undefined) this.attention.loopLeft();
    const { pending } = this;
    if (!(pending instanceof PendingResult) || pending.iterator !== iterator) return;
    this.pending = undefined;
    pending.resolve({ done: true, value: undefined });
  }

  #clash(name: string): ReadPendingError | undefined {
    if (this.pending !== undefined) return new ReadPendingError(name, this.pending.name);
    if (this.directRead !== '') return new ReadPendingError(name, this.directRead);
    const stream = this.pieces?.pending ?? '';
    if (stream !== '') return new ReadPendingError(name, stream);
    if (this.receiveCall === undefined) return undefined;
    return new ReadPendingError(name, this.receiveCall.name);
  }

  // The calls of a MessageReader

  /** Parses more input, because a read of a message waits for its next piece. */
  more(pieces: PieceQueue): void {
    if (pieces !== this.pieces) return pieces.end(restDropped('a later read began'));
    if (this.#ended !== undefined) return pieces.end(this.#ended);
    pieces.demanding = true;
    this.#input.parse(false);
  }

  /** The reader of a message has taken bytes. */
  taken(pieces: PieceQueue): void {
    if (pieces === this.pieces) this.#input.parse(false);
  }

  /** The reader does not want the rest of its message. `cause` is for error messages. */
  dropRest(pieces: PieceQueue, cause: string): void {
    if (pieces !== this.pieces) return;
    this.#dropPieces(cause);
    this.#input.parse(false);
  }

  /** Reports a wrong argument. */
  reportMistake(error: unknown, where: string): void {
    this.#connection.reportMistake(error, where);
  }

  /**
   * Drops the unread rest of the message that is read as a stream. Later reads of it reject, unless
   * the reader has read all of it.
   */
  #dropPieces(cause: string): void {
    const pieces = this.pieces;
    if (pieces === undefined) return;
    this.pieces = undefined;
    const arrived = pieces.over;
    pieces.drop();
    pieces.end(restDropped(cause));
    if (!arrived) this.#input.decoder?.skip();
  }

  // `receive` and `discardReads`

  /**
   * Gives every message to `handler`. Resolves when reading has ended normally and the connection
   * is closed.
   */
  receive(handler: MessageHandler): Promise<CloseInfo> {
    const clash = this.#clash('receive');
    if (clash !== undefined) return rejectedLater(this.platform, clash);
    return this.#startReceive(new ReceiveCall(handler, this));
  }

  /** Drops every message. Resolves as {@link receive} does. */
  discard(): Promise<CloseInfo> {
    const clash = this.#clash('discardReads');
    if (clash !== undefined) return rejectedLater(this.platform, clash);
    this.#dropPieces('discardReads began');
    if (!this.#input.dropping) this.#input.useFor(CHECKED_ONLY);
    this.#drop();
    return this.#startReceive(new ReceiveCall(undefined, this));
  }

  #startReceive(receiveCall: ReceiveCall): Promise<CloseInfo> {
    this.#dropPieces(`${receiveCall.name} began`);
    this.attention.messageTaken = false;
    this.attention.loopBegins();
    this.receiveCall = receiveCall;
    const ended = this.#ended !== undefined;
    this.#serveQueue();
    this.#input.parse(false);
    if (ended) this.platform.yield(() => this.#finishReceive());
    else if (this.#ended !== undefined) this.#finishReceive();
    return receiveCall;
  }

  /** Gives queued messages to the handler until it is busy or has failed. */
  #serveQueue(): void {
    for (;;) {
      const call = this.receiveCall;
      if (call?.handler === undefined || call.busy || call.thrown !== undefined) return;
      this.#input.gate?.expiry?.check();
      const message = this.queue?.shift();
      if (message === undefined) return;
      const { type, data } = message;
      call.call(type, data, 0, data.length, undefined);
      if (this.#ended !== undefined) this.#finishReceive();
    }
  }

  /** The promise of the handler of `receive` resolved. */
  handlerSettled(): void {
    this.#serveQueue();
    this.#input.parse(false);
    if (this.#ended !== undefined) this.#finishReceive();
  }

  /**
   * Whether `error` says only that the peer has closed before the handler's answer. The handler has
   * not failed then, and gets the messages before the peer's close frame.
   */
  isLateAnswer(error: unknown): boolean {
    return this.#connection.isLateAnswer(error);
  }

  /** The handler of `receive` threw, or its promise rejected. */
  handlerFailed(error: unknown): void {
    this.#connection.handlerFailed(error, 'receive');
    this.#finishReceive();
  }

  /** Settles `receive` or `discardReads` once reading has ended and no handler is at work. */
  #finishReceive(): void {
    const call = this.receiveCall;
    const ended = this.#ended;
    if (call === undefined || ended === undefined) return;
    if (call.busy || this.queue?.empty === false) return;
    this.receiveCall = undefined;
    const { reason } = ended;
    const { thrown } = call;
    // Two errors of a handler do not count as failures: that of a write after our close frame, and
    // the reason of the end itself.
    const error = thrown === undefined ? reason : thrown.error;
    if (error !== reason && !this.#connection.sendQueue.isCloseSent(error)) call.reject(error);
    else if (ended.normally) call.resolve(this.#connection.closed);
    else call.end(reason);
  }
}
