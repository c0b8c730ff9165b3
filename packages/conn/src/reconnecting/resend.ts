import type { BorrowedMessage } from '../message.ts';
import { bound, checkOptionNames, isThenable, kind, onRejection } from '../validate.ts';
import type { MessageData } from '../writing/payload.ts';

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
