import type { PullReads } from '../connection/pull-reads.ts';
import type { Message } from '../message.ts';

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
