import {
  type BorrowedMessage,
  CloseError,
  type CloseInfo,
  CloseSentError,
  type MessageHandler,
  ReadLimitError,
  ReadPendingError,
} from '@ws/conn';
import { RESOLVED } from '@ws/conn/internal';
import type { BrowserConnSettings } from './options.ts';
import { MESSAGE_COST, messageOf, overflow, type PageMessage } from './payload.ts';
import type { PageSocket } from './web-types.ts';

/** Whether reading ended normally: `receive` resolves and iteration is done. */
export function isNormalEnd(error: unknown): boolean {
  return error instanceof CloseError && [1000, 1001, 1005].includes(error.closeCode);
}

/** Gets the next message; undefined at the end. */
type Reader = (message: PageMessage | undefined) => void;
type Reject = (reason: unknown) => void;

/** Gives messages to one reader at a time, and queues those that wait. */
export class ReadSide {
  messages = 0;
  /** Bytes of the messages. */
  bytes = 0;
  readonly #socket: PageSocket;
  readonly #settings: BrowserConnSettings;
  readonly #fail: (error: unknown, closeCode: number) => void;
  /** Messages that arrived after the messages in `#next`. */
  #queue: PageMessage[] = [];
  /** The next messages, the first one last: to shift a long array costs as much as to copy it. */
  #next: PageMessage[] = [];
  /** Bytes of the queued messages, with their costs; 0 for an empty queue. */
  #cost = 0;
  /** The call that reads; `''` for none. */
  #caller = '';
  /** Undefined without a call, and while its handler is at work. */
  #reader: Reader | undefined;
  /** Our close frame was sent: writes reject, and the handler may let that error pass. */
  closing = false;
  #dropping = false;
  /** Why reading ended. Queued messages can still be read. */
  #ended: { readonly reason: unknown } | undefined;

  /** @param fail - Fails the connection. */
  constructor(
    socket: PageSocket,
    settings: BrowserConnSettings,
    fail: (error: unknown, closeCode: number) => void,
  ) {
    this.#socket = socket;
    this.#settings = settings;
    this.#fail = fail;
  }

  /** A message has arrived. */
  add(data: unknown): void {
    if (!this.#dropping && this.#ended === undefined) {
      try {
        this.#take(messageOf(data));
      } catch (error) {
        // A Blob: the class, or code of the page, has another `binaryType`.
        this.#fault(error);
      }
    }
    this.serve();
  }

  /** Gives `message` to the reader, or queues it. */
  #take(message: PageMessage): void {
    const { readLimit, limitCloseCode, queueCloseCode } = this.#settings;
    const { length } = message;
    if (length > readLimit) return this.#fail(new ReadLimitError(readLimit), limitCloseCode);
    const cost = length + MESSAGE_COST;
    const full = this.#cost > 0 && overflow(this.#settings, 'maxQueuedBytes', this.#cost, cost);
    if (full) return this.#fail(full, queueCloseCode);
    this.messages++;
    this.bytes += length;
    const reader = this.#reader;
    if (reader !== undefined) {
      // A reader waits only while the queue is empty.
      this.#reader = undefined;
      return reader(message);
    }
    this.#cost += cost;
    this.#queue.push(message);
  }

  #fault(error: unknown): void {
    this.#settings.report(error);
    this.#fail(error, this.#settings.errorCloseCode(error));
  }

  /** Gives queued messages, then the end, to the reader. */
  serve(): void {
    let reader;
    while ((reader = this.#reader) && (this.#cost > 0 || this.#ended)) {
      this.#reader = undefined;
      reader(this.#shift());
    }
    const isHandling = this.#caller && !this.#reader;
    if (this.#dropping || !(isHandling || this.#cost > 0)) this.#socket.pull?.();
  }

  #shift(): PageMessage | undefined {
    if (this.#next.length === 0) {
      // oxlint-disable-next-line unicorn/no-array-reverse -- `toReversed` is not in ES2022
      this.#next = this.#queue.reverse();
      this.#queue = [];
    }
    const message = this.#next.pop();
    if (message !== undefined) this.#cost -= message.length + MESSAGE_COST;
    return message;
  }

  /** Drops the queued messages and all later ones. */
  drop(): void {
    this.#dropping = true;
    this.#queue = [];
    this.#next = [];
    this.#cost = 0;
  }

  /** Ends reading. Queued messages can still be read. */
  stop(reason: unknown): void {
    this.#ended ??= { reason };
    this.serve();
  }

  /**
   * Reads the next message. Returns a function that rejects the read: a message that has not arrived
   * is for the next read.
   */
  read(caller: string, resolve: (message: PageMessage) => unknown, reject: Reject): Reject {
    const reader: Reader = (message) => {
      this.#caller = '';
      if (message !== undefined) resolve(message);
      else reject(this.#ended!.reason);
    };
    this.#start(caller, reader);
    return (reason) => {
      if (this.#reader === reader) {
        this.#reader = undefined;
        this.#caller = '';
      }
      reject(reason);
    };
  }

  /** Gives every message to `handler`. Resolves with `closed` after a normal end. */
  receive(caller: string, handler: MessageHandler, closed: Promise<CloseInfo>): Promise<CloseInfo> {
    return new Promise((resolve, reject) => {
      const failed = (error: unknown): void => {
        this.drop();
        this.#caller = '';
        reject(error);
        this.#fault(error);
      };
      const again = (): void => {
        this.#reader = reader;
        this.serve();
      };
      // No async function: for each message, it would create a promise.
      const reader = (message: PageMessage | undefined): void => {
        if (message === undefined) {
          this.#caller = '';
          const { reason } = this.#ended!;
          return isNormalEnd(reason) ? resolve(closed) : reject(reason);
        }
        try {
          // In a page, a message stays valid. Its class has all members of a BorrowedMessage.
          const result: unknown = handler(message as unknown as BorrowedMessage);
          // Writes return RESOLVED while there is room.
          if (result !== RESOLVED && typeof (result as Promise<void>)?.then === 'function') {
            return void Promise.resolve(result).then(again, (error: unknown) =>
              this.#isLate(error) ? again() : failed(error),
            );
          }
        } catch (error) {
          if (!this.#isLate(error)) return failed(error);
        }
        this.#reader = reader;
      };
      this.#start(caller, reader);
    });
  }

  /** Whether a call after the end has failed with `error`. The handler itself has not failed. */
  #isLate(error: unknown): boolean {
    const ended = this.#ended;
    return error instanceof CloseSentError
      ? ended !== undefined || this.closing
      : ended !== undefined && error === ended.reason;
  }

  /** @throws ReadPendingError */
  #start(caller: string, reader: Reader): void {
    if (this.#caller) throw new ReadPendingError(caller, this.#caller);
    this.#caller = caller;
    this.#reader = reader;
    // In a later turn, so that a loop that reads on after the end blocks no other work.
    if (this.#ended !== undefined && this.#cost === 0) setTimeout(() => this.serve());
    else this.serve();
  }
}
