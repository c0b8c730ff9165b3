import { setTimeout as sleep } from 'node:timers/promises';
import {
  CloseCode,
  type CloseInfo,
  type Conn,
  duration,
  TimeoutError,
  TransportError,
} from '@ws/conn';
import { Bounds } from './bounds.ts';
import { Dialer } from './dialer.ts';
import { BadHandshakeError } from './errors.ts';
import {
  checkDialOptions,
  checkKeys,
  DIAL_KEYS,
  DIALER_KEYS,
  type DialerOptions,
  type DialOptions,
} from './options.ts';
import { backoffDelay, type DelayRange, retryAfter } from './reconnecting-delay.ts';
import { checkSubprotocols, type HeadersInput, makeRequest } from './request.ts';
import { parseTarget } from './url.ts';

/** What {@link reconnecting} can be told. The options of its `Dialer` and of each dial stand beside its own. */
export interface ReconnectingOptions extends DialerOptions, Omit<DialOptions, 'headers'> {
  /**
   * As for a dial; or a function that gives them anew for each, a token that expires for example. It may be async. What
   * it throws is taken for a dial that failed, and does not heal by itself. Default: none.
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
   * it to the default. Default: {@link reconnecting} says which failures heal.
   */
  readonly retry?: RetryDecision | undefined;
}

/**
 * The headers for one dial.
 *
 * @param context - `signal` aborts when the dial is not wanted any more.
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

/**
 * Connections to one URL, each dialed when the one before has ended: for clients that stay.
 *
 * ```ts no-run
 * import { reconnecting, WebSocketError } from '@ws/node-client';
 *
 * for await (const conn of reconnecting('wss://example.org/feed', { stopCodes: [1000] })) {
 *   try {
 *     await conn.send('subscribe');
 *     for await (const message of conn) console.log(message.text());
 *   } catch (error) {
 *     if (!(error instanceof WebSocketError)) throw error; // the connection broke: on to the next
 *   }
 * }
 * ```
 *
 * When the loop's body is done with a connection that is still open, the next dial waits for its end. `break` leaves it
 * open, and yours. Waits between dials double from `minDelay` to `maxDelay`, the upper half of each left to chance, and
 * begin anew behind a connection that stayed open for longer than the wait before it. Retry-After lengthens a wait.
 *
 * The iteration ends when a connection closes with 1008 or one of `stopCodes`, or `signal` aborts; it ends with an error
 * when a dial fails in a way that another one will not heal: by anything but a `TransportError`, a `TimeoutError`, or a
 * `BadHandshakeError` with status 408, 425, 429, 5xx or 0.
 *
 * @returns Nothing is dialed before the iteration asks for it. Each iteration is a sequence of its own.
 * @throws TypeError, RangeError or SyntaxError, at once, for what is wrong with the URL or an option.
 */
export function reconnecting(
  url: string | URL,
  options: ReconnectingOptions = {},
): AsyncIterable<Conn> {
  const plan = planOf(url, options);
  return { [Symbol.asyncIterator]: () => new Reconnections(plan) };
}

interface ReconnectingPlan extends DelayRange {
  readonly dial: (signal: AbortSignal) => Promise<Conn>;
  readonly stopCodes: ReadonlySet<number>;
  readonly signal: AbortSignal | undefined;
  readonly retry: RetryDecision | undefined;
}

function planOf(url: string | URL, options: ReconnectingOptions): ReconnectingPlan {
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
  makeRequest(parseTarget(href), fixed, checkSubprotocols(ofDialer.subprotocols ?? []));
  return {
    ...delayRange(minDelay, maxDelay),
    stopCodes: new Set([CloseCode.PolicyViolation, ...checkStopCodes(stopCodes ?? [])]),
    signal,
    retry,
    async dial(signal) {
      const current = fresh === undefined ? fixed : await freshHeaders(fresh, signal);
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

async function freshHeaders(headers: FreshHeaders, signal: AbortSignal): Promise<HeadersInput> {
  const bounds = new Bounds(Infinity, signal);
  try {
    return await bounds.race(headers({ signal }));
  } finally {
    bounds.end();
  }
}

function copyOf(headers: HeadersInput): HeadersInput {
  if (typeof headers !== 'object' || headers === null) return headers;
  return Symbol.iterator in headers ? [...headers] : { ...headers };
}

/** Another dial may go better: the server was not there, not in time, or said so. */
function heals(error: unknown): boolean {
  if (error instanceof BadHandshakeError) {
    return [0, 408, 425, 429].includes(error.status) || error.status >= 500;
  }
  return error instanceof TransportError || error instanceof TimeoutError;
}

const DONE: IteratorResult<Conn, undefined> = { done: true, value: undefined };

/** One sequence of connections. Calls of `next` wait for each other; `return` waits for nothing. */
class Reconnections implements AsyncIterableIterator<Conn, undefined> {
  readonly #plan: ReconnectingPlan;
  /** Aborted when no further connection will come. */
  readonly #over = new AbortController();
  #lastStep: Promise<unknown> = Promise.resolve();
  #steps = 0;
  #conn: Conn | undefined;
  /** The end of the connection that `signal` has closed. */
  #closing: Promise<CloseInfo> | undefined;
  /** Dials since the start or the last connection that lasted, that one's among them. */
  #tries = 0;
  /** The wait before the next dial, and, while there is a connection, before its own. */
  #delay = 0;

  constructor(plan: ReconnectingPlan) {
    this.#plan = plan;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Conn, undefined>> {
    this.#steps++;
    const step = this.#lastStep.then(() => this.#step());
    // A failed step ends the sequence; the next one finds it so.
    this.#lastStep = step.catch(() => {});
    return step;
  }

  /** Gives up a dial or a wait, and leaves an open connection to who has it. */
  return(): Promise<IteratorResult<Conn, undefined>> {
    this.#end();
    return Promise.resolve(DONE);
  }

  async #step(): Promise<IteratorResult<Conn, undefined>> {
    this.#listen();
    try {
      await this.#connEnd();
      while (!this.#over.signal.aborted) {
        const conn = await this.#attempt();
        if (conn !== undefined) return { done: false, value: conn };
      }
      return DONE;
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      this.#steps--;
    }
  }

  /** Waits until the connection that was handed out last has ended, unless the sequence is over before. */
  async #connEnd(): Promise<void> {
    const conn = this.#conn;
    if (conn === undefined) return;
    const { signal } = this.#over;
    let onOver!: () => void;
    const over = new Promise<void>((resolve) => {
      onOver = () => resolve();
      if (signal.aborted) onOver();
      else signal.addEventListener('abort', onOver);
    });
    await Promise.race([conn.closed, over]);
    signal.removeEventListener('abort', onOver);
    // Nothing is left of it behind the loop.
    await this.#closing;
  }

  /** Waits and dials. Undefined when that came to nothing, and the sequence goes on or is over. */
  async #attempt(): Promise<Conn | undefined> {
    const { signal } = this.#over;
    try {
      if (this.#delay > 0) await sleep(this.#delay, undefined, { signal });
      this.#tries++;
      const conn = await this.#plan.dial(signal);
      if (!signal.aborted) return this.#opened(conn);
      await conn.close();
    } catch (error) {
      if (!signal.aborted) this.#failed(error);
    }
    return undefined;
  }

  /** @throws the error, when another dial would not heal it. */
  #failed(error: unknown): void {
    const { minDelay, maxDelay, retry } = this.#plan;
    const asked = error instanceof BadHandshakeError ? retryAfter(error.headers, Date.now()) : 0;
    const delay = backoffDelay(this.#tries, { minDelay, maxDelay }, Math.random());
    this.#delay = Math.min(maxDelay, asked + delay);
    const again = retry?.(error, { tries: this.#tries, delay: this.#delay });
    if (!(typeof again === 'boolean' ? again : heals(error))) throw error;
  }

  #opened(conn: Conn): Conn {
    const openedAt = performance.now();
    this.#conn = conn;
    void conn.closed.then((info) => this.#closed(info, performance.now() - openedAt));
    return conn;
  }

  #closed({ code }: CloseInfo, lasted: number): void {
    // A server that accepts and drops is no better than one that refuses.
    if (lasted > this.#delay) this.#tries = 1;
    this.#delay = backoffDelay(this.#tries, this.#plan, Math.random());
    if (this.#plan.stopCodes.has(code)) this.#end();
    // Whoever asks for no further connection leaves no listener behind.
    if (this.#steps === 0) this.#plan.signal?.removeEventListener('abort', this.#onAbort);
  }

  #listen(): void {
    const { signal } = this.#plan;
    if (this.#over.signal.aborted || signal === undefined) return;
    signal.addEventListener('abort', this.#onAbort);
    if (signal.aborted) this.#onAbort();
  }

  readonly #onAbort = (): void => {
    this.#end();
    void this.#conn?.close();
    this.#closing = this.#conn?.closed;
  };

  #end(): void {
    this.#over.abort();
    this.#plan.signal?.removeEventListener('abort', this.#onAbort);
  }
}
