import { CloseCode } from '@ws/codec';
import type { CloseInfo } from '../close-info.ts';
import { Conn, handlerSettled } from '../conn.ts';
import { CloseError } from '../errors.ts';
import { onRejection } from '../on-rejection.ts';
import { addAbortListener, removeAbortListener } from '../time/abort-listeners.ts';
import { kind } from '../validate.ts';
import type { ReconnectPlan } from './options.ts';
import { retryDelay } from './retry-delay.ts';

/** What a {@link Connections} does while it has no open connection. */
export type Phase = 'connecting' | 'waiting';

/** The work between a dial and the delivery of its connection. Its error is a failed dial. */
export type Prepare<C> = (conn: C) => unknown;

/**
 * One connection after the other: the next dial follows when the last connection has closed. Calls
 * of `next` wait for each other; `return` does not wait.
 */
export class Connections<C extends Conn> implements AsyncIterableIterator<C, undefined> {
  /** What the pending call of `next` does. */
  phase: Phase = 'connecting';
  readonly #plan: ReconnectPlan<C>;
  readonly #prepare: Prepare<C> | undefined;
  /** Aborted when no further connection is delivered. */
  readonly #ended = new AbortController();
  #lastStep: Promise<unknown> = Promise.resolve();
  #steps = 0;
  #conn: C | undefined;
  /** Settles when the connection that `signal` has closed is closed. */
  #closing: Promise<CloseInfo> | undefined;
  /** Dials since the start, or since the last connection that lasted `maxDelay`. */
  #tries = 0;
  /** Waits since the same time. */
  #waits = 0;
  /** Milliseconds to wait before the next dial. */
  #delay = 0;

  constructor(plan: ReconnectPlan<C>, prepare?: Prepare<C>) {
    this.#plan = plan;
    this.#prepare = prepare;
  }

  /** Aborts when no further connection is delivered. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<C, undefined>> {
    this.#steps++;
    const step = this.#lastStep.then(() => this.#step());
    // A failed step ends the iteration; the next step sees that.
    this.#lastStep = step.catch(() => {});
    return step;
  }

  /** Cancels a dial or a wait. An open connection stays open. */
  return(): Promise<IteratorResult<C, undefined>> {
    this.#end();
    // The body of the loop has ended.
    if (this.#conn !== undefined) handlerSettled(this.#conn);
    return Promise.resolve({ done: true, value: undefined });
  }

  async #step(): Promise<IteratorResult<C, undefined>> {
    this.#listen();
    try {
      await this.#waitForConn();
      while (!this.#ended.signal.aborted) {
        const conn = await this.#dialOnce();
        if (conn !== undefined) return { done: false, value: conn };
      }
      return { done: true, value: undefined };
    } catch (error) {
      this.#end();
      throw error;
    } finally {
      this.#steps--;
    }
  }

  /** Waits until the last connection has closed or the iteration has ended. */
  async #waitForConn(): Promise<void> {
    const conn = this.#conn;
    if (conn === undefined) return;
    // The body of the loop has ended.
    handlerSettled(conn);
    await untilAborted(this.#ended.signal, conn.closed);
    // The connection that `signal` closes is closed when the loop ends.
    await this.#closing;
  }

  /** Waits and dials once. Returns undefined when the dial failed or the iteration has ended. */
  async #dialOnce(): Promise<C | undefined> {
    const { signal } = this.#ended;
    await this.#wait();
    if (signal.aborted) return undefined;
    this.#tries++;
    let conn: C | undefined;
    try {
      conn = await this.#dial();
      if (conn !== undefined) await this.#prepareConn(conn);
    } catch (error) {
      await conn?.close(CloseCode.InternalServerErr);
      if (!signal.aborted) this.#failed(error, this.#waitAfter(error, conn !== undefined));
      return undefined;
    }
    if (conn !== undefined && !signal.aborted) return this.#opened(conn);
    await conn?.close();
    return undefined;
  }

  /** Returns undefined at the end of the iteration. A connection that comes later is closed. */
  async #dial(): Promise<C | undefined> {
    const { signal } = this.#ended;
    const dialing = callDial(this.#plan.dial, signal);
    await untilAborted(signal, dialing);
    if (!signal.aborted) return dialing;
    void dialing.then(
      (late) => late.close(),
      () => {},
    );
    return undefined;
  }

  /** @throws (rejects) the error of the work, or the end of the connection before it. */
  async #prepareConn(conn: C): Promise<void> {
    const work = this.#prepare?.(conn) as Partial<PromiseLike<unknown>> | undefined;
    if (typeof work?.then !== 'function') return;
    await untilAborted(this.#ended.signal, Promise.race([work, rejectsAtEnd(conn)]));
  }

  async #wait(): Promise<void> {
    if (this.#delay > 0) {
      this.phase = 'waiting';
      await sleep(this.#delay, this.#ended.signal);
    }
    this.phase = 'connecting';
  }

  /** The wait that an error asks for, in ms; Infinity when another dial cannot succeed. */
  #waitAfter(error: unknown, opened: boolean): number {
    if (error instanceof NotAConn) return Infinity;
    return this.#plan.waitAfter(error, this.#plan.maxDelay, opened);
  }

  /** @throws the error, unless another dial follows. */
  #failed(error: unknown, asked: number): void {
    const { maxDelay, retry } = this.#plan;
    const delay = retryDelay(++this.#waits, this.#plan, Math.random());
    this.#delay = asked === Infinity ? delay : Math.min(maxDelay, asked + delay);
    const again: unknown = retry?.(error, { tries: this.#tries, delay: this.#delay });
    if (again !== undefined && typeof again !== 'boolean') {
      onRejection(again, () => {});
      const got = again instanceof Promise ? 'a promise; it must be synchronous' : kind(again);
      throw new TypeError(`retry: expected true, false or undefined, got ${got}`, { cause: error });
    }
    if (!(again ?? asked < Infinity)) throw error;
  }

  #opened(conn: C): C {
    const openedAt = performance.now();
    this.#conn = conn;
    void conn.closed.then((info) => this.#closed(info, performance.now() - openedAt));
    return conn;
  }

  #closed({ code }: CloseInfo, lasted: number): void {
    this.phase = 'waiting';
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

/**
 * Whether a function of the caller is wrong: another call fails in the same way. `fetch` rejects
 * with a TypeError too, but with the network's error as its cause.
 */
export function isProgrammingError(error: unknown): boolean {
  if (error instanceof ReferenceError || error instanceof SyntaxError) return true;
  return error instanceof TypeError && error.cause === undefined;
}

/** The dial function has returned something else than a connection. */
class NotAConn extends TypeError {
  constructor(result: unknown) {
    super(`dial: expected a promise of a Conn, got ${kind(result)}`);
  }
}

/** @throws (rejects) the error of `dial`, also one that it throws at once. */
async function callDial<C extends Conn>(
  dial: ReconnectPlan<C>['dial'],
  signal: AbortSignal,
): Promise<C> {
  const conn: unknown = await dial({ signal });
  if (conn instanceof Conn) return conn as C;
  throw new NotAConn(conn);
}

/** Rejects when `conn` has closed. */
async function rejectsAtEnd(conn: Conn): Promise<never> {
  const { code, reason, error } = await conn.closed;
  throw error ?? new CloseError(code, reason);
}

/** Waits `ms` milliseconds, or until `signal` aborts. The wait keeps the process alive. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}

/**
 * Waits for `work`, or until `signal` aborts.
 *
 * @throws (rejects) the error of `work`. An error after the abort is ignored.
 */
export async function untilAborted(signal: AbortSignal, work: unknown): Promise<void> {
  let done!: () => void;
  const aborted = new Promise<void>((resolve) => {
    done = resolve;
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', done);
  });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', done);
  }
}
