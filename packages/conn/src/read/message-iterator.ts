import type { Reader } from '../connection/reader.ts';
import type { Message } from '../message.ts';

/** The iterator of a `for await` loop over a connection. A class needs no closures. */
export class MessageIterator implements AsyncIterableIterator<Message, undefined> {
  readonly #reader: Reader;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    return this.#reader.nextResult(this);
  }

  /** `break` leaves the connection open. A pending `next` is done: it takes no message. */
  return(): Promise<IteratorResult<Message, undefined>> {
    this.#reader.leave(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
