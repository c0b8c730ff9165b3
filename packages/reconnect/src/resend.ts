import type { BorrowedMessage, MessageData } from '@ws/conn';
import {
  bound,
  checkOptionNames,
  Deferred,
  isThenable,
  kind,
  onRejection,
} from '@ws/conn/internal';

/** How the peer acknowledges messages: the option `resend` of a `ReconnectingConn`. */
export interface ResendOptions {
  /**
   * Returns the id of a message for `send`, a string, or undefined for a message that is not sent
   * again. An id is never used again, also after a reload: `crypto.randomUUID()` makes one. `send`
   * rejects with an error of this function, and with a TypeError for an id without an
   * acknowledgement and for one of the last 10,000 acknowledged ids.
   */
  readonly id: (data: MessageData) => string | undefined;
  /**
   * Returns the ids that a message of the peer acknowledges; undefined for another message. It gets
   * each message before the reader. The message is valid until this function returns. An error of
   * it is reported, and the message is no acknowledgement.
   */
  readonly acknowledged: (message: BorrowedMessage) => string | readonly string[] | undefined;
  /** Whether readers get no acknowledgements. Default: false. */
  readonly hide?: boolean | undefined;
  /**
   * The most bytes of messages without an acknowledgement. `send` rejects with a BackpressureError
   * over it. It also bounds what is read ahead of the reader: 16 times as much while a message waits
   * for its acknowledgement. When the reader stands still at that bound, the connection ends with a
   * BackpressureError, and the next dial follows. `false` for no bound. Default: 1 MiB.
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

/**
 * The id of `data`, if it has one.
 *
 * @throws the error of the function `id`; TypeError for another result of it.
 */
export function idOf(plan: ResendPlan, data: MessageData): string | undefined {
  const id: unknown = plan.id(data);
  if (id === undefined || typeof id === 'string') return id;
  onRejection(id, () => {});
  throw new TypeError(`resend.id: expected a string or undefined, got ${kind(id)}`);
}

/**
 * Passes the ids that a message of the peer acknowledges to `acknowledge`.
 *
 * @returns Whether there were any.
 * @throws the error of the function `acknowledged`; TypeError for a bad result of it.
 */
export function takeAcknowledgements(
  plan: ResendPlan,
  message: BorrowedMessage,
  acknowledge: (id: string) => void,
): boolean {
  const result: unknown = plan.acknowledged(message);
  if (result === undefined) return false;
  for (const id of Array.isArray(result) ? (result as unknown[]) : [result]) {
    if (typeof id !== 'string') throw badAcknowledgement(result, id);
    acknowledge(id);
  }
  return true;
}

function badAcknowledgement(result: unknown, id: unknown): TypeError {
  onRejection(result, () => {});
  const got = isThenable(result) ? 'a promise; it must be synchronous' : kind(id);
  return new TypeError(
    `resend.acknowledged: expected a string, an array of strings or undefined, got ${got}`,
  );
}

/** The most messages and bytes of a backlog that a connection gets before an acknowledgement. */
const WINDOW_MESSAGES = 64;
const WINDOW_BYTES = 65_536;
/** The time in ms without an acknowledgement after which the window doubles. */
const STALL_MS = 5_000;
/** The time in ms without an acknowledgement that is reported. */
const SILENCE_MS = 30_000;

/**
 * Bounds what a connection has got and its peer has not acknowledged, while the backlog goes out: a
 * server that is slower than its client would be overloaded. The window grows while no
 * acknowledgement comes: a server may acknowledge many messages together.
 */
export class ResendWindow {
  readonly #silent: (error: Error) => void;
  #messages = 0;
  #bytes = 0;
  #isSuspicious = false;
  /** The factor of the bounds. */
  #scale = 1;
  /** Runs while a message waits for its acknowledgement. */
  #timer: unknown;
  /** Whether an acknowledgement has come since the timer fired last. */
  #hasHeard = false;
  /** Milliseconds without an acknowledgement. */
  #silence = 0;
  /** Resolves when there may be room. */
  #room: Deferred<void> | undefined;

  /** @param silent - Called once, when no acknowledgement comes for long. */
  constructor(silent: (error: Error) => void) {
    this.#silent = silent;
  }

  /** @param isSuspicious - Whether the peer has refused a message: then one leaves at a time. */
  opened(isSuspicious: boolean): void {
    this.#messages = this.#bytes = 0;
    this.#scale = 1;
    this.#isSuspicious = isSuspicious;
  }

  closed(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#wake();
  }

  took(bytes: number): void {
    this.#messages++;
    this.#bytes += bytes;
    this.#watch();
  }

  acknowledged(bytes: number): void {
    this.#messages--;
    this.#bytes -= bytes;
    this.#hasHeard = true;
    this.#wake();
  }

  /** Whether the next message, of so many bytes, may leave. */
  hasRoom(bytes: number): boolean {
    if (this.#messages === 0) return true;
    const most = (this.#isSuspicious ? 1 : WINDOW_MESSAGES) * this.#scale;
    return this.#messages < most && this.#bytes + bytes <= WINDOW_BYTES * this.#scale;
  }

  /** Resolves when {@link hasRoom} may have changed. */
  untilChange(): Promise<void> {
    this.#room ??= new Deferred();
    return this.#room.promise;
  }

  #wake(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  #watch(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#messages > 0) this.#stalled();
    }, STALL_MS);
  }

  #stalled(): void {
    this.#watch();
    const hasHeard = this.#hasHeard;
    this.#hasHeard = false;
    if (hasHeard) {
      this.#silence = 0;
      return;
    }
    this.#scale *= 2;
    this.#wake();
    this.#silence += STALL_MS;
    if (this.#silence !== SILENCE_MS) return;
    this.#silent(
      new Error(
        `no acknowledgement of ${this.#messages} messages for ${SILENCE_MS / 1000} s; let the peer acknowledge each id, and resend.acknowledged return it`,
      ),
    );
  }
}
