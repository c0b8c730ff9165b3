import { CloseCode, formatCloseMessage } from '@ws/conn';
import { checkOptionNames, duration, kind, optionHint } from '@ws/conn/internal';

/** The options of `Hub.close`. */
export interface HubCloseOptions {
  /** Ms after its close frame until a session that has not ended is terminated. Default: 30,000. */
  readonly timeout?: number | undefined;
  /** Code of the close frames. Default: 1001 (`CloseCode.GoingAway`). */
  readonly code?: number | undefined;
  /** Reason of the close frames, at most 123 bytes of UTF-8. Default: `''`. */
  readonly reason?: string | undefined;
  /** Ms over which the close frames are spread. Default: 0. */
  readonly over?: number | undefined;
  /** Drops the messages that a peer sends before its close frame. Default: false. */
  readonly discard?: boolean | undefined;
}

/** The result of `Hub.close`. */
export interface HubCloseResult {
  /** Sessions that ended within the timeout. */
  readonly closed: number;
  /** Sessions that were terminated after it. */
  readonly terminated: number;
  /** Listeners whose promises are still pending. */
  readonly handlersPending: number;
}

/** {@link HubCloseOptions} with every default filled in. */
export type ClosePlan = {
  readonly [Name in keyof HubCloseOptions]-?: NonNullable<HubCloseOptions[Name]>;
};

const NAMES: readonly (keyof HubCloseOptions)[] = ['timeout', 'code', 'reason', 'over', 'discard'];

/** @throws TypeError or RangeError that names the option. */
export function checkCloseOptions(options: HubCloseOptions): ClosePlan {
  checkOptionNames('hub.close', options, NAMES, 'ignore', optionHint);
  const { code = CloseCode.GoingAway, reason = '', over = 0, discard = false } = options;
  // For 1005 the payload is empty: no frame may contain that code (RFC 6455, section 7.4.1).
  if (formatCloseMessage(code, reason).length === 0) {
    throw new RangeError(`hub.close: close code ${code} must not be sent`);
  }
  if (typeof discard !== 'boolean') {
    throw new TypeError(`discard: expected true or false, got ${kind(discard)}`);
  }
  return {
    timeout: duration('timeout', options.timeout, 30_000, false),
    code,
    reason,
    discard,
    over: over === 0 ? 0 : duration('over', over, 0, false),
  };
}
