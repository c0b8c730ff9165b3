import { type Report, WebSocketError } from '@ws/conn';
import { checkNames, errorOf, onRejection } from '@ws/conn/internal';
import type { ReconnectingConnOptions as LiveOptions, ReconnectOptions } from '@ws/reconnect';
import {
  type LivePlan,
  liveOptions,
  policyOf,
  RECONNECT_OPTION_NAMES,
  RECONNECTING_CONN_OPTION_NAMES,
  type ReconnectPlan,
} from '@ws/reconnect/internal';
import { AliveSetting } from './alive-setting.ts';
import type { BrowserConn } from './browser-conn.ts';
import { open } from './dial.ts';
import {
  checkDialOptions,
  DIAL_OPTION_NAMES,
  type DialOptions,
  PAGE,
  pageHint,
} from './dial-options.ts';
import { bounded, report } from './promises.ts';
import { targetOf } from './url.ts';
import { checkClose } from './web-socket-conn.ts';

/**
 * Returns the URL of one dial, for example with a fresh ticket. The function may be async. It must
 * settle within `handshakeTimeout`; the dial then has the same time. An error of the function
 * counts as a failed dial.
 *
 * @param context - `signal` aborts when the iteration ends or `handshakeTimeout` is over.
 */
export type FreshURL = (context: {
  readonly signal: AbortSignal;
}) => string | URL | PromiseLike<string | URL>;

/** Options of {@link reconnecting}, and of each dial. */
export interface ReconnectingOptions extends ReconnectOptions, Omit<DialOptions, 'signal'> {}

/**
 * Options of a {@link ReconnectingConn}, and of each dial. `maxQueuedBytes` bounds the messages
 * that wait for a connection.
 */
export interface ReconnectingConnOptions
  extends Omit<ReconnectingOptions, 'maxQueuedBytes'>,
    Pick<
      LiveOptions<BrowserConn>,
      'onOpen' | 'maxQueuedBytes' | 'maxQueuedMessages' | 'resend' | 'report'
    > {}

/** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
export function planReconnecting(
  url: string | URL | FreshURL,
  options: ReconnectingOptions,
): ReconnectPlan<BrowserConn> {
  checkAllNames('reconnecting', options, RECONNECT_OPTION_NAMES);
  const alive = new AliveSetting(options.alive);
  return { ...policyOf(options), ...dialPlan(url, options, alive, report) };
}

/** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
export function planReconnectingConn(
  url: string | URL | FreshURL,
  options: ReconnectingConnOptions,
  alive: AliveSetting,
): LivePlan<BrowserConn> {
  checkAllNames('ReconnectingConn', options, RECONNECTING_CONN_OPTION_NAMES);
  const reported = reportTo(options.report);
  const refused = (error: Error): void => reported(error, { where: 'alive' });
  return {
    ...liveOptions(options),
    // A connection has another option of the same name, which keeps its default.
    ...dialPlan(url, { ...options, maxQueuedBytes: undefined }, alive, refused),
    checkClose(code, reason, options) {
      checkNames('close', options, ['discard'], 'reject');
      checkClose(PAGE, code, reason, options);
    },
    report: reported,
  };
}

/**
 * The default of `report`. A failed dial is no fault of the page, and code may catch it: it is one line
 * of the console, without a stack, and no uncaught error.
 */
const byDefault: Report = (error, { where }) => {
  if (where === 'dial') console.error(`${String(error)}. Later dials that fail are not reported.`);
  else if (where === 'onOpen') console.error(error);
  else report(error);
};

/** Calls the option `report`. If that fails, reports its error as an uncaught one. */
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
  checkNames(owner, options, [...own, ...DIAL_OPTION_NAMES], 'reject', pageHint);
}

/** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
function dialPlan(
  url: string | URL | FreshURL,
  options: ReconnectingOptions,
  setting: AliveSetting,
  refused: (error: Error) => void,
): Pick<LivePlan<BrowserConn>, 'dial' | 'extraDelay' | 'handshakeTimeout'> {
  // Copies of the URL and of the subprotocols, which the caller may change later.
  const fixed = typeof url === 'function' ? '' : targetOf(url).href;
  const { handshakeTimeout, alive, subprotocols } = checkDialOptions(options);
  setting.set(alive, refused);
  const ofDial: DialOptions = {
    ...Object.fromEntries(
      DIAL_OPTION_NAMES.map((name) => [name, options[name as keyof ReconnectingOptions]]),
    ),
    subprotocols,
  };
  const urlFailures = new WeakSet();
  const failed = (error: unknown): never => {
    const failure = errorOf(error) ?? new Error('url: the function has thrown undefined');
    urlFailures.add(failure);
    throw failure;
  };
  return {
    handshakeTimeout: handshakeTimeout ?? Infinity,
    async dial({ signal }) {
      const isFresh = typeof url === 'function';
      const to = isFresh ? await callUrl(url, signal, handshakeTimeout).catch(failed) : fixed;
      // The setting may change during the dial, so it comes last.
      const conn = await open(to, { ...ofDial, alive: undefined, signal });
      setting.opened(conn);
      return conn;
    },
    // Infinity: a bad option, such as a subprotocol, cannot succeed later. An error of `onOpen`, or of the
    // function for the URL, may come from a request that can.
    extraDelay: (error, _maxDelay, opened) =>
      opened || error instanceof WebSocketError || urlFailures.has(error as object) ? 0 : Infinity,
  };
}

function callUrl(
  url: FreshURL,
  signal: AbortSignal,
  timeout: number | undefined,
): Promise<string | URL> {
  const control = new AbortController();
  return bounded(
    { signal, timeout },
    (resolve, reject) => {
      Promise.resolve(url({ signal: control.signal })).then(resolve, reject);
      return (reason) => {
        control.abort(reason);
        reject(reason);
      };
    },
    `url: no result of the function after ${timeout} ms (option handshakeTimeout)`,
  );
}
