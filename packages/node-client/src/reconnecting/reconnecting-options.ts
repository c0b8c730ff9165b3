import {
  checkOptionNames,
  type LivePlan,
  optionHint,
  planLive,
  policyOf,
  RECONNECT_OPTION_NAMES,
  RECONNECTING_CONN_OPTION_NAMES,
  type ReconnectPlan,
} from '@ws/conn/internal';
import type {
  ReconnectingConnOptions as LiveOptions,
  ReconnectOptions,
} from '@ws/conn/reconnecting';
import type { ClientConn } from '../client-conn.ts';
import {
  DIAL_OPTION_NAMES,
  DIALER_OPTION_NAMES,
  type DialerOptions,
  type DialOptions,
} from '../options.ts';
import type { HeadersInput } from '../request.ts';
import { dialPlan, type FreshHeaders, type FreshURL } from './dial-plan.ts';

/** Options of `reconnecting`, together with those of its `Dialer` and of each dial. */
export interface ReconnectingOptions
  extends DialerOptions,
    ReconnectOptions,
    Omit<DialOptions, 'headers' | 'signal'> {
  /**
   * As for a dial; or a function that returns the headers for each dial, for a token that expires
   * for example. It may be async and has `handshakeTimeout` to settle; the dial after it has the
   * same time again. Its errors count as those of {@link FreshURL}. Default: none.
   */
  readonly headers?: HeadersInput | FreshHeaders | undefined;
}

/** Options of a `ReconnectingConn`, together with those of its `Dialer` and of each dial. */
export interface ReconnectingConnOptions
  extends ReconnectingOptions,
    Pick<LiveOptions<ClientConn>, 'onOpen' | 'maxQueuedBytes' | 'maxQueuedMessages' | 'resend'> {}

/** The options of the Dialer and of its dials. */
const DIAL_NAMES = [...DIAL_OPTION_NAMES, ...DIALER_OPTION_NAMES];

/** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
export function planReconnecting(
  url: string | URL | FreshURL,
  options: ReconnectingOptions,
): ReconnectPlan<ClientConn> {
  checkNames('reconnecting', options, RECONNECT_OPTION_NAMES);
  return { ...policyOf(options), ...dialPlan(url, options) };
}

/** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
export function planReconnectingConn(
  url: string | URL | FreshURL,
  options: ReconnectingConnOptions,
): LivePlan<ClientConn> {
  checkNames('ReconnectingConn', options, RECONNECTING_CONN_OPTION_NAMES);
  return { ...planLive(options), ...dialPlan(url, options) };
}

/** @throws TypeError for an unknown option. */
function checkNames(owner: string, options: object, own: readonly string[]): void {
  const known = [...new Set([...own, ...DIAL_NAMES])];
  checkOptionNames(owner, options, known, 'reject', optionHint);
}
