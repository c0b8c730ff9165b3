import type { Message } from '../message.ts';
import type { ReadSide } from './read-side.ts';

/** The iterator of a `for await` loop over a connection. A class needs no closures. */
export class MessageIterator implements AsyncIterableIterator<Message, undefined> {
  readonly #connection: { readonly readSide: ReadSide };

  constructor(connection: { readonly readSide: ReadSide }) {
    this.#connection = connection;
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    return this.#connection.readSide.next(this);
  }

  /** `break` leaves the connection open. A pending `next` is done: it takes no message. */
  return(): Promise<IteratorResult<Message, undefined>> {
    this.#connection.readSide.leave(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
