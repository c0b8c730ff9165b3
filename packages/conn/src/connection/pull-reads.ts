import { CLOSE, FAILED, MESSAGE, type MessageDecoder, NEED_MORE, STEP } from '@ws/codec';
import type { MachineEvent } from '@ws/codec/internal';
import { type DataType, Message } from '../message.ts';
import { MessageReader } from '../read/message-reader.ts';
import {
  PendingMessage,
  type PendingRead,
  PendingResult,
  type ReadResult,
} from '../read/pending-read.ts';
import { PieceQueue, restDropped } from '../read/piece-queue.ts';
import { rejected } from '../time/promises.ts';
import type { Connection } from './connection.ts';
import { balance } from './flow-control.ts';
import type { Inbound } from './inbound.ts';

/**
 * The reads of one connection that take one message each: `readMessage`, `nextReader` and
 * `for await`. A message goes straight to the read that waits. The first of these reads creates this
 * object, so a connection with a handler of `receive` has none.
 */
export class PullReads {
  /** The pending read. */
  pending: PendingRead | undefined;
  /** Name of the read that runs the loop of the input. `''` when no such call runs. */
  directRead = '';
  /** The message that a MessageReader reads. */
  pieces: PieceQueue | undefined;
  /** An event that was parsed before the loop began. The loop handles it first. */
  unhandled: MachineEvent | undefined;
  /**
   * Whether a reader has a message and has not asked for the next one: it may still answer that
   * message.
   */
  messageTaken = false;
  readonly #connection: Connection;
  readonly #inbound: Inbound;

  constructor(connection: Connection, inbound: Inbound) {
    this.#connection = connection;
    this.#inbound = inbound;
  }

  /** Whether a read waits for the next message, or for the next piece of one. */
  get waits(): boolean {
    return this.takes || this.pieces?.demanding === true;
  }

  /** Whether a read takes the next message. */
  get takes(): boolean {
    return (this.pending !== undefined || this.directRead !== '') && !this.#inbound.held;
  }

  /** Whether the read that waits takes its message as a stream. */
  get streams(): boolean {
    return this.directRead === 'nextReader' || this.pending?.streams === true;
  }

  /** Name of the pending read. `''` when there is none. */
  get pendingName(): string {
    if (this.pending !== undefined) return this.pending.name;
    return this.directRead === '' ? (this.pieces?.pending ?? '') : this.directRead;
  }

  // The calls of Inbound

  /** Releases what is read. */
  releaseRead(): void {
    const { pieces } = this;
    if (pieces?.over === true && pieces.empty && pieces.pending === '') this.pieces = undefined;
  }

  /** No more input will arrive: a message under way ends with `failure`, and gets no answer. */
  finishMessage(failure: { readonly reason: unknown }): void {
    if (this.pieces?.over !== false) return;
    this.pieces.finish(failure);
    this.messageTaken = false;
  }

  /** Reading has ended: the pending read rejects, or its iteration is done. */
  finish(ended: { readonly reason: unknown; readonly normally: boolean }): void {
    const { pending } = this;
    this.pending = undefined;
    pending?.finish(ended.reason, ended.normally);
    this.pieces?.finish(ended);
  }

  /**
   * A message in pieces begins, with its first piece. Gives its reader to the pending read, or returns
   * it for the read that runs the loop.
   */
  beginMessage(decoder: MessageDecoder): MessageReader | undefined {
    const reader = this.#readerOf(decoder.type);
    this.#add(decoder);
    this.#inbound.rate?.take(1, decoder.end - decoder.start);
    return this.#give(reader);
  }

  /** Adds a piece to the message that {@link beginMessage} announced. */
  addPiece(decoder: MessageDecoder): void {
    this.#inbound.rate?.take(0, decoder.end - decoder.start);
    this.#add(decoder);
  }

  #add(decoder: MessageDecoder): void {
    const { bytes, start, end, fin } = decoder;
    this.pieces?.pushCopy(bytes, start, end);
    if (fin) this.pieces?.finish();
    decoder.release();
  }

  /** Gives a whole message to the pending read, or returns it for the read that runs the loop. */
  giveMessage(message: Message): ReadResult | undefined {
    return this.#give(this.streams ? this.#wholeReader(message) : message);
  }

  /** Gives `result` to the pending read, or returns it for the read that runs the loop. */
  #give<T extends ReadResult>(result: T): T | undefined {
    this.messageTaken = true;
    if (this.directRead !== '') {
      this.directRead = '';
      return result;
    }
    const { pending } = this;
    this.pending = undefined;
    pending?.give(result);
    return undefined;
  }

  /** Gives a queued message to the pending read. */
  serve(pending: PendingRead): void {
    const ready = pending.streams ? this.#readyReader() : this.#inbound.shiftQueued();
    if (ready !== undefined) this.#give(ready);
  }

  #readerOf(type: DataType): MessageReader {
    this.pieces = new PieceQueue();
    return new MessageReader(type, this.pieces, this, this.#connection.platform);
  }

  /** A reader of a message that has arrived. */
  #wholeReader({ type, data }: Message): MessageReader {
    const reader = this.#readerOf(type);
    const pieces = this.pieces!;
    pieces.push(data);
    pieces.finish();
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
    const clash = this.#inbound.clash('for await');
    if (clash !== undefined) return rejected(clash, this.#inbound);
    this.#inbound.hasRead = true;
    const message = this.#take('for await', false);
    if (message !== undefined) return Promise.resolve({ done: false, value: message as Message });
    const { ended } = this.#inbound;
    if (ended?.normally) return Promise.resolve({ done: true, value: undefined });
    if (ended !== undefined) return rejected(ended.reason);
    return this.#wait(new PendingResult(iterator));
  }

  #read(name: string, streams: boolean): Promise<ReadResult> {
    const clash = this.#inbound.clash(name);
    if (clash !== undefined) return rejected(clash, this.#inbound);
    this.#inbound.hasRead = true;
    const result = this.#take(name, streams);
    if (result !== undefined) return Promise.resolve(result);
    const { ended } = this.#inbound;
    if (ended !== undefined) return rejected(ended.reason);
    return this.#wait(new PendingMessage(name));
  }

  /** Returns a queued result, or parses one from the input that has arrived. */
  #take(name: string, streams: boolean): ReadResult | undefined {
    const inbound = this.#inbound;
    const common = !streams && this.pieces === undefined && inbound.ended === undefined;
    if (common && inbound.queue?.empty !== false) {
      const next = this.#takeNext();
      if (next !== undefined) return next;
    }
    if (this.pieces !== undefined) this.dropPieces(`${name} began`);
    this.messageTaken = false;
    this.#connection.rare?.checkExpiry();
    const ready = streams ? this.#readyReader() : inbound.shiftQueued();
    if (ready !== undefined) {
      this.messageTaken = true;
      inbound.run('reader');
      return ready;
    }
    if (inbound.ended !== undefined) return undefined;
    this.directRead = name;
    const result = inbound.run('reader');
    this.directRead = '';
    return result;
  }

  /**
   * The common read of a loop, with no message queued or read as a stream: the next message of a
   * chunk, in a turn with a scheduled end. Declines at any other event, which the loop of the input
   * then handles, while messages are watched, and when a pass, a pause or the end of the connection
   * is under way.
   */
  #takeNext(): Message | undefined {
    const inbound = this.#inbound;
    const { decoder } = inbound;
    if (decoder === undefined || this.unhandled !== undefined || !inbound.readsStraight) {
      return undefined;
    }
    const connection = this.#connection;
    const { machine } = connection;
    if (machine.framesIn >= decoder.stopAt) return undefined;
    this.directRead = 'a loop';
    try {
      decoder.callerKeeps = true;
      decoder.streaming = false;
      const event = machine.next();
      if (event !== MESSAGE) {
        if (event === CLOSE || event === FAILED) connection.controlOrEnd(event);
        // Input that comes later must be read before these two count again.
        else if (event !== NEED_MORE && event !== STEP) this.unhandled = event;
        return undefined;
      }
      this.messageTaken = true;
      return new Message(decoder.type, decoder.data(), connection.platform);
    } catch (error) {
      connection.readingFailed(error);
      return undefined;
    } finally {
      this.directRead = '';
    }
  }

  #wait<Read extends PendingMessage | PendingResult>(pending: Read): Read['promise'] {
    this.pending = pending;
    balance(this.#connection);
    return pending.promise;
  }

  /** Returns a reader of the first queued message, or of the message under way. */
  #readyReader(): MessageReader | undefined {
    const { decoder, rate, held, ended } = this.#inbound;
    const message = this.#inbound.shiftQueued();
    if (message !== undefined) return this.#wholeReader(message);
    // Messages that wait for the rate come before the one under way.
    const begun = ended === undefined && !held ? decoder?.turnIntoPieces() : undefined;
    if (begun === undefined) return undefined;
    const reader = this.#readerOf(decoder!.type);
    this.pieces!.push(begun);
    rate?.take(1, begun.length);
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

  /**
   * The loop over `iterator` was left: ends its pending read. Later messages are for the next read.
   */
  leave(iterator: object): void {
    const { pending } = this;
    if (!(pending instanceof PendingResult) || pending.iterator !== iterator) return;
    this.pending = undefined;
    pending.resolve({ done: true, value: undefined });
  }

  // The calls of a MessageReader

  /** A reader asks for a piece, which may have arrived before the end of the login. */
  checkExpiry(): void {
    this.#connection.rare?.checkExpiry();
  }

  /** Parses more input, because a read of a message waits for its next piece. */
  more(pieces: PieceQueue): void {
    const { ended } = this.#inbound;
    if (pieces !== this.pieces) return pieces.finish(restDropped('a later read began'));
    if (ended !== undefined) return pieces.finish(ended);
    pieces.demanding = true;
    this.#inbound.run('reader');
  }

  /** The reader of a message has taken bytes. */
  taken(pieces: PieceQueue): void {
    if (pieces === this.pieces) this.#inbound.run('reader');
  }

  /** The reader does not want the rest of its message. `cause` is for error messages. */
  dropRest(pieces: PieceQueue, cause: string): void {
    if (pieces !== this.pieces) return;
    this.dropPieces(cause);
    this.#inbound.run('reader');
  }

  /** Reports a wrong argument. */
  reportMistake(error: unknown, where: string): void {
    this.#connection.reportMistake(error, where);
  }

  /**
   * Drops the unread rest of the message that is read as a stream. Later reads of it reject, unless
   * the reader has read all of it.
   */
  dropPieces(cause: string): void {
    const { pieces } = this;
    if (pieces === undefined) return;
    this.pieces = undefined;
    const arrived = pieces.over;
    pieces.drop();
    pieces.finish(restDropped(cause));
    if (!arrived) this.#inbound.decoder?.skip();
  }
}

/** The iterator of a `for await` loop over a connection. A class needs no closures. */
export class MessageIterator implements AsyncIterableIterator<Message, undefined> {
  readonly #reads: PullReads;

  constructor(reads: PullReads) {
    this.#reads = reads;
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    return this.#reads.nextResult(this);
  }

  /** `break` leaves the connection open. A pending `next` is done: it takes no message. */
  return(): Promise<IteratorResult<Message, undefined>> {
    this.#reads.leave(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
