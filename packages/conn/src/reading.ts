import { CloseCode } from '@ws/codec';
import type { Lease } from './assembly.ts';
import { copyOf } from './copy.ts';
import { CloseError, ReadPendingError } from './errors.ts';
import type { Host } from './host.ts';
import type { Intake } from './intake.ts';
import { BorrowedMessage, Message } from './message.ts';
import { type Deferred, deferred, done, rejected } from './promises.ts';

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
  /** There may be room for input again: parse on. */
  wanted(): void;
  /** The user's handler failed: the connection closes with 1011. */
  handlerFailed(error: unknown): void;
}

/**
 * The reading side: who waits for messages, what waits for readers. At most one way of reading is pending. A message
 * goes straight to whoever waits for it; others wait in a queue, as messages of their own, up to the read-ahead.
 */
export class Reading {
  /** Why reading ended, once every message before that is read. */
  error: unknown;
  ended = false;

  readonly #owner: ReadingOwner;
  readonly #host: Host;
  readonly #readAhead: number;
  #way: typeof ON_DEMAND | typeof HANDLER | typeof DISCARD = ON_DEMAND;
  readonly #queue: Message[] = [];
  #cost = 0;
  /** The pending `readMessage`, and its name for a clash. */
  #reader: Deferred<Message> | undefined;
  #readerName = '';
  /** A message for the `readMessage` that is just being called. */
  #taken: Message | undefined;
  #taking = false;
  #handler: MessageHandler | undefined;
  #finished: Deferred<void> | undefined;
  #busy = false;
  #borrowed: BorrowedMessage | undefined;
  #lease: Lease | undefined;

  constructor(owner: ReadingOwner, host: Host, readAhead: number) {
    this.#owner = owner;
    this.#host = host;
    this.#readAhead = readAhead;
  }

  /** Whether somebody waits for the next message right now. */
  get waiting(): boolean {
    if (this.#way === HANDLER) return !this.#busy && this.#queue.length === 0;
    return this.#way === DISCARD || this.#reader !== undefined || this.#taking;
  }

  /** Whether a message could be taken into the queue, with `held` bytes waiting besides. */
  hasRoom(held: number): boolean {
    return this.#cost + held <= this.#readAhead;
  }

  /** Whether so much of the queue is gone that the transport may flow again, with `held` bytes waiting besides. */
  isLow(held: number): boolean {
    return this.#cost + held <= this.#readAhead / 2;
  }

  /** Whether every message is read and no handler is at work. */
  get idle(): boolean {
    return this.#queue.length === 0 && !this.#busy;
  }

  /** Whether nobody reads in any way. */
  get unread(): boolean {
    return this.#way === ON_DEMAND && this.#reader === undefined;
  }

  /** Takes the message that `intake` has just announced. */
  message(intake: Intake): void {
    const { lease } = intake;
    if (this.#way === HANDLER && !this.#busy && this.#queue.length === 0) {
      this.#lease = lease;
      this.#borrowed!.lend(intake.type, intake.bytes, intake.start, intake.end);
      this.#call();
      return;
    }
    if (this.#way !== DISCARD) {
      const bytes = copyOf(intake.bytes, intake.start, intake.end);
      this.#own(new Message(intake.type, bytes, this.#host));
    }
    lease?.release();
  }

  #own(message: Message): void {
    if (this.#taking) {
      this.#taken = message;
      this.#taking = false;
    } else if (this.#reader !== undefined) {
      const reader = this.#reader;
      this.#reader = undefined;
      reader.resolve(message);
    } else {
      this.#queue.push(message);
      this.#cost += message.data.length + MESSAGE_COST;
    }
  }

  /** The next message; `signal` and `timeout` give up without losing anything. */
  read(name: string): Promise<Message> {
    const clash = this.#clash(name);
    if (clash !== undefined) return rejected(clash);
    const queued = this.#queue.shift();
    if (queued !== undefined) {
      this.#cost -= queued.data.length + MESSAGE_COST;
      this.#owner.wanted();
      return Promise.resolve(queued);
    }
    if (!this.ended) {
      this.#taking = true;
      this.#owner.wanted();
      this.#taking = false;
      const taken = this.#taken;
      if (taken !== undefined) {
        this.#taken = undefined;
        return Promise.resolve(taken);
      }
    }
    if (this.ended) return rejected(this.error);
    this.#reader = deferred<Message>();
    this.#readerName = name;
    return this.#reader.promise;
  }

  /** Gives up the pending read, unless it has its message already; what arrives later is there for the next one. */
  giveUp(promise: Promise<Message>, reason: unknown): boolean {
    const reader = this.#reader;
    if (reader?.promise !== promise) return false;
    this.#reader = undefined;
    reader.reject(reason);
    return true;
  }

  /** Gives every message to `handler`; resolves when reading ends well. */
  receive(handler: MessageHandler): Promise<void> {
    const clash = this.#clash('receive');
    if (clash !== undefined) return rejected(clash);
    this.#way = HANDLER;
    this.#handler = handler;
    this.#borrowed ??= new BorrowedMessage(this.#host);
    return this.#begin();
  }

  /** Drops every message; resolves when reading ends well. */
  discard(): Promise<void> {
    const clash = this.#clash('discardReads');
    if (clash !== undefined) return rejected(clash);
    this.#way = DISCARD;
    this.drop();
    return this.#begin();
  }

  #begin(): Promise<void> {
    const finished = deferred<void>();
    this.#finished = finished;
    if (this.ended && this.#queue.length === 0) this.#finish();
    else {
      this.#serveQueue();
      this.#owner.wanted();
    }
    return finished.promise;
  }

  /** Drops what is queued: after our close frame, nobody gets it. */
  drop(): void {
    this.#queue.length = 0;
    this.#cost = 0;
  }

  /** Reading is over: what waits for more messages ends with `error`. Queued messages can still be read. */
  end(error: unknown): void {
    if (this.ended) return;
    this.ended = true;
    this.error = error;
    const reader = this.#reader;
    this.#reader = undefined;
    reader?.reject(error);
    this.#finish();
  }

  #finish(): void {
    const finished = this.#finished;
    if (finished === undefined) return;
    this.#finished = undefined;
    this.#way = ON_DEMAND;
    if (endsWell(this.error)) finished.resolve();
    else finished.reject(this.error);
  }

  #clash(name: string): ReadPendingError | undefined {
    if (this.#reader !== undefined) return new ReadPendingError(name, this.#readerName);
    if (this.#finished === undefined) return undefined;
    return new ReadPendingError(name, this.#way === HANDLER ? 'receive' : 'discardReads');
  }

  #serveQueue(): void {
    while (this.#way === HANDLER && !this.#busy) {
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
      if (result === undefined || result === done) this.#release();
      else if (typeof result?.then === 'function') result.then(this.#settled, this.#failed);
      else this.#release();
    } catch (error) {
      this.#release();
      this.#owner.handlerFailed(error);
    }
  }

  #release(): void {
    this.#busy = false;
    this.#borrowed!.takeBack();
    const lease = this.#lease;
    if (lease === undefined) return;
    this.#lease = undefined;
    lease.release();
  }

  readonly #settled = (): void => {
    this.#release();
    this.#serveQueue();
    this.#owner.wanted();
  };

  readonly #failed = (error: unknown): void => {
    this.#release();
    this.#owner.handlerFailed(error);
  };
}

/** Whether reading ended as it is meant to end: `receive` resolves and iteration is done. */
export function endsWell(error: unknown): boolean {
  if (!(error instanceof CloseError)) return false;
  return (
    error.closeCode === CloseCode.NormalClosure ||
    error.closeCode === CloseCode.GoingAway ||
    error.closeCode === CloseCode.NoStatusReceived
  );
}
