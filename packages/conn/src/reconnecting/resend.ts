import { BackpressureError } from '../errors.ts';
import type { BorrowedMessage, Message } from '../message.ts';
import { isThenable, onRejection } from '../on-rejection.ts';
import { Deferred } from '../time/promises.ts';
import { bound, checkOptionNames, kind } from '../validate.ts';
import type { MessageData } from '../writing/payload.ts';
import { copyMessage } from './copy-message.ts';

/** How the peer acknowledges messages: the option `resend` of a `ReconnectingConn`. */
export interface ResendOptions {
  /**
   * Returns the id of a message for `send`, or undefined for a message that is not sent again. An
   * id is free for another message when it is acknowledged. `send` rejects with an error of this
   * function, and with a TypeError for an id in use.
   */
  readonly id: (data: MessageData) => string | undefined;
  /**
   * Returns the ids that a message of the peer acknowledges; undefined for another message. It gets
   * each message before the reader. The message is valid until this function returns. An error of
   * it closes the connection with 1011, in a page with 3011, and ends the `ReconnectingConn`.
   */
  readonly acknowledged: (message: BorrowedMessage) => string | readonly string[] | undefined;
  /** Whether readers get no acknowledgements. Default: false. */
  readonly hide?: boolean | undefined;
  /**
   * The most bytes of messages without an acknowledgement. `send` rejects with a BackpressureError
   * over it. It also bounds what is read ahead of the reader. `false` for no bound. Default: 1 MiB.
   */
  readonly maxBytes?: number | false | undefined;
  /** As `maxBytes`, in messages. Default: 1,000. */
  readonly maxMessages?: number | false | undefined;
}

/** Checked {@link ResendOptions}; Infinity for no bound. */
export interface ResendPlan extends Pick<ResendOptions, 'id' | 'acknowledged'> {
  readonly hide: boolean;
  readonly maxBytes: number;
  readonly maxMessages: number;
}

const NAMES: readonly (keyof ResendOptions)[] = [
  'id',
  'acknowledged',
  'hide',
  'maxBytes',
  'maxMessages',
];

/** @throws TypeError or RangeError that names the option. */
export function planResend(options: ResendOptions | undefined): ResendPlan | undefined {
  if (options === undefined) return undefined;
  checkOptionNames('resend', options, NAMES, 'reject');
  const { id, acknowledged, hide = false, maxBytes = 1024 * 1024, maxMessages = 1_000 } = options;
  for (const [name, value] of Object.entries({ id, acknowledged })) {
    if (typeof value === 'function') continue;
    throw new TypeError(`resend.${name}: expected a function, got ${kind(value)}`);
  }
  if (typeof hide !== 'boolean') {
    throw new TypeError(`resend.hide: expected true or false, got ${kind(hide)}`);
  }
  return {
    id,
    acknowledged,
    hide,
    maxBytes: bound('resend.maxBytes', maxBytes),
    maxMessages: bound('resend.maxMessages', maxMessages),
  };
}

/** A message that the peer has not acknowledged. */
type Unacknowledged = {
  readonly id: string;
  readonly message: Message;
  /** Settles the promise of `send`. */
  readonly sent: Deferred<void>;
};

/** Copies of the messages that the peer has not acknowledged, in the order of the calls. */
export class UnacknowledgedMessages {
  readonly #plan: ResendPlan;
  readonly #byId = new Map<string, Unacknowledged>();
  #bytes = 0;
  /** The messages for the current connection, also acknowledged ones. It has got those before `#at`. */
  #toSend: Unacknowledged[] = [];
  #at = 0;

  constructor(plan: ResendPlan) {
    this.#plan = plan;
  }

  get isEmpty(): boolean {
    return this.#byId.size === 0;
  }

  /**
   * The id of `data`, if it has one.
   *
   * @throws the error of the function `id`; TypeError for another result of it.
   */
  idOf(data: MessageData): string | undefined {
    const id: unknown = this.#plan.id(data);
    if (id === undefined || typeof id === 'string') return id;
    onRejection(id, () => {});
    throw new TypeError(`resend.id: expected a string or undefined, got ${kind(id)}`);
  }

  /**
   * Adds a copy of `data`.
   *
   * @throws TypeError for other data, or for an id in use; BackpressureError over a bound.
   */
  add(id: string, data: MessageData): Unacknowledged {
    if (this.#byId.has(id)) {
      throw new TypeError(
        `resend.id: a message with the id ${JSON.stringify(id)} has no acknowledgement yet; give each message its own id`,
      );
    }
    const message = copyMessage(data);
    this.#check(message.data.length);
    const entry = { id, message, sent: new Deferred<void>() };
    this.#byId.set(id, entry);
    this.#bytes += message.data.length;
    return entry;
  }

  #check(bytes: number): void {
    const { maxBytes, maxMessages } = this.#plan;
    const { size } = this.#byId;
    if (size >= maxMessages) {
      throw new BackpressureError(
        `the message was not sent: ${size} messages wait for an acknowledgement, as many as resend.maxMessages allows`,
      );
    }
    if (this.#bytes + bytes > maxBytes) {
      throw new BackpressureError(
        `the message was not sent: ${this.#bytes} bytes wait for an acknowledgement; ${bytes} more would exceed resend.maxBytes (${maxBytes})`,
      );
    }
  }

  /** The current connection gets this message after the others. */
  queue(entry: Unacknowledged): void {
    this.#toSend.push(entry);
  }

  /** A new connection gets all messages. */
  sendAgain(): void {
    this.#toSend = [...this.#byId.values()];
    this.#at = 0;
  }

  /** The next message for the current connection; undefined when it has got all of them. */
  peek(): Message | undefined {
    for (; this.#at < this.#toSend.length; this.#at++) {
      const entry = this.#toSend[this.#at]!;
      if (this.#byId.get(entry.id) === entry) return entry.message;
    }
    this.#toSend = [];
    this.#at = 0;
    return undefined;
  }

  /** The current connection has got the message of {@link peek}. */
  shift(): void {
    this.#at++;
  }

  /**
   * Takes the acknowledgements of a message of the peer.
   *
   * @returns Whether readers do not get the message.
   * @throws the error of the function `acknowledged`; TypeError for a bad result of it.
   */
  hides(message: BorrowedMessage): boolean {
    const result: unknown = this.#plan.acknowledged(message);
    if (result === undefined) return false;
    for (const id of Array.isArray(result) ? (result as unknown[]) : [result]) {
      if (typeof id !== 'string') throw badAcknowledgement(result, id);
      this.#acknowledge(id);
    }
    return this.#plan.hide;
  }

  /** An id that is unknown was acknowledged before, over another connection. */
  #acknowledge(id: string): void {
    const entry = this.#byId.get(id);
    if (entry === undefined) return;
    this.#byId.delete(id);
    this.#bytes -= entry.message.data.length;
    entry.sent.resolve();
  }

  /** Removes all messages. */
  takeAll(): Unacknowledged[] {
    const all = [...this.#byId.values()];
    this.#byId.clear();
    this.#bytes = 0;
    return all;
  }
}

function badAcknowledgement(result: unknown, id: unknown): TypeError {
  onRejection(result, () => {});
  const got = isThenable(result) ? 'a promise; it must be synchronous' : kind(id);
  return new TypeError(
    `resend.acknowledged: expected a string, an array of strings or undefined, got ${got}`,
  );
}
