import { setTimeout as sleep } from 'node:timers/promises';
import {
  addAbortListener,
  type CloseInfo,
  type Conn,
  removeAbortListener,
  TimeoutError,
  TransportError,
} from '@ws/conn';
import { BadHandshakeError } from './errors.ts';
import { forget, isPromise } from './promise-like.ts';
import { backoffDelay, retryAfter } from './reconnecting-delay.ts';
import { planOf, type ReconnectingOptions, type ReconnectingPlan } from './reconnecting-options.ts';

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
 * `BadHandshakeError` with status 408, 425, 429, 5xx or 0. Credentials that a proxy refuses, 407, do not heal.
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
  /** Dials since the start or the last connection that lasted. */
  #tries = 0;
  /** Waits since then. */
  #waits = 0;
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
    const delay = backoffDelay(++this.#waits, { minDelay, maxDelay }, Math.random());
    this.#delay = Math.min(maxDelay, asked + delay);
    const again: unknown = retry?.(error, { tries: this.#tries, delay: this.#delay });
    if (isPromise(again)) {
      forget(again);
      const message = 'retry: expected true, false or nothing, got a promise';
      throw new TypeError(message, { cause: error });
    }
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
    if (lasted > this.#delay) this.#tries = this.#waits = 0;
    this.#delay = backoffDelay(++this.#waits, this.#plan, Math.random());
    if (this.#plan.stopCodes.has(code)) this.#end();
    // Whoever asks for no further connection leaves no listener behind.
    if (this.#steps === 0) this.#unlisten();
  }

  #listen(): void {
    const { signal } = this.#plan;
    if (this.#over.signal.aborted || signal === undefined) return;
    if (signal.aborted) this.#onAbort();
    else addAbortListener(signal, this.#onAbort);
  }

  #unlisten(): void {
    const { signal } = this.#plan;
    if (signal !== undefined) removeAbortListener(signal, this.#onAbort);
  }

  readonly #onAbort = (): void => {
    this.#end();
    void this.#conn?.close();
    this.#closing = this.#conn?.closed;
  };

  #end(): void {
    this.#over.abort();
    this.#unlisten();
  }
}
