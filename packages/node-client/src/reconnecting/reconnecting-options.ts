import {
  checkOptionNames,
  type LivePlan,
  planLive,
  policyOf,
  RECONNECT_OPTION_NAMES,
  RECONNECTING_CONN_OPTION_NAMES,
  type ReconnectPlan,
} from '@ws/conn/parts';
import type {
  DialFunction,
  ReconnectingConnOptions as LiveOptions,
  ReconnectOptions,
} from '@ws/conn/reconnecting';
import { assertOption } from '@ws/node-io/internal';
import type { ClientConn } from '../client-conn.ts';
import { DialScope } from '../dial-scope.ts';
import { Dialer } from '../dialer.ts';
import {
  checkDialOptions,
  clientHints,
  DIAL_OPTION_NAMES,
  DIALER_OPTION_NAMES,
  type DialerOptions,
  type DialOptions,
  handshakeTimeoutOf,
} from '../options.ts';
import { checkSubprotocols, type HeadersInput, makeRequest } from '../request.ts';
import { isURL, parseTarget } from '../url.ts';
import { extraDelay } from './dial-failure.ts';

/** Options of `reconnecting`, together with those of its `Dialer` and of each dial. */
export interface ReconnectingOptions
  extends DialerOptions,
    ReconnectOptions,
    Omit<DialOptions, 'headers' | 'signal'> {
  /**
   * As for a dial; or a function that returns the headers for each dial, for a token that expires
   * for example. It may be async and has `handshakeTimeout` to settle; the dial after it has the
   * same time again. Its error counts as a failed dial and ends the iteration by default. Default:
   * none.
   */
  readonly headers?: HeadersInput | FreshHeaders | undefined;
}

/** Options of a `ReconnectingConn`, together with those of its `Dialer` and of each dial. */
export interface ReconnectingConnOptions
  extends ReconnectingOptions,
    Pick<LiveOptions<ClientConn>, 'onOpen' | 'maxQueuedBytes' | 'maxQueuedMessages'> {}

/**
 * Returns the headers for one dial.
 *
 * @param context - `signal` aborts when the iteration ends or `handshakeTimeout` is over.
 */
export type FreshHeaders = (context: {
  readonly signal: AbortSignal;
}) => HeadersInput | PromiseLike<HeadersInput>;

/** The options of the Dialer and of its dials. */
const DIAL_NAMES = [...DIAL_OPTION_NAMES, ...DIALER_OPTION_NAMES];

/** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
export function planReconnecting(
  url: string | URL,
  options: ReconnectingOptions,
): ReconnectPlan<ClientConn> {
  checkNames('reconnecting', options, RECONNECT_OPTION_NAMES);
  return { ...policyOf(options), dial: makeDial(url, options), extraDelay };
}

/** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
export function planReconnectingConn(
  url: string | URL,
  options: ReconnectingConnOptions,
): LivePlan<ClientConn> {
  checkNames('ReconnectingConn', options, RECONNECTING_CONN_OPTION_NAMES);
  return { ...planLive(options), dial: makeDial(url, options), extraDelay };
}

/** @throws TypeError for an unknown option. */
function checkNames(owner: string, options: object, own: readonly string[]): void {
  const known = [...new Set([...own, ...DIAL_NAMES])];
  checkOptionNames(owner, options, known, 'reject', clientHints(known));
}

/** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
function makeDial(
  url: string | URL,
  { headers = {}, ...options }: ReconnectingOptions,
): DialFunction<ClientConn> {
  const ofDialer = Object.fromEntries(
    DIALER_OPTION_NAMES.map((name) => [name, options[name]]),
  ) as DialerOptions;
  const dialer = new Dialer(ofDialer);
  checkDialOptions({ signal: options.signal });
  // Copies: the caller may change the URL or the headers later, and an iterator would yield its
  // headers only once.
  const href = isURL(url) ? url.href : url;
  const headersFunction = typeof headers === 'function' ? headers : undefined;
  const fixedHeaders = typeof headers === 'function' ? {} : copyHeaders(headers);
  const target = parseTarget(href);
  makeRequest(target, fixedHeaders, checkSubprotocols(options.subprotocols ?? []));
  const timeout = handshakeTimeoutOf(options);
  return async ({ signal }) => {
    const current =
      headersFunction === undefined
        ? fixedHeaders
        : await callHeadersFunction(
            headersFunction,
            new DialScope(timeout, signal),
            String(target.address),
          );
    return dialer.dial(href, { headers: current, signal });
  };
}

async function callHeadersFunction(
  headers: FreshHeaders,
  scope: DialScope,
  peer: string,
): Promise<HeadersInput> {
  scope.peer = peer;
  scope.stage = 'waiting for the headers function';
  try {
    const given: unknown = await scope.race(headers({ signal: scope.signal }));
    // Without headers a dial would go out unauthenticated.
    const isObject = typeof given === 'object' && given !== null;
    assertOption('headers', given, isObject, 'an object or pairs from the function');
    return given as HeadersInput;
  } finally {
    scope.end();
  }
}

function copyHeaders(headers: HeadersInput): HeadersInput {
  if (typeof headers !== 'object' || headers === null) return headers;
  return Symbol.iterator in headers ? [...headers] : { ...headers };
}
