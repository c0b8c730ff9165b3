import { setTimeout as sleep } from 'node:timers/promises';
import type { CloseInfo } from '@ws/conn';
import { addAbortListener, finishMessage, removeAbortListener } from '@ws/conn/internal';
import { describeResult } from '@ws/http-shared';
import type { ClientConn } from '../client-conn.ts';
import { BadHandshakeError } from '../errors.ts';
import { retryAdvice } from './dial-failure.ts';
import {
  planReconnecting,
  type ReconnectingOptions,
  type ReconnectingPlan,
} from './reconnecting-options.ts';
import { retryAfter, retryDelay } from './retry-delay.ts';

/**
 * Keeps a client connected to one URL: iterates over connections, and dials the next when the last
 * one has ended.
 *
 * ```ts no-run
 * import { reconnecting, WebSocketError } from '@ws/node-client';
 *
 * for await (const conn of reconnecting('wss://example.org/feed', { stopCodes: [1000, 1008] })) {
 *   try {
 *     await conn.send('subscribe');
 *     for await (const message of conn) console.log(message.text());
 *   } catch (error) {
 *     if (!(error instanceof WebSocketError)) throw error; // it broke: dial again
 *   }
 * }
 * ```
 *
 * If the loop's body ends while its connection is open, the next dial waits until that connection
 * has closed. `break` leaves the connection open; it is yours then. The first wait is random
 * from 0 to twice `minDelay`. Each later wait is twice as long, up to `maxDelay`. Half of it is
 * fixed, half is random. The waits restart after a connection that stayed open for `maxDelay`.
 * Retry-After lengthens a wait.
 *
 * The iteration ends when a connection closes with one of `stopCodes`, or when `signal` aborts. It
 * ends with the error of a dial when another dial is not expected to succeed:
 * - any error except a `TransportError`, a `TimeoutError`, or a `BadHandshakeError` with status
 *   408, 425, 429, 5xx or 0;
 * - a `TransportError` whose cause is a rejected certificate. A certificate that has expired or is
 *   not valid yet is tried again after `maxDelay`;
 * - a `TransportError` whose cause is an error of `checkServerIdentity` or `pskCallback`;
 * - a `TransportError` whose cause is a ReferenceError, a SyntaxError, or a TypeError without a
 *   cause.
 *
 * @returns An iterable. It dials only when the iteration asks for a connection. Each iteration is
 *   independent.
 * @throws TypeError, RangeError or SyntaxError, synchronously, for a bad URL or option.
 */
export function reconnecting(
  url: string | URL,
  options: ReconnectingOptions = {},
): AsyncIterable<ClientConn> {
  const plan = planReconnecting(url, options);
  return { [Symbol.asyncIterator]: () => new ReconnectingIterator(plan) };
}

const DONE: IteratorResult<ClientConn, undefined> = { done: true, value: undefined };

/** One iteration. Calls of `next` wait for each other; `return` does not wait. */
class ReconnectingIterator implements AsyncIterableIterator<ClientConn, undefined> {
  readonly #plan: ReconnectingPlan;
  /** Aborted when the iteration yields no further connection. */
  readonly #ended = new AbortController();
  #lastStep: Promise<unknown> = Promise.resolve();
  #steps = 0;
  #conn: ClientConn | undefined;
  /** Settles when the connection that `signal` has closed is closed. */
  #closing: Promise<CloseInfo> | undefined;
  /** Dials since the start, or since the last connection that lasted `maxDelay`. */
  #tries = 0;
  /** Waits since the same time. */
  #waits = 0;
  /** Milliseconds to wait before the next dial. */
  #delay = 0;

  constructor(plan: ReconnectingPlan) {
    this.#plan = plan;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<ClientConn, undefined>> {
    this.#steps++;
    const step = this.#lastStep.then(() => this.#step());
    // A failed step ends the iteration; the next step sees that.
    this.#lastStep = step.catch(() => {});
    return step;
  }

  /** Cancels a dial or a wait. An open connection stays open. */
  return(): Promise<IteratorResult<ClientConn, undefined>> {
    this.#end();
    // The body of the loop has ended.
    if (this.#conn !== undefined) handlerSettled(this.#conn);
    return Promise.resolve(DONE);
  }

  async #step(): Promise<IteratorResult<ClientConn, undefined>> {
    this.#listen();
    try {
      await this.#waitForConn();
      while (!this.#ended.signal.aborted) {
        const conn = await this.#dialOnce();
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

  /** Waits until the last yielded connection has closed or the iteration has ended. */
  async #waitForConn(): Promise<void> {
    const conn = this.#conn;
    if (conn === undefined) return;
    // The body of the loop has ended, so the last message of this connection is handled.
    finishMessage(conn);
    const { signal } = this.#ended;
    let onEnded!: () => void;
    const ended = new Promise<void>((resolve) => {
      onEnded = () => resolve();
      if (signal.aborted) onEnded();
      else signal.addEventListener('abort', onEnded);
    });
    await Promise.race([conn.closed, ended]);
    signal.removeEventListener('abort', onEnded);
    // The connection that `signal` closes is closed when the loop ends.
    await this.#closing;
  }

  /** Waits and dials once. Returns undefined when the dial failed or the iteration has ended. */
  async #dialOnce(): Promise<ClientConn | undefined> {
    const { signal } = this.#ended;
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

  /** @throws the error, unless another dial follows. */
  #failed(error: unknown): void {
    const { minDelay, maxDelay, retry } = this.#plan;
    const requested =
      error instanceof BadHandshakeError ? retryAfter(error.headers, Date.now()) : 0;
    const delay = retryDelay(++this.#waits, { minDelay, maxDelay }, Math.random());
    const advice = retryAdvice(error);
    this.#delay = advice === 'late' ? maxDelay : Math.min(maxDelay, requested + delay);
    const again: unknown = retry?.(error, { tries: this.#tries, delay: this.#delay });
    if (again !== undefined && typeof again !== 'boolean') {
      const message = `retry: expected true, false or undefined, got ${describeResult(again)}`;
      throw new TypeError(message, { cause: error });
    }
    if (!(again ?? advice !== 'never')) throw error;
  }

  #opened(conn: ClientConn): ClientConn {
    const openedAt = performance.now();
    this.#conn = conn;
    void conn.closed.then((info) => this.#closed(info, performance.now() - openedAt));
    return conn;
  }

  #closed({ code }: CloseInfo, lasted: number): void {
    // A server that closes each new connection soon counts as one that refuses.
    if (lasted >= this.#plan.maxDelay) this.#tries = this.#waits = 0;
    this.#delay = retryDelay(++this.#waits, this.#plan, Math.random());
    if (this.#plan.stopCodes.has(code)) this.#end();
    // Without a pending `next` the listener would leak if the caller never asks again.
    if (this.#steps === 0) this.#unlisten();
  }

  #listen(): void {
    const { signal } = this.#plan;
    if (this.#ended.signal.aborted || signal === undefined) return;
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
    this.#ended.abort();
    this.#unlisten();
  }
}
