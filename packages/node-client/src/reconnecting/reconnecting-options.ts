import { checkOptionNames, optionHint } from '@ws/conn/internal';
import { assertOption } from '@ws/node-io/internal';
import type { ReconnectingConnOptions as LiveOptions, ReconnectOptions } from '@ws/reconnect';
import {
  type LivePlan,
  planLive,
  policyOf,
  RECONNECT_OPTION_NAMES,
  RECONNECTING_CONN_OPTION_NAMES,
  type ReconnectPlan,
} from '@ws/reconnect/internal';
import type { ClientConn } from '../client-conn.ts';
import { DialScope } from '../dial-scope.ts';
import { Dialer } from '../dialer.ts';
import { callFunction, withError } from '../errors.ts';
import {
  checkDialOptions,
  DIAL_OPTION_NAMES,
  DIALER_OPTION_NAMES,
  type DialerOptions,
  type DialOptions,
  handshakeTimeoutOf,
} from '../options.ts';
import { checkSubprotocols, type HeadersInput, makeRequest } from '../request.ts';
import { isURL, parseTarget } from '../url.ts';
import { extraDelay } from './dial-failure.ts';

/**
 * Returns the URL of one dial, with a fresh ticket for example. It may be async. Together with the
 * function for headers it has `handshakeTimeout` to settle; the dial after it has the same time
 * again. Its error counts as a failed dial. Only a programming error ends the iteration by default:
 * a ReferenceError, a SyntaxError, or a TypeError without a cause.
 *
 * @param context - `signal` aborts when the iteration ends or `handshakeTimeout` is over.
 */
export type FreshURL = (context: {
  readonly signal: AbortSignal;
}) => string | URL | PromiseLike<string | URL>;

/**
 * Returns the headers for one dial. Its errors count as for {@link FreshURL}.
 *
 * @param context - `signal` aborts when the iteration ends or `handshakeTimeout` is over.
 */
export type FreshHeaders = (context: {
  readonly signal: AbortSignal;
}) => HeadersInput | PromiseLike<HeadersInput>;

/** Options of `reconnecting`, together with those of its `Dialer` and of each dial. */
export interface ReconnectingOptions
  extends DialerOptions,
    ReconnectOptions,
    Omit<DialOptions, 'headers' | 'signal'> {
  /**
   * As for a dial; or a function that returns the headers for each dial, for a token that expires
   * for example. It may be async and has `handshakeTimeout` to settle; the dial after it has the
   * same time again. Its errors count as for {@link FreshURL}. Default: none.
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
  if (typeof options === 'function') {
    throw new TypeError(
      'reconnecting: the handler comes last; write reconnecting(url, {}, handler)',
    );
  }
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
  if (typeof options === 'function') {
    const write = owner === 'reconnecting' ? '; write reconnecting(url, {}, handler)' : '';
    throw new TypeError(`${owner}: expected an object of options, got function${write}`);
  }
  const known = [...new Set([...own, ...DIAL_NAMES])];
  checkOptionNames(owner, options, known, 'reject', optionHint);
}

/** Stands for the URL of a function when the other options are checked. */
const ANY_URL = 'ws://localhost/';

/**
 * How the clients that dial again dial one URL.
 *
 * @throws TypeError, RangeError or SyntaxError for a bad URL or option.
 */
function dialPlan(
  url: string | URL | FreshURL,
  { headers = {}, ...options }: ReconnectingOptions,
): Pick<LivePlan<ClientConn>, 'dial' | 'extraDelay' | 'handshakeTimeout'> {
  const ofDialer = Object.fromEntries(
    DIALER_OPTION_NAMES.map((name) => [name, options[name]]),
  ) as DialerOptions;
  const dialer = new Dialer(ofDialer);
  checkDialOptions({ signal: options.signal });
  const freshUrl = typeof url === 'function' ? url : undefined;
  const freshHeaders = typeof headers === 'function' ? headers : undefined;
  // Copies: the caller may change the URL or the headers later, and an iterator would yield its
  // headers only once.
  const fixedUrl = typeof url === 'function' ? ANY_URL : isURL(url) ? url.href : url;
  const fixedHeaders = typeof headers === 'function' ? {} : copyHeaders(headers);
  const target = parseTarget(fixedUrl);
  makeRequest(target, fixedHeaders, checkSubprotocols(options.subprotocols ?? []));
  const timeout = handshakeTimeoutOf(options);
  return {
    handshakeTimeout: timeout,
    async dial({ signal }) {
      try {
        let to: string | URL = fixedUrl;
        let current: HeadersInput = fixedHeaders;
        if (freshUrl !== undefined || freshHeaders !== undefined) {
          const scope = new DialScope(timeout, signal);
          try {
            if (freshUrl !== undefined) to = await callUrl(freshUrl, scope);
            scope.peer = String(parseTarget(to).address);
            if (freshHeaders !== undefined) current = await callHeaders(freshHeaders, scope);
          } finally {
            scope.stop();
          }
        }
        return await dialer.dial(to, { headers: current, signal });
      } catch (thrown) {
        throw withError(thrown);
      }
    },
    extraDelay,
  };
}

/** Calls a function of the options for one dial, within the bounds of `scope`. */
function callFresh(
  name: 'url' | 'headers',
  fresh: FreshURL | FreshHeaders,
  scope: DialScope,
): Promise<unknown> {
  scope.stage = `waiting for the ${name} function`;
  return scope.race<unknown>(callFunction<unknown>(() => fresh({ signal: scope.makeSignal() })));
}

async function callUrl(url: FreshURL, scope: DialScope): Promise<string | URL> {
  scope.peer = 'the server';
  const given = await callFresh('url', url, scope);
  const isUrl = typeof given === 'string' || isURL(given);
  assertOption('url', given, isUrl, 'a string or a URL from the function');
  return given as string | URL;
}

async function callHeaders(headers: FreshHeaders, scope: DialScope): Promise<HeadersInput> {
  const given = await callFresh('headers', headers, scope);
  // Without headers a dial would go out unauthenticated.
  const isObject = typeof given === 'object' && given !== null;
  assertOption('headers', given, isObject, 'an object or pairs from the function');
  return given as HeadersInput;
}

function copyHeaders(headers: HeadersInput): HeadersInput {
  if (typeof headers !== 'object' || headers === null) return headers;
  return Symbol.iterator in headers ? [...headers] : { ...headers };
}
