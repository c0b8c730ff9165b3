import { CloseCode, type Conn, duration } from '@ws/conn';
import { Bounds } from './bounds.ts';
import { Dialer } from './dialer.ts';
import {
  checkDialOptions,
  checkKeys,
  DIAL_KEYS,
  DIALER_KEYS,
  type DialerOptions,
  type DialOptions,
  handshakeTimeoutOf,
} from './options.ts';
import type { DelayRange } from './reconnecting-delay.ts';
import { checkSubprotocols, type HeadersInput, makeRequest } from './request.ts';
import { parseTarget } from './url.ts';

/** What `reconnecting` can be told. The options of its `Dialer` and of each dial stand beside its own. */
export interface ReconnectingOptions extends DialerOptions, Omit<DialOptions, 'headers'> {
  /**
   * As for a dial; or a function that gives them anew for each, a token that expires for example. It may be async, and is
   * waited for as long as `handshakeTimeout` says, the dial behind it as long again. What it throws is taken for a dial
   * that failed, and does not heal by itself. Default: none.
   */
  readonly headers?: HeadersInput | FreshHeaders | undefined;
  /** The shortest wait before a dial but the first, in ms. Default: 1 s, or `maxDelay` when that is less. */
  readonly minDelay?: number | undefined;
  /**
   * The longest wait, in ms, also when a server's Retry-After asks for more. Default: 30 s, or `minDelay` when that is
   * more.
   */
  readonly maxDelay?: number | undefined;
  /**
   * Close codes that end the iteration besides 1008 (policy violation), which always does. 1005 and 1006 stand for an
   * end without a code. Default: none.
   */
  readonly stopCodes?: readonly number[] | undefined;
  /**
   * Ends the iteration, without an error: a dial or a wait at once, an open connection with a close frame. It has no
   * effect on a connection that was left by `break`.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * Is asked after each dial that failed: `true` dials again, `false` ends the iteration with the error, nothing leaves
   * it to the default. It decides at once: a promise is a TypeError. Default: `reconnecting` says which failures heal.
   */
  readonly retry?: RetryDecision | undefined;
}

/**
 * The headers for one dial.
 *
 * @param context - `signal` aborts when the dial is not wanted any more, or it has taken too long.
 */
export type FreshHeaders = (context: {
  readonly signal: AbortSignal;
}) => HeadersInput | PromiseLike<HeadersInput>;

/**
 * Whether to dial again.
 *
 * @param error - What the dial rejected with.
 * @param next - `tries`: dials in a row that came to nothing, this one among them; `delay`: the wait that would follow,
 *   in ms.
 */
export type RetryDecision = (
  error: unknown,
  next: { readonly tries: number; readonly delay: number },
) => boolean | undefined | void;

const KEYS: readonly (keyof ReconnectingOptions)[] = [
  ...new Set([
    ...(['minDelay', 'maxDelay', 'stopCodes', 'retry'] as const),
    ...DIAL_KEYS,
    ...DIALER_KEYS,
  ]),
];

/** {@link ReconnectingOptions}, checked. */
export interface ReconnectingPlan extends DelayRange {
  readonly dial: (signal: AbortSignal) => Promise<Conn>;
  readonly stopCodes: ReadonlySet<number>;
  readonly signal: AbortSignal | undefined;
  readonly retry: RetryDecision | undefined;
}

/** @throws TypeError, RangeError or SyntaxError for what is wrong with the URL or an option. */
export function planOf(url: string | URL, options: ReconnectingOptions): ReconnectingPlan {
  checkKeys('reconnecting', options, KEYS);
  const { minDelay, maxDelay, stopCodes, signal, retry, headers = {}, ...ofDialer } = options;
  const dialer = new Dialer(ofDialer);
  checkDialOptions({ signal });
  if (retry !== undefined && typeof retry !== 'function') {
    throw new TypeError('retry: expected a function');
  }
  // What is dialed again and again must not change under way, nor be an iterator that gives its headers once.
  const href = url instanceof URL ? url.href : url;
  const fresh = typeof headers === 'function' ? headers : undefined;
  const fixed = typeof headers === 'function' ? {} : copyOf(headers);
  const target = parseTarget(href);
  makeRequest(target, fixed, checkSubprotocols(ofDialer.subprotocols ?? []));
  const timeout = handshakeTimeoutOf(ofDialer);
  return {
    ...delayRange(minDelay, maxDelay),
    stopCodes: new Set([CloseCode.PolicyViolation, ...checkStopCodes(stopCodes ?? [])]),
    signal,
    retry,
    async dial(signal) {
      const current =
        fresh === undefined
          ? fixed
          : await freshHeaders(fresh, new Bounds(timeout, signal), String(target.address));
      const { conn } = await dialer.dial(href, { headers: current, signal });
      return conn;
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
    if (typeof code !== 'number')
      throw new TypeError('stopCodes: expected an array of close codes');
    if (!Number.isInteger(code) || code < 1000 || code > 4999) {
      throw new RangeError(`stopCodes: expected close codes from 1000 to 4999, got ${code}`);
    }
  }
  return codes as number[];
}

async function freshHeaders(
  headers: FreshHeaders,
  bounds: Bounds,
  peer: string,
): Promise<HeadersInput> {
  bounds.peer = peer;
  bounds.stage = 'waiting for the headers function';
  try {
    return await bounds.race(headers({ signal: bounds.signal }));
  } finally {
    bounds.end();
  }
}

function copyOf(headers: HeadersInput): HeadersInput {
  if (typeof headers !== 'object' || headers === null) return headers;
  return Symbol.iterator in headers ? [...headers] : { ...headers };
}
