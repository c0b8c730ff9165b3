import { TextMessage } from '@ws/codec';
import { BackpressureError } from '../errors.ts';
import { copyOf } from '../memory/copy.ts';
import { Message } from '../message.ts';
import { portablePlatform } from '../platform/portable-platform.ts';
import { Deferred } from '../time/promises.ts';
import { bytesOf, dataTypeOf, type MessageData, utf8 } from '../write/payload.ts';

/** A message that waits for a connection. */
export interface WaitingMessage {
  readonly message: Message;
  /** Settles the promise of `send`. */
  readonly sent: Deferred<void>;
}

/** Bounds of a {@link MessageBacklog}; Infinity for none. */
export interface BacklogBounds {
  readonly maxQueuedBytes: number;
  readonly maxQueuedMessages: number;
}

/** Copies of the messages that wait for the next connection, in the order of the calls. */
export class MessageBacklog {
  readonly #bounds: BacklogBounds;
  readonly #waiting = new Set<WaitingMessage>();
  #bytes = 0;

  constructor(bounds: BacklogBounds) {
    this.#bounds = bounds;
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
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
    const sent = new Deferred<void>();
    this.#waiting.add({ message, sent });
    this.#bytes += message.data.length;
    return sent.promise;
  }

  /** Removes the first message. */
  shift(): WaitingMessage | undefined {
    const [first] = this.#waiting;
    if (first === undefined) return undefined;
    this.#waiting.delete(first);
    this.#bytes -= first.message.data.length;
    return first;
  }

  #check(bytes: number): void {
    const { maxQueuedBytes, maxQueuedMessages } = this.#bounds;
    if (this.#waiting.size >= maxQueuedMessages) {
      throw new BackpressureError(
        `${this.#waiting.size} messages wait for a connection, as many as maxQueuedMessages allows`,
      );
    }
    if (this.#bytes + bytes > maxQueuedBytes) {
      throw new BackpressureError(
        `${this.#bytes} bytes wait for a connection; ${bytes} more would exceed maxQueuedBytes (${maxQueuedBytes})`,
      );
    }
  }
}

function copyMessage(data: MessageData): Message {
  if (typeof data === 'string') return new Message(TextMessage, utf8(data), portablePlatform);
  return new Message(dataTypeOf(data), copyOf(bytesOf(data, 'send')), portablePlatform);
}
