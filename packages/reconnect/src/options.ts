import {
  type CloseCode,
  type Conn,
  type ConnCloseOptions,
  type ConnLike,
  formatCloseMessage,
  portablePlatform,
  type Report,
} from '@ws/conn';
import {
  bound,
  checkCloseOptions,
  checkOptionNames,
  checkWaitOptions,
  kind,
  reportError,
} from '@ws/conn/internal';
import { planResend, type ResendOptions, type ResendPlan } from './resend.ts';
import { delayRange } from './retry-delay.ts';

/**
 * Opens a connection. A rejection is a failed dial.
 *
 * @param options - `signal` aborts when the connection is no longer wanted.
 */
export type DialFunction<C extends ConnLike = Conn> = (options: {
  readonly signal: AbortSignal;
}) => PromiseLike<C>;

/**
 * Returns whether to dial again.
 *
 * @param error - The error of the dial.
 * @param next - `tries`: dials since the start, or since the last connection that stayed open for
 *   `maxDelay`, including this one; `delay`: the wait in ms that would follow.
 */
export type RetryDecision = (
  error: unknown,
  next: { readonly tries: number; readonly delay: number },
) => boolean | undefined | void;

/** Options of `reconnecting`. */
export interface ReconnectOptions {
  /**
   * The shortest wait in ms between dials. Only the first wait may be shorter: it is random from 0 to
   * twice this value. Default: 1,000, or `maxDelay` if that is less.
   */
  readonly minDelay?: number | undefined;
  /** The longest wait in ms. Default: 30,000, or `minDelay` if that is more. */
  readonly maxDelay?: number | undefined;
  /**
   * Close codes after which no dial follows. 1005 and 1006 mean an end without a close code (RFC
   * 6455, section 7.1.5). Default: 1008 (`CloseCode.PolicyViolation`), and 4409, by which a server
   * closes the oldest connection of a user; a list replaces them.
   */
  readonly stopCodes?: readonly number[] | undefined;
  /**
   * An abort ends everything without an error: it cancels a dial or a wait, and closes an open
   * connection with a close frame. No effect on a connection that `break` has left open.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * Decides after each failed dial: `true` dials again, `false` ends with the error, undefined
   * applies the default. Any other result, also a promise, is a TypeError.
   */
  readonly retry?: RetryDecision | undefined;
}

/** Options of a `ReconnectingConn`. */
export interface ReconnectingConnOptions<C extends ConnLike = Conn> extends ReconnectOptions {
  /**
   * Called for each new connection before queued messages are sent: log in and subscribe here. May be
   * async, within `handshakeTimeout` of `@ws/node-client` and `@ws/browser`. An error is reported, and
   * counts as a failed dial. The dial also fails if the connection ends before this function has
   * finished, except with one of `stopCodes`. Write to `conn`: the `send` of this object waits for
   * this function.
   */
  readonly onOpen?: ((conn: C) => unknown) | undefined;
  /** The most bytes of messages that wait for a connection. `false` for no bound. Default: 1 MiB. */
  readonly maxQueuedBytes?: number | false | undefined;
  /** The most messages that wait for a connection. `false` for no bound. Default: 1,000. */
  readonly maxQueuedMessages?: number | false | undefined;
  /**
   * Delivery at least once: `send` of a message with an id resolves when the peer has acknowledged the
   * message. Each new connection gets the messages without an acknowledgement again, after `onOpen`
   * and in the order of the calls: at most 64, or 64 KiB, before one is acknowledged. After `onOpen`
   * this object reads each connection, so read only from this object. Default: none.
   */
  readonly resend?: ResendOptions | undefined;
  /**
   * Called with the error of the first failed dial, with `where: 'dial'`, unless this error ends this
   * object and code awaits `send` or a loop. Called with the errors of wrong arguments, and of the
   * listeners of `on`. Called only once for a refused message that no code awaits, for each class of
   * error of `onOpen` and of `resend.acknowledged`, and for a long wait for `onOpen`, a reader or an
   * acknowledgement. `retry` gets the errors of later dials. Default: a warning with the stack, at
   * most once a second for each kind of error.
   */
  readonly report?: Report | undefined;
}

/** Checked options of `reconnecting`. */
export interface ReconnectPlan<C extends ConnLike = Conn> {
  /** In ms, as {@link maxDelay}. */
  readonly minDelay: number;
  readonly maxDelay: number;
  readonly dial: DialFunction<C>;
  readonly stopCodes: ReadonlySet<number>;
  readonly signal: AbortSignal | undefined;
  readonly retry: RetryDecision | undefined;
  /**
   * Returns the extra wait after a failed dial, in ms; Infinity when another dial cannot
   * succeed. `opened`: the connection was open, and `onOpen` failed. `wasOpen`: an earlier
   * connection was open.
   */
  readonly extraDelay: (
    error: unknown,
    maxDelay: number,
    opened: boolean,
    wasOpen: boolean,
  ) => number;
}

/** Checked options of a `ReconnectingConn`. */
export interface LivePlan<C extends ConnLike = Conn> extends ReconnectPlan<C> {
  readonly onOpen: ((conn: C) => unknown) | undefined;
  /** The time of `onOpen` in ms; Infinity for no bound. */
  readonly handshakeTimeout: number;
  /** Infinity for no bound. */
  readonly maxQueuedBytes: number;
  /** Infinity for no bound. */
  readonly maxQueuedMessages: number;
  readonly resend: ResendPlan | undefined;
  /** Called with errors that no other code gets: see {@link ReconnectingConnOptions}. */
  readonly report: Report;
  /** @throws TypeError, RangeError for an invalid close code, reason or option. */
  readonly checkClose: (
    code: number,
    reason: string | undefined,
    options: ReconnectingCloseOptions,
  ) => void;
}

/** Options of `ReconnectingConn.close`. */
export type ReconnectingCloseOptions = Pick<ConnCloseOptions, 'discard'>;

export const RECONNECT_OPTION_NAMES: readonly (keyof ReconnectOptions)[] = [
  'minDelay',
  'maxDelay',
  'stopCodes',
  'signal',
  'retry',
];

export const RECONNECTING_CONN_OPTION_NAMES: readonly (keyof ReconnectingConnOptions)[] = [
  'minDelay',
  'maxDelay',
  'stopCodes',
  'signal',
  'retry',
  'onOpen',
  'maxQueuedBytes',
  'maxQueuedMessages',
  'resend',
  'report',
];

/** Not the value of `CloseCode`, so that the bundle of a page needs no other part of the codec. */
const POLICY_VIOLATION: typeof CloseCode.PolicyViolation = 1008;
/** A server with `over: 'oldest'` has closed the connection for a newer one: a dial would close that. */
const REPLACED = 4409;
const DEFAULT_QUEUED_BYTES = 1_048_576;
const DEFAULT_QUEUED_MESSAGES = 1_000;

/** @throws TypeError or RangeError that names the option. */
export function planReconnect<C extends ConnLike>(
  dial: DialFunction<C>,
  options: ReconnectOptions,
): ReconnectPlan<C> {
  checkOptionNames('reconnecting', options, RECONNECT_OPTION_NAMES, 'reject');
  return { ...policyOf(options), dial: dialFunction(dial), extraDelay: () => 0 };
}

/** @throws TypeError or RangeError that names the option. */
export function planReconnectingConn<C extends ConnLike>(
  dial: DialFunction<C>,
  options: ReconnectingConnOptions<C>,
): LivePlan<C> {
  checkOptionNames('ReconnectingConn', options, RECONNECTING_CONN_OPTION_NAMES, 'reject');
  return {
    ...planLive(options),
    dial: dialFunction(dial),
    extraDelay: () => 0,
    handshakeTimeout: Infinity,
  };
}

/**
 * Checks the options of a `ReconnectingConn`, without its dial function.
 *
 * @throws TypeError or RangeError that names the option.
 */
export function planLive<C extends ConnLike>(
  options: ReconnectingConnOptions<C>,
): Omit<LivePlan<C>, 'dial' | 'extraDelay' | 'handshakeTimeout'> {
  const { report } = options;
  return {
    ...liveOptions(options),
    report: (error, context) => reportError(report, portablePlatform, error, context),
    checkClose(code, reason, options) {
      void formatCloseMessage(code, reason);
      checkOptionNames('close', options, ['discard'], 'ignore');
      checkCloseOptions(options);
    },
  };
}

/**
 * As {@link planLive}, without the members that differ in a page.
 *
 * @throws TypeError or RangeError that names the option.
 */
export function liveOptions<C extends ConnLike>(
  options: ReconnectingConnOptions<C>,
): Omit<LivePlan<C>, 'dial' | 'extraDelay' | 'handshakeTimeout' | 'report' | 'checkClose'> {
  const { onOpen, report, maxQueuedBytes, maxQueuedMessages, resend } = options;
  optionalFunction('report', report);
  return {
    ...policyOf(options),
    onOpen: optionalFunction('onOpen', onOpen),
    maxQueuedBytes: bound('maxQueuedBytes', maxQueuedBytes ?? DEFAULT_QUEUED_BYTES),
    maxQueuedMessages: bound('maxQueuedMessages', maxQueuedMessages ?? DEFAULT_QUEUED_MESSAGES),
    resend: planResend(resend),
  };
}

/**
 * Checks the options that decide when to dial.
 *
 * @throws TypeError or RangeError that names the option.
 */
export function policyOf(options: ReconnectOptions): Omit<ReconnectPlan, 'dial' | 'extraDelay'> {
  const { minDelay, maxDelay, stopCodes, signal, retry } = options;
  checkWaitOptions({ signal });
  return {
    ...delayRange(minDelay, maxDelay),
    stopCodes: new Set(checkStopCodes(stopCodes ?? [POLICY_VIOLATION, REPLACED])),
    signal,
    retry: optionalFunction('retry', retry),
  };
}

function dialFunction<T>(dial: T): T {
  if (typeof dial === 'function') return dial;
  throw new TypeError(`dial: expected a function, got ${kind(dial)}`);
}

function optionalFunction<T>(name: string, value: T | undefined): T | undefined {
  if (value === undefined || typeof value === 'function') return value;
  throw new TypeError(`${name}: expected a function, got ${kind(value)}`);
}

function checkStopCodes(codes: unknown): readonly number[] {
  if (!Array.isArray(codes)) throw new TypeError('stopCodes: expected an array of close codes');
  for (const code of codes as unknown[]) {
    if (typeof code !== 'number') {
      throw new TypeError('stopCodes: expected an array of close codes');
    }
    if (!Number.isInteger(code) || code < 1000 || code > 4999) {
      throw new RangeError(`stopCodes: expected close codes from 1000 to 4999, got ${code}`);
    }
  }
  return codes as number[];
}
