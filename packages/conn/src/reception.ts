import type { CloseInfo } from './closing.ts';
import type { BorrowedMessage } from './message.ts';
import { handled, rejected } from './promises.ts';

/** What `receive` calls with each message. */
export type MessageHandler = (message: BorrowedMessage) => void | PromiseLike<void>;

/** A pending `receive` or `discardReads`: all that an idle connection keeps of it. */
export class Reception {
  /** Undefined: every message is dropped. */
  readonly handler: MessageHandler | undefined;
  /** What the caller has. */
  readonly promise: Promise<CloseInfo>;
  /** What the handler is lent, made with the first message. */
  borrowed: BorrowedMessage | undefined;
  #settle!: (info: CloseInfo | Promise<CloseInfo>) => void;

  constructor(handler: MessageHandler | undefined) {
    this.handler = handler;
    // One of its two ends will do for both: the other is garbage at once, and there is one of these for a connection.
    this.promise = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** By which it was begun. */
  get name(): string {
    return this.handler === undefined ? 'discardReads' : 'receive';
  }

  resolve(info: Promise<CloseInfo>): void {
    this.#settle(info);
  }

  reject(error: unknown): void {
    void handled(this.promise);
    this.#settle(rejected(error));
  }
}
