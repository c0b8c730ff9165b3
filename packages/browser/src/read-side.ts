import {
  type BorrowedMessage,
  CloseError,
  type CloseInfo,
  CloseSentError,
  type MessageHandler,
  ReadLimitError,
  ReadPendingError,
} from '@ws/conn';
import {
  AFTER,
  ASKS,
  BROKEN,
  CALL,
  CANCEL,
  DISCARD,
  GIVEN,
  HANDLES,
  inLaterTurn,
  NONE,
  OVER,
  PROMISE,
  READ,
  RECEIVE,
  RESOLVED,
  type Reader,
  type ReaderEvent,
  SETTLED,
  WAITS,
} from '@ws/conn/internal';
import type { BrowserConnSettings } from './options.ts';
import { MESSAGE_COST, messageOf, overflow, type PageMessage } from './payload.ts';
import type { PageSocket } from './web-types.ts';

/** Messages that the queue gives to readers in one turn: a page draws and listens between two turns. */
const MESSAGES_PER_TURN = 1_000;

/** Called with the next message; with undefined at the end. */
type Take = (message: PageMessage | undefined) => void;
type Reject = (reason: unknown) => void;

/** Gives messages to one reader at a time. Queues messages that arrive without a reader. */
export class ReadSide {
  /** Number of messages that have arrived. */
  messages = 0;
  /** Bytes of these messages. */
  bytes = 0;
  readonly #socket: PageSocket;
  readonly #settings: BrowserConnSettings;
  readonly #fail: (error: unknown, closeCode: number) => void;
  /** Messages that arrived after the messages in `#next`. */
  #queue: PageMessage[] = [];
  /** The next messages in reverse order, because `pop` is cheap and `shift` copies a long array. */
  #next: PageMessage[] = [];
  /** Bytes of the queued messages, with {@link MESSAGE_COST} for each; 0 for an empty queue. */
  cost = 0;
  /** Messages that the queue may still give; 0 until the next turn. */
  #left = MESSAGES_PER_TURN;
  #reader: Reader = NONE;
  /** Name of the last call that reads. */
  #caller = '';
  /** Gets the messages of that call. Called only while the reader {@link ASKS}. */
  #takeNext: Take | undefined;
  /** Whether this end has sent a close frame. Writes of a handler then reject, which is no fault. */
  closing = false;
  #isDropping = false;
  /** Why reading ended; undefined before. Queued messages can still be read. */
  #ended: { readonly reason: unknown; readonly isBreak: boolean } | undefined;

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

  /** Called when a message has arrived. */
  add(data: unknown): void {
    if (!this.#isDropping && this.#ended === undefined) {
      try {
        this.#take(messageOf(data));
      } catch (error) {
        // `data` is a Blob: the class, or code of the page, has set another `binaryType`.
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
    const full = this.cost > 0 && overflow(this.#settings, 'maxQueuedBytes', this.cost, cost);
    if (full) return this.#fail(full, queueCloseCode);
    this.messages++;
    this.bytes += length;
    if ((this.#reader & ASKS) !== 0 && this.cost === 0) return this.#takeNext!(message);
    this.cost += cost;
    this.#queue.push(message);
  }

  #fault(error: unknown): void {
    this.#settings.report(error);
    this.#fail(error, this.#settings.errorCloseCode(error));
  }

  /** Gives queued messages, then the end, to the reader. */
  serve(): void {
    while ((this.#reader & ASKS) !== 0 && this.#left > 0 && (this.cost > 0 || this.#ended)) {
      this.#takeNext!(this.#shift());
    }
    const isBusy = (this.#reader & HANDLES) !== 0 || this.cost > 0;
    if (this.#isDropping || !isBusy) this.#socket.pull?.();
  }

  #shift(): PageMessage | undefined {
    if (this.#next.length === 0) {
      // oxlint-disable-next-line unicorn/no-array-reverse -- `toReversed` is not in ES2022
      this.#next = this.#queue.reverse();
      this.#queue = [];
    }
    const message = this.#next.pop();
    if (message === undefined) return undefined;
    this.cost -= message.length + MESSAGE_COST;
    if (this.cost > 0 && --this.#left === 0) inLaterTurn(() => this.#turnBegins());
    return message;
  }

  #turnBegins(): void {
    this.#left = MESSAGES_PER_TURN;
    this.serve();
  }

  /** Drops the queued messages and all later ones. */
  drop(): void {
    this.#isDropping = true;
    this.#queue = [];
    this.#next = [];
    this.cost = 0;
  }

  /**
   * Ends reading. Queued messages can still be read.
   *
   * @param isBreak - Whether the end is no normal one, also with a normal code.
   */
  stop(reason: unknown, isBreak = false): void {
    this.#ended ??= { reason, isBreak };
    this.serve();
  }

  /** Whether reading ended normally by `error`: `receive` resolves and iteration is done. */
  isNormalEnd(error: unknown): boolean {
    if (!(error instanceof CloseError) || this.#ended?.isBreak) return false;
    return [1000, 1001, 1005].includes(error.closeCode);
  }

  /** Changes the state of the reader. */
  #on(event: ReaderEvent): void {
    const before = this.#reader;
    this.#reader = AFTER[before][event]!;
    if (this.#reader === BROKEN) {
      this.#fault(new Error(`bug in the library: reader ${before} × ${event}`));
    }
  }

  /**
   * Reads the next message. Returns a function that rejects this read, so that the next read gets the
   * message.
   */
  read(caller: string, resolve: (message: PageMessage) => unknown, reject: Reject): Reject {
    const take: Take = (message) => {
      this.#on(message === undefined ? CANCEL : GIVEN);
      if (message !== undefined) resolve(message);
      else reject(this.#ended!.reason);
    };
    this.#start(READ, caller, take);
    return (reason) => {
      if (this.#takeNext === take && this.#reader === WAITS) this.#on(CANCEL);
      reject(reason);
    };
  }

  /** Gives every message to `handler`. Resolves with `closed` after a normal end. */
  receive(handler: MessageHandler, closed: Promise<CloseInfo>): Promise<CloseInfo> {
    return new Promise((resolve, reject) => {
      const failed = (error: unknown): void => {
        this.drop();
        this.#on(SETTLED);
        this.#on(OVER);
        reject(error);
        this.#fault(error);
      };
      const settled = (): void => {
        this.#on(SETTLED);
        this.serve();
      };
      // Not an async function, which would create a promise for each message.
      this.#start(RECEIVE, 'receive', (message) => {
        if (message === undefined) return this.#over(closed, resolve, reject);
        this.#on(CALL);
        try {
          // A PageMessage has all members of a BorrowedMessage, and stays valid.
          const result: unknown = handler(message as unknown as BorrowedMessage);
          // Writes return RESOLVED while there is room.
          if (result !== RESOLVED && typeof (result as Promise<void>)?.then === 'function') {
            this.#on(PROMISE);
            return void Promise.resolve(result).then(settled, (error: unknown) =>
              this.#isOfEnd(error) ? settled() : failed(error),
            );
          }
        } catch (error) {
          if (!this.#isOfEnd(error)) return failed(error);
        }
        this.#on(SETTLED);
      });
    });
  }

  /** Drops every message. Settles as {@link receive} does. */
  discard(closed: Promise<CloseInfo>): Promise<CloseInfo> {
    return new Promise((resolve, reject) => {
      this.#start(DISCARD, 'discardReads', (message) => {
        if (message === undefined) this.#over(closed, resolve, reject);
      });
    });
  }

  #over(
    closed: Promise<CloseInfo>,
    resolve: (info: Promise<CloseInfo>) => void,
    reject: Reject,
  ): void {
    this.#on(OVER);
    const { reason } = this.#ended!;
    if (this.isNormalEnd(reason)) resolve(closed);
    else reject(reason);
  }

  /** Whether `error` comes from a call after the end, so that it is no fault of the handler. */
  #isOfEnd(error: unknown): boolean {
    const ended = this.#ended;
    return error instanceof CloseSentError
      ? ended !== undefined || this.closing
      : ended !== undefined && error === ended.reason;
  }

  /** @throws ReadPendingError */
  #start(event: ReaderEvent, caller: string, take: Take): void {
    if ((this.#reader & (ASKS | HANDLES)) !== 0) throw new ReadPendingError(caller, this.#caller);
    this.#caller = caller;
    this.#takeNext = take;
    this.#on(event);
    // After the end, in a later turn: a loop that reads again and again must not block the page.
    if (this.#ended !== undefined && this.cost === 0) setTimeout(() => this.serve());
    else this.serve();
  }
}
