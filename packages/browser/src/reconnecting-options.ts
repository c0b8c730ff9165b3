import type { Report } from '@ws/conn';
import {
  type LivePlan,
  liveOptions,
  onRejection,
  policyOf,
  RECONNECT_OPTION_NAMES,
  RECONNECTING_CONN_OPTION_NAMES,
  type ReconnectPlan,
  WebSocketError,
} from '@ws/conn/parts';
import type {
  DialFunction,
  ReconnectingConnOptions as LiveOptions,
  ReconnectOptions,
} from '@ws/conn/reconnecting';
import { type BrowserConn, checkClose } from './browser-conn.ts';
import { dial } from './dial.ts';
import { checkDialOptions, DIAL_HINT, DIAL_OPTION_NAMES, type DialOptions } from './options.ts';
import { report } from './promises.ts';
import { targetOf } from './url.ts';
import { checkNames } from './validate.ts';

/** Options of {@link reconnecting}, together with those of each dial. */
export interface ReconnectingOptions extends ReconnectOptions, Omit<DialOptions, 'signal'> {}

/**
 * Options of a {@link ReconnectingConn}, together with those of each dial. `maxQueuedBytes` bounds
 * the messages that wait for a connection.
 */
export interface ReconnectingConnOptions
  extends Omit<ReconnectingOptions, 'maxQueuedBytes'>,
    Pick<LiveOptions<BrowserConn>, 'onOpen' | 'maxQueuedBytes' | 'maxQueuedMessages' | 'report'> {}

/** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
export function planReconnecting(
  url: string | URL,
  options: ReconnectingOptions,
): ReconnectPlan<BrowserConn> {
  checkAllNames('reconnecting', options, RECONNECT_OPTION_NAMES);
  return { ...policyOf(options), dial: makeDial(url, options), extraDelay };
}

/** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
export function planReconnectingConn(
  url: string | URL,
  options: ReconnectingConnOptions,
): LivePlan<BrowserConn> {
  checkAllNames('ReconnectingConn', options, RECONNECTING_CONN_OPTION_NAMES);
  return {
    ...liveOptions(options),
    // That of each connection is another bound with the same name.
    dial: makeDial(url, { ...options, maxQueuedBytes: undefined }),
    extraDelay,
    checkClose(code, reason, options) {
      checkNames('close', options, ['discard']);
      checkClose(code, reason, options);
    },
    report: reportTo(options.report),
  };
}

/** A failed dial is no fault of the page: an uncaught error would say so. */
const byDefault: Report = (error, { where }) =>
  where === 'dial' ? console.error(error) : report(error);

/** An error of `own`, also of its promise, is reported as an uncaught one is. */
function reportTo(own: Report = byDefault): Report {
  return (error, context) => {
    try {
      onRejection(own(error, context), report);
    } catch (fault) {
      report(fault);
    }
  };
}

/** @throws TypeError for an unknown option. */
function checkAllNames(owner: string, options: object, own: readonly string[]): void {
  checkNames(owner, options, [...own, ...DIAL_OPTION_NAMES], DIAL_HINT);
}

/** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
function makeDial(url: string | URL, options: ReconnectingOptions): DialFunction<BrowserConn> {
  // The caller may change a URL later.
  const { href } = targetOf(url);
  checkDialOptions(options);
  const ofDial = Object.fromEntries(
    DIAL_OPTION_NAMES.map((name) => [name, options[name as keyof ReconnectingOptions]]),
  ) as DialOptions;
  return ({ signal }) => dial(href, { ...ofDial, signal });
}

/** A bad subprotocol cannot succeed. An error of `onOpen` may be that of its requests. */
function extraDelay(error: unknown, _maxDelay: number, opened: boolean): number {
  return opened || error instanceof WebSocketError ? 0 : Infinity;
}
