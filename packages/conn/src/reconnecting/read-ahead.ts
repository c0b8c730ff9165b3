import type { ConnLike } from '../conn-like.ts';
import { ReadPendingError } from '../errors.ts';
import { Fifo } from '../fifo.ts';
import { BorrowedMessage, type Message } from '../message.ts';
import { portablePlatform } from '../portable-platform.ts';
import type { MessageHandler } from '../read/receive-call.ts';
import { Deferred, handled } from '../time/promises.ts';
import { internalsOf } from './internals.ts';
import { isErrorOf } from './reconnecting.ts';
import type { ResendPlan } from './resend.ts';

/**
 * Reads a connection ahead of its reader. A reader that waits for an acknowledgement does not read
 * it: without this class it would wait for ever.
 */
export class ReadAhead {
  /** The error with which the handler of `receive` has failed. */
  failure: unknown;
  readonly #conn: ConnLike;
  readonly #bounds: Pick<ResendPlan, 'maxBytes' | 'maxMessages'>;
  readonly #hides: (message: BorrowedMessage) => boolean;
  readonly #messages = new Fifo<Message>();
  #bytes = 0;
  #ended = false;
  /** The call that reads; `''` for none. */
  #caller = '';
  /** Wakes the reader: a message has come, or the end. */
  #arrival: Deferred<void> | undefined;
  /** Continues to read the connection. */
  #room: Deferred<void> | undefined;

  /**
   * @param bounds - Above them this object does not read the connection.
   * @param hides - Gets each message. Whether the reader does not get it.
   * @param failed - Gets the error of `hides`, and that of another reader of the connection.
   */
  constructor(
    conn: ConnLike,
    bounds: Pick<ResendPlan, 'maxBytes' | 'maxMessages'>,
    hides: (message: BorrowedMessage) => boolean,
    failed: (error: unknown) => void,
  ) {
    this.#conn = conn;
    this.#bounds = bounds;
    this.#hides = hides;
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

  #add(message: BorrowedMessage): Promise<void> | undefined {
    if (this.#hides(message)) return undefined;
    // In a page it is no BorrowedMessage, and stays valid.
    const isBorrowed = message instanceof BorrowedMessage;
    const kept = isBorrowed ? message.copy() : (message as unknown as Message);
    this.#messages.add(kept);
    this.#bytes += kept.data.length;
    this.#arrival?.resolve();
    if (!this.#isFull) return undefined;
    this.#room = new Deferred();
    return this.#room.promise;
  }

  get #isFull(): boolean {
    const { maxBytes, maxMessages } = this.#bounds;
    return this.#bytes >= maxBytes || this.#messages.length >= maxMessages;
  }

  #shift(): Message | undefined {
    const message = this.#messages.shift();
    if (message === undefined) return undefined;
    this.#bytes -= message.data.length;
    if (!this.#isFull) this.#room?.resolve();
    return message;
  }

  /** The next message; undefined at the end, and when the reader has left meanwhile. */
  async #next(isLeft?: () => boolean): Promise<Message | undefined> {
    if (this.#messages.length === 0 && !this.#ended) {
      this.#arrival = new Deferred();
      await this.#arrival.promise;
      this.#arrival = undefined;
    }
    return isLeft?.() ? undefined : this.#shift();
  }

  /** @throws ReadPendingError */
  #begin(caller: string): void {
    if (this.#caller !== '') throw new ReadPendingError(caller, this.#caller);
    this.#caller = caller;
  }

  /**
   * As `Conn.receive`, but it resolves at each end of the connection.
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
      // A call after the end: the handler has not failed.
      if (conn.state !== 'open' && isErrorOf(conn, error)) return;
      this.failure = error;
      await internalsOf(conn).closeAfterError();
      throw error;
    }
  }

  /** As the iterator of a `Conn`, but it is done at each end of the connection. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    let isLeft = false;
    let isReading = false;
    const next = async (): Promise<IteratorResult<Message, undefined>> => {
      this.#begin('for await');
      isReading = true;
      try {
        const value = await this.#next(() => isLeft);
        return value === undefined ? { done: true, value } : { done: false, value };
      } finally {
        isReading = false;
        this.#caller = '';
      }
    };
    return {
      next: () => handled(next()),
      return: async () => {
        isLeft = true;
        if (isReading) this.#arrival?.resolve();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
}

/** `message` for a handler. It stays valid. */
function lent(message: Message): BorrowedMessage {
  // A message of a page has the members of a BorrowedMessage.
  if ('borrow' in message) return message as unknown as BorrowedMessage;
  const borrowed = new BorrowedMessage(portablePlatform);
  borrowed.lend(message.type, message.data, 0, message.data.length);
  return borrowed;
}
