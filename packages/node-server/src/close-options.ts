import { MAX_CLOSE_REASON } from '@ws/codec/internal';
import { CloseCode, isValidCloseCode } from '@ws/conn';
import { checkOptionNames, duration, kind, optionHint } from '@ws/conn/internal';
import { assertOption } from '@ws/node-io/internal';

/** How a server closes: the option `close`, and the argument of the method `close`. */
export interface CloseOptions {
  /**
   * Milliseconds after the last close frame; then the remaining connections are terminated and no
   * handler is waited for. Default: 30,000.
   */
  readonly timeout?: number | undefined;
  /** The close code that every client gets. Default: 1001 (`CloseCode.GoingAway`). */
  readonly code?: number | undefined;
  /** The reason that every client gets, at most 123 bytes. Default: `''`. */
  readonly reason?: string | undefined;
  /**
   * Milliseconds in which the server still accepts and serves, before anything closes: load balancers
   * notice late that it is not ready. Its `phase` is `'draining'` at once. Default: 0.
   */
  readonly drain?: number | undefined;
  /**
   * Milliseconds over which the close frames are spread, so that the clients do not all return at
   * once. Default: 0.
   */
  readonly over?: number | undefined;
  /**
   * `true` drops the messages that clients send before they see the close frame. Default: false,
   * which delivers them.
   */
  readonly discard?: boolean | undefined;
}

/** The result of a close. */
export interface CloseResult {
  /** Connections that ended within the timeout. */
  readonly closed: number;
  /** Connections that were terminated after it. */
  readonly terminated: number;
  /** Handlers that still run. */
  readonly handlersPending: number;
}

/** {@link CloseOptions} with every default filled in. */
export type ClosePlan = {
  readonly [Name in keyof CloseOptions]-?: NonNullable<CloseOptions[Name]>;
};

/** For a listener of a signal, or of an 'abort'. */
export const AS_LISTENER = 'as a listener, use () => server.close()';

const NAMES: readonly (keyof CloseOptions)[] = [
  'timeout',
  'code',
  'reason',
  'drain',
  'over',
  'discard',
];
const DEFAULTS: ClosePlan = {
  timeout: 30_000,
  code: CloseCode.GoingAway,
  reason: '',
  drain: 0,
  over: 0,
  discard: false,
};

function isOptions(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !(value instanceof Event);
}

/**
 * @param defaults - The values of the options that are left out.
 * @throws TypeError or RangeError that names the option.
 */
export function checkCloseOptions(
  options: CloseOptions = {},
  defaults: ClosePlan = DEFAULTS,
): ClosePlan {
  if (typeof options !== 'number' && !isOptions(options)) {
    const got = `close: expected an object of options, got ${kind(options)}`;
    const isCallback = typeof options === 'function';
    throw new TypeError(`${got}; ${isCallback ? 'it takes no callback: await it' : AS_LISTENER}`);
  }
  checkOptionNames('close', options, NAMES, 'ignore', optionHint);
  const {
    code = defaults.code,
    reason = defaults.reason,
    drain = defaults.drain,
    over = defaults.over,
    discard = defaults.discard,
  } = options;
  assertOption('close.code', code, typeof code === 'number', 'a number');
  assertOption('close.reason', reason, typeof reason === 'string', 'a string');
  assertOption('close.discard', discard, typeof discard === 'boolean', 'true or false');
  if (!isValidCloseCode(code)) {
    throw new RangeError(`close.code: expected a code that may be sent, got ${code}`);
  }
  const bytes = Buffer.byteLength(reason);
  if (bytes > MAX_CLOSE_REASON) {
    throw new RangeError(`close.reason: expected at most ${MAX_CLOSE_REASON} bytes, got ${bytes}`);
  }
  return {
    timeout: duration('close.timeout', options.timeout, defaults.timeout, false),
    code,
    reason,
    drain: drain === 0 ? 0 : duration('close.drain', drain, 0, false),
    over: over === 0 ? 0 : duration('close.over', over, 0, false),
    discard,
  };
}
