import type { BorrowedMessage, MessageData } from '@ws/conn';
import {
  bound,
  checkOptionNames,
  Deferred,
  duration,
  isThenable,
  kind,
  onRejection,
} from '@ws/conn/internal';

/** How the peer acknowledges messages: the option `resend` of a `ReconnectingConn`. */
export interface ResendOptions {
  /**
   * Returns the id of a message for `send`, or undefined for a message that is not sent again. Use
   * each id only once, also after a reload: `crypto.randomUUID()` creates one. `send` rejects with an
   * error of this function. `send` rejects with a TypeError for an id that waits for its
   * acknowledgement, and for one of the last 10,000 acknowledged ids.
   */
  readonly id: (data: MessageData) => string | undefined;
  /**
   * Returns the ids that a message of the peer acknowledges; undefined for another message. This
   * function gets each message before the reader. The message is valid until this function returns.
   * An error of this function is reported, and the message acknowledges nothing.
   */
  readonly acknowledged: (message: BorrowedMessage) => string | readonly string[] | undefined;
  /** Whether readers get no acknowledgements. Default: false. */
  readonly hide?: boolean | undefined;
  /**
   * The most bytes of messages without an acknowledgement. Above this bound `send` rejects with a
   * BackpressureError. The same bound applies to messages that are read ahead of the reader; while a
   * message waits for its acknowledgement, it is 16 times as large. If the reader takes no message for
   * a second at that larger bound, the connection ends with a BackpressureError, and the next dial
   * follows. `false` for no bound. Default: 1 MiB.
   */
  readonly maxBytes?: number | false | undefined;
  /** As `maxBytes`, but a number of messages. Default: 1,000. */
  readonly maxMessages?: number | false | undefined;
  /**
   * Time in ms after which a message counts as the reason why the peer fails: when at least ten
   * connections have ended at it with 1011, over at least this time, `send` rejects and the messages
   * behind it are sent. The fifth such end is reported. `false`: the message is sent again without an
   * end. Default: 600,000, ten minutes.
   */
  readonly poisonAfter?: number | false | undefined;
}

/** Checked {@link ResendOptions}; Infinity for no bound. */
export interface ResendPlan extends Pick<ResendOptions, 'id' | 'acknowledged'> {
  readonly hide: boolean;
  readonly maxBytes: number;
  readonly maxMessages: number;
  readonly poisonAfter: number;
}

/** The default of `poisonAfter`. */
const POISON_AFTER_MS = 600_000;

const OPTION_NAMES: readonly (keyof ResendOptions)[] = [
  'id',
  'acknowledged',
  'hide',
  'maxBytes',
  'maxMessages',
  'poisonAfter',
];

/** @throws TypeError or RangeError that names the option. */
export function planResend(options: ResendOptions | undefined): ResendPlan | undefined {
  if (options === undefined) return undefined;
  checkOptionNames('resend', options, OPTION_NAMES, 'reject');
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
    poisonAfter: duration('resend.poisonAfter', options.poisonAfter, POISON_AFTER_MS, true),
  };
}

/**
 * The id of `data`, if it has one.
 *
 * @throws the error of the function `id`; TypeError for another result.
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
 * @throws the error of the function `acknowledged`; TypeError for another result.
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
/** The time in ms without an acknowledgement after which that is reported. */
const SILENCE_MS = 30_000;

/**
 * Bounds the messages of a backlog that a connection has and its peer has not acknowledged. Otherwise
 * a client could overload a slower server. The window grows while no acknowledgement comes, because a
 * server may acknowledge many messages together.
 */
export class ResendWindow {
  readonly #onSilence: (error: Error) => void;
  /** Number and bytes of the messages in the window. */
  #messages = 0;
  #bytes = 0;
  /** Whether the peer has refused a message. The window then has one message at first. */
  #peerRefused = false;
  /** The factor of the bounds. */
  #scale = 1;
  /** The timer for {@link STALL_MS}, while a message waits for its acknowledgement. */
  #timer: unknown;
  /** Whether an acknowledgement has arrived since the timer fired last. */
  #hasHeard = false;
  /** Time in ms without an acknowledgement. */
  #silence = 0;
  /** Resolves when there may be room. */
  #change: Deferred<void> | undefined;

  /** @param onSilence - Called once for each silence of {@link SILENCE_MS}. */
  constructor(onSilence: (error: Error) => void) {
    this.#onSilence = onSilence;
  }

  /** @param peerRefused - Whether the peer has refused a message. */
  opened(peerRefused: boolean): void {
    this.#messages = this.#bytes = 0;
    this.#scale = 1;
    this.#peerRefused = peerRefused;
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

  /** Whether the next message, of so many bytes, may be sent. */
  hasRoom(bytes: number): boolean {
    if (this.#messages === 0) return true;
    const most = (this.#peerRefused ? 1 : WINDOW_MESSAGES) * this.#scale;
    return this.#messages < most && this.#bytes + bytes <= WINDOW_BYTES * this.#scale;
  }

  /** Resolves when {@link hasRoom} may have changed. */
  untilChange(): Promise<void> {
    this.#change ??= new Deferred();
    return this.#change.promise;
  }

  #wake(): void {
    this.#change?.resolve();
    this.#change = undefined;
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
    this.#onSilence(
      new Error(
        `no acknowledgement of ${this.#messages} messages for ${SILENCE_MS / 1000} s; let the peer acknowledge each id, and resend.acknowledged return it`,
      ),
    );
  }
}
