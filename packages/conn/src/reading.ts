import { poolGuard } from '@ws/codec';
import type { CloseInfo } from './closing.ts';
import { copyOf } from './copy.ts';
import { CloseSentError, ReadPendingError } from './errors.ts';
import { NOBODY } from './free-list.ts';
import type { Host } from './host.ts';
import { Inflow } from './inflow.ts';
import type { Intake, Tally } from './intake.ts';
import { Lease } from './lease.ts';
import { BorrowedMessage, type DataType, Message } from './message.ts';
import { messageBlocks } from './message-blocks.ts';
import { type InflowSource, MessageReader } from './message-reader.ts';
import {
  endsWell,
  PendingMessage,
  type PendingRead,
  PendingResult,
  type Taken,
} from './pending-read.ts';
import { done, rejected } from './promises.ts';
import { type MessageHandler, Reception } from './reception.ts';

/** Charged for each queued message on top of its bytes, so that empty ones are bounded too: their objects have 290. */
const MESSAGE_COST = 320;

/** What the reading side asks of the connection, and keeps there while the connection is idle. */
export interface ReadingOwner extends Tally {
  /** The pending `readMessage`, `nextReader` or `for await`. */
  reader: PendingRead | undefined;
  /** The pending `receive` or `discardReads`. */
  reception: Reception | undefined;
  readonly closed: Promise<CloseInfo>;
  /** There may be room for input again: parse on. */
  wanted(): void;
  /** There may be nothing left to do. */
  rest(): void;
  /** The user's handler failed: the connection closes with 1011. */
  handlerFailed(error: unknown): void;
}

/**
 * The reading side: who waits for messages, what waits for readers. At most one way of reading is pending. A message
 * goes straight to whoever waits for it; others wait in a queue, as messages of their own, up to the read-ahead.
 *
 * One that is {@link atRest} holds nothing of its connection, and may serve another.
 */
export class Reading implements InflowSource {
  /** Why reading ended, once every message before that is read. */
  error: unknown;
  ended = false;
  /** The transport is paused, since too much is read ahead. */
  paused = false;

  readonly intake: Intake;
  #owner: ReadingOwner = NOBODY;
  readonly #host: Host;
  readonly #readAhead: number;
  readonly #queue: Message[] = [];
  #cost = 0;
  /** The name of the read that is just being called, and what came for it. */
  #readerName = '';
  #taken: Taken | undefined;
  #taking = false;
  /** The message that a MessageReader reads. */
  #inflow: Inflow | undefined;
  #busy = false;
  /** What the promise of a handler calls; made with the first one. */
  #settled: (() => void) | undefined;
  #failed: ((error: unknown) => void) | undefined;
  /** What the handler has thrown. */
  #thrown: { readonly error: unknown } | undefined;
  /** What the handler has. */
  #borrowed: BorrowedMessage | undefined;
  #lease: Lease | undefined;
  /** Whether a handler is lent pooled memory in place of a chunk: a view that it keeps is poisoned then. */
  readonly #lendsCopies = poolGuard('message') !== undefined;

  constructor(intake: Intake, host: Host, readAhead: number) {
    this.intake = intake;
    this.#host = host;
    this.#readAhead = readAhead;
  }

  /** Works for `owner` from here on. */
  serve(owner: ReadingOwner): void {
    this.#owner = owner;
    this.intake.serve(owner);
    this.intake.streaming = owner.reader?.streams === true;
    if (this.#discards) this.intake.discard();
  }

  /** Whether nothing has come that is not read, and nobody is reading just now. What is awaited stands with the owner. */
  get atRest(): boolean {
    const inflow = this.#inflow;
    return (
      this.intake.atRest &&
      this.#queue.length === 0 &&
      !this.paused &&
      !this.#busy &&
      !this.#taking &&
      this.#taken === undefined &&
      (inflow === undefined || (inflow.over && inflow.empty)) &&
      this.#thrown === undefined &&
      !this.ended
    );
  }

  /** Leaves its owner. */
  leaveOwner(): void {
    this.letGo();
    this.#inflow = undefined;
    this.intake.leaveOwner();
    this.#owner = NOBODY;
  }

  /** Whether messages are read only to be dropped. */
  get #discards(): boolean {
    const { reception } = this.#owner;
    return reception !== undefined && reception.handler === undefined;
  }

  /** Whether somebody waits for the next message right now. */
  get waiting(): boolean {
    const { reception } = this.#owner;
    if (reception === undefined) return this.#asked || this.#taking;
    return reception.handler === undefined || (!this.#busy && this.#queue.length === 0);
  }

  /** Whether a message could be taken into the queue, with `held` bytes waiting besides. */
  hasRoom(held: number): boolean {
    return this.#waits + held <= this.#readAhead;
  }

  /** Whether so much of the queue is gone that the transport may flow again, with `held` bytes waiting besides. */
  isLow(held: number): boolean {
    return this.#waits + held <= this.#readAhead / 2;
  }

  /** Whether every message is read and no handler is at work. */
  get idle(): boolean {
    return this.#queue.length === 0 && !this.#busy && this.#inflow?.empty !== false;
  }

  /** Whether a read of some kind is pending. */
  get #asked(): boolean {
    return this.#owner.reader !== undefined || this.#inflow?.demanding === true;
  }

  /** Bytes that are read ahead, with what it costs to keep them. */
  get #waits(): number {
    return this.#cost + (this.#inflow?.cost ?? 0);
  }

  /** Takes the message that the intake has just announced. */
  message(): void {
    const { intake } = this;
    const owner = this.#owner;
    const { reception } = owner;
    const { lease } = intake;
    const handler = reception?.handler;
    if (handler !== undefined && !this.#busy && this.#queue.length === 0 && !intake.dropping) {
      this.#lease = lease;
      this.#call(reception!, handler, intake.type, intake.bytes, intake.start, intake.end);
      return;
    }
    const wanted = reception === undefined || handler !== undefined;
    if (wanted && !intake.dropping) {
      const { bytes, start, end } = intake;
      if (this.#taking || owner.reader !== undefined) {
        const data =
          lease === undefined
            ? messageBlocks.copy(bytes, start, end, owner, this.#host)
            : copyOf(bytes, start, end);
        this.#give(new Message(intake.type, data, this.#host));
      } else {
        // Nobody knows how long it waits: it keeps no memory but its own.
        this.#queue.push(new Message(intake.type, copyOf(bytes, start, end), this.#host));
        this.#cost += end - start + MESSAGE_COST;
      }
    }
    lease?.release();
  }

  /** A message begins that is wanted as a stream. */
  began(): void {
    this.intake.streaming = false;
    this.#give(this.#readerOf(this.intake.type));
  }

  /** A piece of that message lies in the intake. */
  piece(): void {
    const { bytes, start, end, lease } = this.intake;
    if (lease !== undefined) {
      this.#inflow?.push(copyOf(bytes, start, end));
      lease.release();
      return;
    }
    // A small piece is copied: it would keep its whole chunk, which may hold nothing else that counts.
    const small = (end - start) * 2 < bytes.buffer.byteLength;
    this.#inflow?.push(small ? copyOf(bytes, start, end) : bytes.subarray(start, end));
  }

  /** That message is complete. */
  completed(): void {
    this.#inflow?.finish();
  }

  /** Gives `what` to whoever waits for it. */
  #give(what: Taken): void {
    if (this.#taking) {
      this.#taken = what;
      this.#taking = false;
      return;
    }
    const { reader } = this.#owner;
    this.#owner.reader = undefined;
    reader?.give(what);
  }

  #readerOf(type: DataType): MessageReader {
    this.#inflow = new Inflow();
    return new MessageReader(type, this.#inflow, this, this.#host);
  }

  /** The next message, whole. */
  read(name: string): Promise<Message> {
    return this.#read(name, false) as Promise<Message>;
  }

  /** The next message, as a stream. */
  nextReader(): Promise<MessageReader> {
    return this.#read('nextReader', true) as Promise<MessageReader>;
  }

  /** The next message as an iterator gives it. Of one that is there, nothing but the result and its promise is made. */
  next(): Promise<IteratorResult<Message, undefined>> {
    const clash = this.#clash('for await');
    if (clash !== undefined) return rejected(clash);
    const message = this.#take('for await', false);
    if (message !== undefined) return Promise.resolve({ done: false, value: message as Message });
    const pending = new PendingResult();
    this.#wait(pending);
    return pending.promise;
  }

  #read(name: string, asStream: boolean): Promise<Taken> {
    const clash = this.#clash(name);
    if (clash !== undefined) return rejected(clash);
    const taken = this.#take(name, asStream);
    if (taken !== undefined) return Promise.resolve(taken);
    const pending = new PendingMessage(name);
    this.#wait(pending);
    return pending.promise;
  }

  /** What can be given at once, to a read of that name. */
  #take(name: string, asStream: boolean): Taken | undefined {
    if (this.#inflow !== undefined) this.#leave();
    const ready = asStream ? this.#readyReader() : this.#queued();
    if (ready !== undefined) {
      this.#owner.wanted();
      return ready;
    }
    if (this.ended) return undefined;
    this.intake.streaming = asStream && !this.intake.dropping;
    this.#readerName = name;
    this.#taking = true;
    this.#owner.wanted();
    this.#taking = false;
    const taken = this.#taken;
    this.#taken = undefined;
    return taken;
  }

  #wait(pending: PendingRead): void {
    if (this.ended) return pending.end(this.error);
    this.#owner.reader = pending;
    this.#owner.rest();
  }

  #queued(): Message | undefined {
    if (this.#queue.length === 0) return undefined;
    const message = this.#queue.shift();
    if (message !== undefined) this.#cost -= message.data.length + MESSAGE_COST;
    return message;
  }

  /** A reader of what has come already: a queued message, or the first part of one that is under way. */
  #readyReader(): MessageReader | undefined {
    const message = this.#queued();
    if (message !== undefined) {
      const reader = this.#readerOf(message.type);
      this.#inflow!.push(message.data);
      this.#inflow!.finish();
      return reader;
    }
    const begun = this.ended ? undefined : this.intake.turnIntoPieces();
    if (begun === undefined) return undefined;
    const reader = this.#readerOf(this.intake.type);
    if (begun.lease !== undefined) {
      this.#inflow!.push(copyOf(begun.lease.bytes, 0, begun.length));
      begun.lease.release();
    }
    return reader;
  }

  more(inflow: Inflow): void {
    if (inflow !== this.#inflow) return inflow.finish();
    if (this.ended) return inflow.finish({ reason: this.error });
    inflow.demanding = true;
    this.#owner.wanted();
  }

  taken(inflow: Inflow): void {
    if (inflow === this.#inflow) this.#owner.wanted();
  }

  leave(inflow: Inflow): void {
    if (inflow !== this.#inflow) return;
    this.#leave();
    this.#owner.wanted();
  }

  /** Drops what is unread of the message that is being read as a stream. */
  #leave(): void {
    const inflow = this.#inflow;
    if (inflow === undefined) return;
    this.#inflow = undefined;
    inflow.clear();
    if (inflow.over) return;
    inflow.finish();
    this.intake.skip();
  }

  /** Gives up the pending read, unless it has its message already; what arrives later is there for the next one. */
  giveUp(promise: Promise<unknown>, reason: unknown): boolean {
    const { reader } = this.#owner;
    if (reader?.promise !== promise) return false;
    this.#owner.reader = undefined;
    this.intake.streaming = false;
    reader.reject(reason);
    this.#owner.rest();
    return true;
  }

  /** Gives every message to `handler`; resolves when reading has ended well and the connection is closed. */
  receive(handler: MessageHandler): Promise<CloseInfo> {
    const clash = this.#clash('receive');
    if (clash !== undefined) return rejected(clash);
    return this.#begin(new Reception(handler));
  }

  /** Drops every message; resolves as {@link receive}. */
  discard(): Promise<CloseInfo> {
    const clash = this.#clash('discardReads');
    if (clash !== undefined) return rejected(clash);
    this.intake.discard();
    this.drop();
    return this.#begin(new Reception(undefined));
  }

  #begin(reception: Reception): Promise<CloseInfo> {
    this.#leave();
    this.#owner.reception = reception;
    this.#serveQueue();
    this.#owner.wanted();
    if (this.ended) this.#finish();
    return reception;
  }

  /** Drops what is queued: after our close frame, nobody gets it. */
  drop(): void {
    this.#queue.length = 0;
    this.#cost = 0;
    this.#inflow?.clear();
  }

  /** Reading is over: what waits for more messages ends with `error`. Queued messages can still be read. */
  end(error: unknown): void {
    if (this.ended) return;
    this.ended = true;
    this.error = error;
    const { reader } = this.#owner;
    this.#owner.reader = undefined;
    reader?.end(error);
    this.#inflow?.finish({ reason: error });
    this.#finish();
  }

  /** Settles `receive` or `discardReads`, once reading has ended and no handler is at work. */
  #finish(): void {
    const { reception } = this.#owner;
    if (reception === undefined || !this.ended || this.#busy || this.#queue.length > 0) return;
    this.#owner.reception = undefined;
    const thrown = this.#thrown;
    // A handler that could not send after our close frame, or that met the end itself, has not failed.
    const failed = thrown !== undefined && thrown.error !== this.error;
    if (failed && !(thrown.error instanceof CloseSentError)) reception.reject(thrown.error);
    else if (endsWell(this.error)) reception.resolve(this.#owner.closed);
    else reception.reject(this.error);
  }

  #clash(name: string): ReadPendingError | undefined {
    const { reader, reception } = this.#owner;
    if (reader !== undefined) return new ReadPendingError(name, reader.name);
    if (this.#taking) return new ReadPendingError(name, this.#readerName);
    if (this.#inflow?.demanding) return new ReadPendingError(name, 'a read of a message');
    if (reception === undefined) return undefined;
    return new ReadPendingError(name, reception.name);
  }

  #serveQueue(): void {
    for (;;) {
      const { reception } = this.#owner;
      const handler = reception?.handler;
      if (handler === undefined || this.#busy || this.#thrown !== undefined) return;
      const message = this.#queue.shift();
      if (message === undefined) return;
      this.#cost -= message.data.length + MESSAGE_COST;
      this.#call(reception!, handler, message.type, message.data, 0, message.data.length);
    }
  }

  #call(
    reception: Reception,
    handler: MessageHandler,
    type: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (this.#lendsCopies && this.#lease === undefined && start < end) {
      const lease = Lease.take(end - start);
      this.#lease = lease;
      lease.bytes.set(bytes.subarray(start, end));
      return this.#call(reception, handler, type, lease.bytes, 0, end - start);
    }
    // The connection's own: a handler that keeps it for too long must never see what another connection gets.
    reception.borrowed ??= new BorrowedMessage(this.#host);
    const { borrowed } = reception;
    borrowed.lend(type, bytes, start, end);
    this.#borrowed = borrowed;
    this.#busy = true;
    try {
      const result = handler(borrowed);
      // The promise that every write returns while there is room is known: no need to wait for it.
      if (result === undefined || result === done) this.#done();
      // `resolve` makes a promise that settles once of whatever has a `then`, and leaves a real one as it is.
      else if (typeof result?.then === 'function') this.#waitFor(result);
      else this.#done();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Of its own: a closure made in `#call` would cost every call its context, 40 bytes, whether it is made or not. */
  #waitFor(result: PromiseLike<void>): void {
    this.#settled ??= () => this.#settle();
    this.#failed ??= (error) => this.#fail(error);
    Promise.resolve(result).then(this.#settled, this.#failed);
  }

  /** Nothing more can be parsed for now: what was lent last is not kept for the next message's sake. */
  letGo(): void {
    if (this.#busy || this.#borrowed === undefined) return;
    this.#borrowed.letGo();
    this.#borrowed = undefined;
  }

  /** The handler is done within its call. */
  #done(): void {
    this.#release();
    if (this.ended) this.#finish();
  }

  #release(): void {
    this.#busy = false;
    this.#borrowed!.takeBack();
    const lease = this.#lease;
    if (lease === undefined) return;
    this.#lease = undefined;
    lease.release();
  }

  #settle(): void {
    this.#release();
    this.#serveQueue();
    this.#owner.wanted();
    if (this.ended) this.#finish();
  }

  #fail(error: unknown): void {
    this.#release();
    this.#thrown = { error };
    this.#owner.handlerFailed(error);
    this.#finish();
  }
}
