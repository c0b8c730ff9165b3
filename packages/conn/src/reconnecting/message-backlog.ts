import { BackpressureError } from '../errors.ts';
import type { Message } from '../message.ts';
import { Deferred } from '../time/promises.ts';
import type { MessageData } from '../writing/payload.ts';
import { copyMessage } from './copy-message.ts';
import type { LivePlan } from './options.ts';

/** A message that waits for a connection. */
export interface WaitingMessage {
  readonly message: Message;
  /** Settles the promise of `send`. */
  readonly sent: Deferred<void>;
  next: WaitingMessage | undefined;
}

type Bounds = Pick<LivePlan, 'maxQueuedBytes' | 'maxQueuedMessages'>;

/** Copies of the messages that wait for the next connection, in the order of the calls. */
export class MessageBacklog {
  readonly #bounds: Bounds;
  // A list: to take the first entry of a long Set or array costs as much as to copy it.
  #first: WaitingMessage | undefined;
  #last: WaitingMessage | undefined;
  #count = 0;
  #bytes = 0;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /**
   * Adds a copy of `data`.
   *
   * @returns Resolves when a connection has accepted the message.
   * @throws TypeError for other data, BackpressureError over a bound.
   */
  add(data: MessageData): Promise<void> {
    const message = copyMessage(data);
    this.#check(message.data.length);
    const waiting: WaitingMessage = { message, sent: new Deferred(), next: undefined };
    if (this.#last === undefined) this.#first = waiting;
    else this.#last.next = waiting;
    this.#last = waiting;
    this.#count++;
    this.#bytes += message.data.length;
    return waiting.sent.promise;
  }

  /** Removes the first message. */
  shift(): WaitingMessage | undefined {
    const first = this.#first;
    if (first === undefined) return undefined;
    this.#first = first.next;
    if (first.next === undefined) this.#last = undefined;
    this.#count--;
    this.#bytes -= first.message.data.length;
    return first;
  }

  #check(bytes: number): void {
    const { maxQueuedBytes, maxQueuedMessages } = this.#bounds;
    if (this.#count >= maxQueuedMessages) {
      throw new BackpressureError(
        `the message was not sent: ${this.#count} messages wait for a connection, as many as maxQueuedMessages allows`,
      );
    }
    if (this.#bytes + bytes > maxQueuedBytes) {
      throw new BackpressureError(
        `the message was not sent: ${this.#bytes} bytes wait for a connection; ${bytes} more would exceed maxQueuedBytes (${maxQueuedBytes})`,
      );
    }
  }
}
