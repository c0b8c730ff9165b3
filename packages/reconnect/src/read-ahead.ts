import {
  BackpressureError,
  BorrowedMessage,
  type ConnLike,
  type Message,
  type MessageHandler,
  portablePlatform,
  ReadPendingError,
} from '@ws/conn';
import { Deferred, Fifo, internalsOf, markHandled } from '@ws/conn/internal';
import type { Backlog } from './backlog.ts';
import { isErrorOf } from './reconnecting.ts';
import { type ResendPlan, takeAcknowledgements } from './resend.ts';

/** The factor of the bounds while a message waits for its acknowledgement. */
const WAITING_FACTOR = 16;
/** Time in ms in which a reader at that bound must take a message. */
const STANDSTILL_MS = 1_000;

/**
 * Reads a connection ahead of its reader. A reader may await the acknowledgement of a message: without
 * the read-ahead, no code would read that acknowledgement. Above the bounds, reading pauses, except
 * while a message waits for its acknowledgement.
 */
export class ReadAhead {
  /** The error with which the handler of `receive` has failed. */
  failure: unknown;
  readonly #conn: ConnLike;
  readonly #resend: ResendPlan;
  readonly #queue: Backlog;
  readonly #report: (error: unknown, where: string) => void;
  readonly #messages = new Fifo<Message>();
  #bytes = 0;
  #ended = false;
  /** Name of the pending call that reads; `''` for none. */
  #caller = '';
  /** Whether there was a reader. */
  #hadReader = false;
  /** Resolves when a message has arrived, or the connection has ended. */
  #arrival: Deferred<void> | undefined;
  /** Defined while reading pauses. Resolve it to read on; reject it to end the connection. */
  #pause: Deferred<void> | undefined;
  /** Whether the bounds times {@link WAITING_FACTOR} were exceeded before the last message. */
  #isFarAhead = false;
  /** The timer that ends the connection, unless the reader takes a message. */
  #standstillTimer: unknown;

  /**
   * @param queue - The messages that wait for their acknowledgements.
   * @param failed - Called with an error that `conn` has not caused, as when it has another reader.
   */
  constructor(
    conn: ConnLike,
    resend: ResendPlan,
    queue: Backlog,
    report: (error: unknown, where: string) => void,
    failed: (error: unknown) => void,
  ) {
    this.#conn = conn;
    this.#resend = resend;
    this.#queue = queue;
    this.#report = report;
    const end = (): void => {
      this.#ended = true;
      this.#arrival?.resolve();
    };
    conn
      .receive((message) => this.#add(message))
      .then(end, (error: unknown) => {
        end();
        if (error instanceof ReadPendingError || !isErrorOf(conn, error)) failed(error);
      });
  }

  /** Bytes of the messages that wait for a reader. */
  get unreadBytes(): number {
    return this.#bytes + this.#messages.length;
  }

  #add(message: BorrowedMessage): Promise<void> | undefined {
    this.#isFarAhead = this.#isFull(WAITING_FACTOR);
    if (this.#hides(message)) return undefined;
    // In a page, `message` is a Message, and stays valid. No class test: it may be of another copy of `@ws/conn`.
    const kept = (message as Partial<BorrowedMessage>).copy?.() ?? (message as unknown as Message);
    this.#messages.add(kept);
    this.#bytes += kept.data.length;
    this.#arrival?.resolve();
    if (!this.#isFull()) return undefined;
    if (!this.#hadReader) this.#report(notRead(this.#messages.length), 'receive');
    const isSendWaiting = this.#queue.hasUnacknowledged;
    // The next message may be the acknowledgement.
    if (isSendWaiting && !this.#isFarAhead) return undefined;
    this.#pause = new Deferred();
    if (isSendWaiting) this.#startStandstill();
    return this.#pause.promise;
  }

  /** Takes the acknowledgements in `message`. Returns whether to hide `message` from the reader. */
  #hides(message: BorrowedMessage): boolean {
    const resend = this.#resend;
    try {
      const acknowledges = takeAcknowledgements(resend, message, (id) =>
        this.#queue.acknowledge(id),
      );
      return acknowledges && resend.hide;
    } catch (error) {
      this.#report(error, 'resend.acknowledged');
      return false;
    }
  }

  #isFull(factor = 1): boolean {
    const { maxBytes, maxMessages } = this.#resend;
    return this.#bytes >= maxBytes * factor || this.#messages.length >= maxMessages * factor;
  }

  /** Called when another message waits for its acknowledgement. */
  onSend(): void {
    if (this.#pause === undefined || this.#standstillTimer !== undefined) return;
    if (this.#isFarAhead) this.#startStandstill();
    else this.#continueReading();
  }

  #continueReading(): void {
    clearTimeout(this.#standstillTimer);
    this.#standstillTimer = undefined;
    this.#pause?.resolve();
    this.#pause = undefined;
  }

  #startStandstill(): void {
    clearTimeout(this.#standstillTimer);
    this.#standstillTimer = setTimeout(() => {
      this.#standstillTimer = undefined;
      // After the end the next connection brings the acknowledgement.
      if (this.#conn.state !== 'open' || !this.#queue.hasUnacknowledged) return;
      const error = new BackpressureError(
        `${this.#messages.length} messages of ${this.#bytes} bytes wait for the reader, and one of send for its acknowledgement; read without waiting for send, or raise resend.maxBytes and resend.maxMessages`,
      );
      this.#pause?.reject(error);
    }, STANDSTILL_MS);
  }

  #shift(): Message | undefined {
    const message = this.#messages.shift();
    if (message === undefined) return undefined;
    this.#bytes -= message.data.length;
    const factor = this.#standstillTimer === undefined ? 1 : WAITING_FACTOR;
    if (!this.#isFull(factor)) this.#continueReading();
    else if (factor > 1) this.#startStandstill();
    return message;
  }

  /** The next message; undefined at the end, and when `hasReturned` is true after the wait. */
  async #next(hasReturned?: () => boolean): Promise<Message | undefined> {
    if (this.#messages.length === 0 && !this.#ended) {
      this.#arrival = new Deferred();
      await this.#arrival.promise;
      this.#arrival = undefined;
    }
    return hasReturned?.() ? undefined : this.#shift();
  }

  /** @throws ReadPendingError */
  #begin(caller: string): void {
    if (this.#caller !== '') throw new ReadPendingError(caller, this.#caller);
    this.#caller = caller;
    this.#hadReader = true;
  }

  /**
   * As `Conn.receive`, but resolves after any end of the connection.
   *
   * @throws (rejects) the error of `handler`, ReadPendingError.
   */
  async receive(handler: MessageHandler): Promise<void> {
    this.#begin('receive');
    try {
      for (let message = await this.#next(); message; message = await this.#next()) {
        await this.#handle(handler, message);
      }
    } finally {
      this.#caller = '';
    }
  }

  async #handle(handler: MessageHandler, message: Message): Promise<void> {
    const conn = this.#conn;
    try {
      await handler(lent(message));
    } catch (error) {
      // The error is of a call after the end, so it is no fault of the handler.
      if (conn.state !== 'open' && isErrorOf(conn, error)) return;
      this.failure = error;
      await internalsOf(conn).closeAfterError(error);
      throw error;
    }
  }

  /** As the iterator of a `Conn`, but is done after any end of the connection. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    let hasReturned = false;
    let isReading = false;
    const next = async (): Promise<IteratorResult<Message, undefined>> => {
      this.#begin('for await');
      isReading = true;
      try {
        const value = await this.#next(() => hasReturned);
        return value === undefined ? { done: true, value } : { done: false, value };
      } finally {
        isReading = false;
        this.#caller = '';
      }
    };
    return {
      next: () => markHandled(next()),
      return: async () => {
        hasReturned = true;
        if (isReading) this.#arrival?.resolve();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
}

function notRead(count: number): Error {
  return new Error(
    `${count} messages wait for a reader, and no code reads this ReconnectingConn; call receive, or set resend.hide`,
  );
}

/** Returns `message` as a BorrowedMessage, for a handler. It stays valid. */
function lent(message: Message): BorrowedMessage {
  // A message of a page has the members of a BorrowedMessage.
  if ('borrow' in message) return message as unknown as BorrowedMessage;
  const borrowed = new BorrowedMessage(portablePlatform);
  borrowed.lend(message.type, message.data, 0, message.data.length);
  return borrowed;
}
