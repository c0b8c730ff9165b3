import type { CloseInfo } from './closing.ts';
import { copyOf } from './copy.ts';
import { CloseSentError, ReadPendingError } from './errors.ts';
import type { Host } from './host.ts';
import { Inflow } from './inflow.ts';
import type { Intake } from './intake.ts';
import type { Lease } from './lease.ts';
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
import { Deferred, done, rejected } from './promises.ts';

/** What `receive` calls with each message. */
export type MessageHandler = (message: BorrowedMessage) => void | PromiseLike<void>;

/** Charged for each queued message on top of its bytes, so that empty ones are bounded too. */
const MESSAGE_COST = 128;

// Ways of reading.
const ON_DEMAND = 0;
const HANDLER = 1;
const DISCARD = 2;

/** What the reading side asks of the connection. */
export interface ReadingOwner {
  readonly closed: Promise<CloseInfo>;
  /** There may be room for input again: parse on. */
  wanted(): void;
  /** The user's handler failed: the connection closes with 1011. */
  handlerFailed(error: unknown): void;
}

/**
 * The reading side: who waits for messages, what waits for readers. At most one way of reading is pending. A message
 * goes straight to whoever waits for it; others wait in a queue, as messages of their own, up to the read-ahead.
 */
export class Reading implements InflowSource {
  /** Why reading ended, once every message before that is read. */
  error: unknown;
  ended = false;

  readonly #owner: ReadingOwner;
  readonly #intake: Intake;
  readonly #host: Host;
  readonly #readAhead: number;
  #way: typeof ON_DEMAND | typeof HANDLER | typeof DISCARD = ON_DEMAND;
  readonly #queue: Message[] = [];
  #cost = 0;
  /** The pending `readMessage`, `nextReader` or `for await`, and its name for a clash. */
  #reader: PendingRead | undefined;
  #readerName = '';
  /** What came for the one that is just being called. */
  #taken: Taken | undefined;
  #taking = false;
  /** The message that a MessageReader reads. */
  #inflow: Inflow | undefined;
  #handler: MessageHandler | undefined;
  #finished: Deferred<CloseInfo> | undefined;
  #busy = false;
  /** What the promise of a handler calls; made with the first one. */
  #settled: (() => void) | undefined;
  #failed: ((error: unknown) => void) | undefined;
  /** What the handler has thrown. */
  #thrown: { readonly error: unknown } | undefined;
  #borrowed: BorrowedMessage | undefined;
  #lease: Lease | undefined;

  constructor(owner: ReadingOwner, intake: Intake, host: Host, readAhead: number) {
    this.#owner = owner;
    this.#intake = intake;
    this.#host = host;
    this.#readAhead = readAhead;
  }

  /** Whether somebody waits for the next message right now. */
  get waiting(): boolean {
    if (this.#way === HANDLER) return !this.#busy && this.#queue.length === 0;
    return this.#way === DISCARD || this.#asked || this.#taking;
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

  /** Whether nobody reads in any way. */
  get unread(): boolean {
    return this.#way === ON_DEMAND && !this.#asked;
  }

  /** Whether a read of some kind is pending. */
  get #asked(): boolean {
    return this.#reader !== undefined || this.#inflow?.demanding === true;
  }

  /** Bytes that are read ahead, with what it costs to keep them. */
  get #waits(): number {
    return this.#cost + (this.#inflow?.cost ?? 0);
  }

  /** Takes the message that the intake has just announced. */
  message(): void {
    const intake = this.#intake;
    const { lease } = intake;
    if (this.#way === HANDLER && !this.#busy && this.#queue.length === 0 && !intake.dropping) {
      this.#lease = lease;
      this.#borrowed!.lend(intake.type, intake.bytes, intake.start, intake.end);
      this.#call();
      return;
    }
    if (this.#way !== DISCARD && !intake.dropping) {
      const { bytes, start, end } = intake;
      if (this.#taking || this.#reader !== undefined) {
        const data =
          lease === undefined
            ? messageBlocks.copy(bytes, start, end, this, this.#host)
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
    this.#intake.streaming = false;
    this.#give(this.#readerOf(this.#intake.type));
  }

  /** A piece of that message lies in the intake. */
  piece(): void {
    const { bytes, start, end, lease } = this.#intake;
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
    const reader = this.#reader;
    this.#reader = undefined;
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
    const pending = new PendingMessage();
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
    this.#intake.streaming = asStream && !this.#intake.dropping;
    this.#readerName = name;
    this.#taking = true;
    this.#owner.wanted();
    this.#taking = false;
    const taken = this.#taken;
    this.#taken = undefined;
    return taken;
  }

  #wait(pending: PendingRead): void {
    if (this.ended) pending.end(this.error);
    else this.#reader = pending;
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
    const begun = this.ended ? undefined : this.#intake.turnIntoPieces();
    if (begun === undefined) return undefined;
    const reader = this.#readerOf(this.#intake.type);
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
    this.#intake.skip();
  }

  /** Gives up the pending read, unless it has its message already; what arrives later is there for the next one. */
  giveUp(promise: Promise<unknown>, reason: unknown): boolean {
    const reader = this.#reader;
    if (reader?.promise !== promise) return false;
    this.#reader = undefined;
    this.#intake.streaming = false;
    reader.reject(reason);
    return true;
  }

  /** Gives every message to `handler`; resolves when reading has ended well and the connection is closed. */
  receive(handler: MessageHandler): Promise<CloseInfo> {
    const clash = this.#clash('receive');
    if (clash !== undefined) return rejected(clash);
    this.#way = HANDLER;
    this.#handler = handler;
    this.#borrowed ??= new BorrowedMessage(this.#host);
    return this.#begin();
  }

  /** Drops every message; resolves as {@link receive}. */
  discard(): Promise<CloseInfo> {
    const clash = this.#clash('discardReads');
    if (clash !== undefined) return rejected(clash);
    this.#way = DISCARD;
    this.#intake.discard();
    this.drop();
    return this.#begin();
  }

  #begin(): Promise<CloseInfo> {
    this.#leave();
    const finished = new Deferred<CloseInfo>();
    this.#finished = finished;
    this.#serveQueue();
    this.#owner.wanted();
    this.#finish();
    return finished.promise;
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
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.end(error);
    this.#inflow?.finish({ reason: error });
    this.#finish();
  }

  /** Settles `receive` or `discardReads`, once reading has ended and no handler is at work. */
  #finish(): void {
    const finished = this.#finished;
    if (finished === undefined || !this.ended || this.#busy || this.#queue.length > 0) return;
    this.#finished = undefined;
    this.#way = ON_DEMAND;
    const thrown = this.#thrown;
    // A handler that could not send after our close frame, or that met the end itself, has not failed.
    const failed = thrown !== undefined && thrown.error !== this.error;
    if (failed && !(thrown.error instanceof CloseSentError)) finished.reject(thrown.error);
    else if (endsWell(this.error)) finished.resolve(this.#owner.closed);
    else finished.reject(this.error);
  }

  #clash(name: string): ReadPendingError | undefined {
    if (this.#reader !== undefined || this.#taking) {
      return new ReadPendingError(name, this.#readerName);
    }
    if (this.#inflow?.demanding) return new ReadPendingError(name, 'a read of a message');
    if (this.#finished === undefined) return undefined;
    return new ReadPendingError(name, this.#way === HANDLER ? 'receive' : 'discardReads');
  }

  #serveQueue(): void {
    while (
      this.#way === HANDLER &&
      this.#finished !== undefined &&
      !this.#busy &&
      this.#thrown === undefined
    ) {
      const message = this.#queue.shift();
      if (message === undefined) return;
      this.#cost -= message.data.length + MESSAGE_COST;
      this.#borrowed!.lend(message.type, message.data, 0, message.data.length);
      this.#call();
    }
  }

  #call(): void {
    this.#busy = true;
    try {
      const result = this.#handler!(this.#borrowed!);
      // The promise that every write returns while there is room is known: no need to wait for it.
      if (result === undefined || result === done) this.#done();
      // `resolve` makes a promise that settles once of whatever has a `then`, and leaves a real one as it is.
      else if (typeof result?.then === 'function') {
        this.#settled ??= () => this.#settle();
        this.#failed ??= (error) => this.#fail(error);
        Promise.resolve(result).then(this.#settled, this.#failed);
      } else this.#done();
    } catch (error) {
      this.#fail(error);
    }
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
    this.#finish();
  }

  #fail(error: unknown): void {
    this.#release();
    this.#thrown = { error };
    this.#owner.handlerFailed(error);
    this.#finish();
  }
}
