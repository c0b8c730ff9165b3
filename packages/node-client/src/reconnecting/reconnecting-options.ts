import { CloseCode } from '@ws/conn';
import { checkOptionNames, duration } from '@ws/conn/internal';
import { assertOption } from '@ws/http-shared';
import type { ClientConn } from '../client-conn.ts';
import { DialScope } from '../dial-scope.ts';
import { Dialer } from '../dialer.ts';
import {
  checkDialOptions,
  DIAL_OPTION_NAMES,
  DIALER_OPTION_NAMES,
  type DialerOptions,
  type DialOptions,
  handshakeTimeoutOf,
} from '../options.ts';
import { checkSubprotocols, type HeadersInput, makeRequest } from '../request.ts';
import { parseTarget } from '../url.ts';
import type { DelayRange } from './retry-delay.ts';

/** Options of `reconnecting`, together with those of its `Dialer` and of each dial. */
export interface ReconnectingOptions extends DialerOptions, Omit<DialOptions, 'headers'> {
  /**
   * As for a dial; or a function that returns the headers for each dial, for a token that expires
   * for example. It may be async and has `handshakeTimeout` to settle; the dial after it has the
   * same time again. Its error counts as a failed dial and ends the iteration by default. Default:
   * none.
   */
  readonly headers?: HeadersInput | FreshHeaders | undefined;
  /**
   * The shortest wait in ms between dials, except that the first wait is random from 0 to twice
   * this. Default: 1,000, or `maxDelay` if that is less.
   */
  readonly minDelay?: number | undefined;
  /**
   * The longest wait in ms, also when Retry-After of a server asks for more. Default: 30,000, or
   * `minDelay` if that is more.
   */
  readonly maxDelay?: number | undefined;
  /**
   * Close codes that end the iteration. 1005 and 1006 mean an end without a close code (RFC 6455,
   * section 7.1.5). Default: 1008 (`CloseCode.PolicyViolation`); a list replaces it.
   */
  readonly stopCodes?: readonly number[] | undefined;
  /**
   * Ends the iteration without an error. It cancels a dial or a wait, and closes an open connection
   * with a close frame. It has no effect on a connection that `break` has left open.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * Decides after each failed dial: `true` dials again, `false` ends the iteration with the error,
   * undefined applies the default. Any other result is a TypeError, a promise too: it must be
   * synchronous. Default: as listed at `reconnecting`.
   */
  readonly retry?: RetryDecision | undefined;
}

/**
 * Returns the headers for one dial.
 *
 * @param context - `signal` aborts when the iteration ends or `handshakeTimeout` is over.
 */
export type FreshHeaders = (context: {
  readonly signal: AbortSignal;
}) => HeadersInput | PromiseLike<HeadersInput>;

/**
 * Returns whether to dial again.
 *
 * @param error - The error of the dial.
 * @param next - `tries`: failed dials in a row, including this one; `delay`: the wait in ms that
 *   would follow.
 */
export type RetryDecision = (
  error: unknown,
  next: { readonly tries: number; readonly delay: number },
) => boolean | undefined | void;

const RECONNECTING_OPTION_NAMES: readonly (keyof ReconnectingOptions)[] = [
  ...new Set([
    ...(['minDelay', 'maxDelay', 'stopCodes', 'retry'] as const),
    ...DIAL_OPTION_NAMES,
    ...DIALER_OPTION_NAMES,
  ]),
];

/** Checked {@link ReconnectingOptions}. */
export interface ReconnectingPlan extends DelayRange {
  readonly dial: (signal: AbortSignal) => Promise<ClientConn>;
  readonly stopCodes: ReadonlySet<number>;
  readonly signal: AbortSignal | undefined;
  readonly retry: RetryDecision | undefined;
}

/** @throws TypeError, RangeError or SyntaxError for a bad URL or option. */
export function planReconnecting(
  url: string | URL,
  options: ReconnectingOptions,
): ReconnectingPlan {
  checkOptionNames('reconnecting', options, RECONNECTING_OPTION_NAMES, 'reject');
  const { minDelay, maxDelay, stopCodes, signal, retry, headers = {}, ...ofDialer } = options;
  const dialer = new Dialer(ofDialer);
  checkDialOptions({ signal });
  if (retry !== undefined && typeof retry !== 'function') {
    throw new TypeError('retry: expected a function');
  }
  // Copies: the caller may change the URL or the headers later, and an iterator would yield its
  // headers only once.
  const href = url instanceof URL ? url.href : url;
  const headersFunction = typeof headers === 'function' ? headers : undefined;
  const fixedHeaders = typeof headers === 'function' ? {} : copyHeaders(headers);
  const target = parseTarget(href);
  makeRequest(target, fixedHeaders, checkSubprotocols(ofDialer.subprotocols ?? []));
  const timeout = handshakeTimeoutOf(ofDialer);
  return {
    ...delayRange(minDelay, maxDelay),
    stopCodes: new Set(checkStopCodes(stopCodes ?? [CloseCode.PolicyViolation])),
    signal,
    retry,
    async dial(signal) {
      const current =
        headersFunction === undefined
          ? fixedHeaders
          : await callHeadersFunction(
              headersFunction,
              new DialScope(timeout, signal),
              String(target.address),
            );
      return dialer.dial(href, { headers: current, signal });
    },
  };
}

function delayRange(min: number | undefined, max: number | undefined): DelayRange {
  const least = duration('minDelay', min, 1000, false);
  const most = duration('maxDelay', max, 30_000, false);
  if (min !== undefined && max !== undefined && least > most) {
    throw new RangeError(`minDelay: ${least} is more than maxDelay, ${most}`);
  }
  return {
    minDelay: min === undefined ? Math.min(least, most) : least,
    maxDelay: max === undefined ? Math.max(least, most) : most,
  };
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
