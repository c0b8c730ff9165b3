import type { BorrowedMessage, CloseInfo, MessageHandler } from '@ws/conn';
import {
  BackpressureError,
  CloseError,
  CloseSentError,
  RESOLVED,
  ReadLimitError,
  ReadPendingError,
} from '@ws/conn/parts';
import type { BrowserConnSettings } from './options.ts';
import { PageMessage } from './payload.ts';
import { report } from './promises.ts';

/** Charged for each queued message on top of its bytes, for its objects. */
const MESSAGE_COST = 320;
/** A queue with more read entries than this is shortened. */
const LONG = 1024;
/** The close code after more than `maxQueuedBytes`. */
const QUEUE_CLOSE_CODE = 3008;
/** The close code after an error of the application; 1011 is not allowed in a page. */
export const ERROR_CLOSE_CODE = 3011;

/** Whether reading ended normally: `receive` resolves and iteration is done. */
export function isNormalEnd(error: unknown): boolean {
  return error instanceof CloseError && [1000, 1001, 1005].includes(error.closeCode);
}

/** What reads messages: one call, or a `receive`. */
interface Reader {
  readonly name: string;
  take(message: PageMessage): void;
  end(reason: unknown): void;
}

type Resolve<T> = (value: T | PromiseLike<T>) => void;
type Reject = (reason: unknown) => void;

/** Gives messages to one reader at a time, and queues those that wait. */
export class ReadSide {
  messages = 0;
  /** Bytes of the messages. */
  bytes = 0;
  readonly #settings: BrowserConnSettings;
  readonly #fail: (error: unknown, closeCode: number) => void;
  readonly #pull: () => void;
  #queue: PageMessage[] = [];
  /** Read entries at the start of the queue. */
  #read = 0;
  /** Bytes of the queued messages, with their costs. */
  #cost = 0;
  #reader: Reader | undefined;
  /** Whether a handler is at work. */
  #busy = false;
  #dropping = false;
  /** Why reading ended. Queued messages can still be read. */
  #ended: { readonly reason: unknown } | undefined;

  /**
   * @param fail - Fails the connection.
   * @param pull - The next message is wanted.
   */
  constructor(
    settings: BrowserConnSettings,
    fail: (error: unknown, closeCode: number) => void,
    pull: () => void,
  ) {
    this.#settings = settings;
    this.#fail = fail;
    this.#pull = pull;
  }

  get #isEmpty(): boolean {
    return this.#read === this.#queue.length;
  }

  /** A message has arrived. */
  add(data: string | Uint8Array): void {
    if (!this.#dropping && this.#ended === undefined) this.#add(new PageMessage(data));
    this.serve();
  }

  #add(message: PageMessage): void {
    const { readLimit, limitCloseCode, maxQueuedBytes } = this.#settings;
    const { length } = message;
    const cost = this.#cost + length + MESSAGE_COST;
    if (length > readLimit) return this.#fail(new ReadLimitError(readLimit), limitCloseCode);
    if (!this.#isEmpty && cost > maxQueuedBytes) {
      const text = `${this.#cost} bytes wait for a read; ${length} more would exceed maxQueuedBytes (${maxQueuedBytes})`;
      return this.#fail(new BackpressureError(text), QUEUE_CLOSE_CODE);
    }
    this.messages++;
    this.bytes += length;
    this.#cost = cost;
    this.#queue.push(message);
  }

  /** Gives queued messages, then the end, to the reader. */
  serve(): void {
    while (this.#reader !== undefined && !this.#busy && !this.#isEmpty) {
      const message = this.#queue[this.#read++]!;
      this.#cost -= message.length + MESSAGE_COST;
      if (this.#isEmpty || this.#read > LONG) {
        // Rarely: to shift a long array costs as much as to copy it.
        this.#queue.splice(0, this.#read);
        this.#read = 0;
      }
      this.#reader.take(message);
    }
    const isIdle = !this.#busy && this.#isEmpty;
    const reader = this.#reader;
    if (isIdle && this.#ended !== undefined && reader !== undefined) {
      this.#reader = undefined;
      reader.end(this.#ended.reason);
    }
    if (isIdle || this.#dropping) this.#pull();
  }

  /** Drops the queued messages and all later ones. */
  drop(): void {
    this.#dropping = true;
    this.#queue = [];
    this.#read = this.#cost = 0;
  }

  /** Ends reading. Queued messages can still be read. */
  end(reason: unknown): void {
    this.#ended ??= { reason };
    this.serve();
  }

  /** Reads the next message. Returns what cancels the read; a message that it has got stays. */
  read(name: string, resolve: Resolve<PageMessage>, reject: Reject): Reject {
    const reader: Reader = {
      name,
      take: (message) => {
        this.#reader = undefined;
        resolve(message);
      },
      end: reject,
    };
    this.#start(reader);
    return (reason) => {
      if (this.#reader !== reader) return;
      this.#reader = undefined;
      reject(reason);
    };
  }

  /** Gives every message to `handler`. Resolves with `closed` after a normal end. */
  receive(name: string, handler: MessageHandler, closed: Promise<CloseInfo>): Promise<CloseInfo> {
    return new Promise((resolve, reject) => {
      this.#start({
        name,
        take: (message) => this.#call(handler, message, reject),
        end: (reason) => (isNormalEnd(reason) ? resolve(closed) : reject(reason)),
      });
    });
  }

  /** @throws ReadPendingError */
  #start(reader: Reader): void {
    if (this.#reader !== undefined) throw new ReadPendingError(reader.name, this.#reader.name);
    this.#reader = reader;
    // In a later turn, so that a loop that reads on after the end blocks no other work.
    if (this.#ended !== undefined && this.#isEmpty) setTimeout(() => this.serve());
    else this.serve();
  }

  #call(handler: MessageHandler, message: PageMessage, reject: Reject): void {
    const failed = (error: unknown): void => {
      this.#busy = false;
      const isEnd = this.#ended !== undefined && error === this.#ended.reason;
      const isClosed = this.#ended !== undefined || this.#dropping;
      // Its write came too late: the handler has not failed.
      if (!isEnd && !(isClosed && error instanceof CloseSentError)) {
        report(error);
        this.#reader = undefined;
        this.drop();
        reject(error);
        this.#fail(error, ERROR_CLOSE_CODE);
      }
    };
    this.#busy = true;
    try {
      // In a page, a message stays valid. Its class has all members of a BorrowedMessage.
      const result: unknown = handler(message as unknown as BorrowedMessage);
      const { then } = (result ?? {}) as Partial<PromiseLike<void>>;
      // Writes return this promise while there is room.
      if (result === RESOLVED || typeof then !== 'function') this.#busy = false;
      else {
        void this.#await(result as PromiseLike<void>, failed);
      }
    } catch (error) {
      failed(error);
    }
  }

  async #await(result: PromiseLike<void>, failed: Reject): Promise<void> {
    try {
      await result;
      this.#busy = false;
    } catch (error) {
      failed(error);
    }
    this.serve();
  }
}
