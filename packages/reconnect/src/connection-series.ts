import { BackpressureError, CloseError, type CloseInfo, type ConnLike } from '@ws/conn';
import {
  addAbortListener,
  Deferred,
  internalsOf,
  isConnLike,
  isThenable,
  kind,
  markHandled,
  onRejection,
  RESOLVED,
  removeAbortListener,
} from '@ws/conn/internal';
import type { ReconnectPlan } from './options.ts';
import { retryDelay } from './retry-delay.ts';
import { onPageWake, sleep, untilAborted } from './waits.ts';

/**
 * For this time in ms after a page wakes, dials do not wait for their delay. A page may notice the end
 * of its connection after the wake: in Chromium 7 ms after a return from the back/forward cache.
 */
const WAKE_MS = 1_000;
/** The same after {@link ConnectionSeries.wake}: a question of 5 s may find that the connection is dead. */
const WOKEN_MS = 6_000;
/** Age in ms from which `reconnect` or a wake of the page gives up a dial. */
const OLD_DIAL_MS = 2_000;
/** Possible codes of a connection that this end closes with 1000, or terminates. */
const OWN_ENDS: readonly number[] = [1000, 1005, 1006];

/** The state of a {@link ConnectionSeries} without an open connection. */
export type Phase = 'connecting' | 'waiting';

/**
 * Prepares a connection between its dial and its delivery. An error counts as a failed dial. `signal`
 * aborts when the connection is no longer wanted.
 */
export type Prepare<C> = (conn: C, signal: AbortSignal) => unknown;

/**
 * One connection after the other: the next dial follows when the last connection has closed. Calls
 * of `next` wait for each other; `return` does not wait.
 */
export class ConnectionSeries<C extends ConnLike> implements AsyncIterableIterator<C, undefined> {
  /** The state of the pending call of `next`. */
  phase: Phase = 'connecting';
  readonly #plan: ReconnectPlan<C>;
  readonly #prepare: Prepare<C> | undefined;
  readonly #conns: AsyncGenerator<C, undefined>;
  /** Aborts when no further connection is delivered. */
  readonly #ended = new AbortController();
  /** Aborts when the connection of the current dial is no longer wanted. */
  #dialing = new AbortController();
  /** When the current dial began, by `performance.now()`; Infinity without one. */
  #dialedAt = Infinity;
  /** The connection that the current dial has opened, and that is being prepared. */
  #preparing: C | undefined;
  /** Whether a connection was delivered. */
  #wasOpen = false;
  /** The last delivered connection; undefined after `reconnect` has replaced it. */
  #conn: C | undefined;
  /** Resolves when that connection has closed. */
  #closed: Promise<unknown> = RESOLVED;
  /** Resolves when `reconnect` replaces that connection: the next dial does not wait for its end. */
  #replaced = new Deferred<void>();
  /** Set when `signal` closes a connection; settles when that connection has closed. */
  #closing: Promise<unknown> = RESOLVED;
  /** Number of dials since the start, or since the last connection that lasted `maxDelay`. */
  #tries = 0;
  /** Number of waits since the same time. */
  #waits = 0;
  /** Milliseconds to wait before the next dial. */
  #delay = 0;
  /** Until this time, by `performance.now()`, the next dial does not wait for its delay. */
  #noDelayUntil = -Infinity;
  /** Resolves at {@link wake}; undefined unless asleep. */
  #awake: Deferred<void> | undefined;
  #removeWake: (() => void) | undefined;
  /** Whether the next dial waits for nothing. */
  #dialsNow = false;
  /** Ends the wait before a dial. */
  #endWait = (): void => {};

  constructor(plan: ReconnectPlan<C>, prepare?: Prepare<C>) {
    this.#plan = plan;
    this.#prepare = prepare;
    this.#conns = this.#run();
  }

  /** Aborts when no further connection is delivered. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<C, undefined>> {
    return markHandled(this.#conns.next());
  }

  /** Cancels a dial or a wait. An open connection stays open. */
  return(): Promise<IteratorResult<C, undefined>> {
    this.#stop();
    void this.#conns.return(undefined);
    return Promise.resolve({ done: true, value: undefined });
  }

  /**
   * Dials at once: ends a wait, or gives up a dial that is older than {@link OLD_DIAL_MS}. The waits
   * start from `minDelay` again.
   *
   * @param replaces - Whether the caller closes the open connection with 1000, which is then no stop
   *   code. The next dial does not wait for the end of that connection. The delivery of the next
   *   connection does.
   */
  dialNow(replaces: boolean): void {
    this.#tries = this.#waits = 0;
    this.#dialsNow ||= replaces || this.phase === 'waiting' || this.#giveUpOldDial();
    if (replaces) {
      this.#conn = undefined;
      this.phase = 'connecting';
      this.#replaced.resolve();
    }
    this.#endWait();
  }

  /** Until {@link wake} there is no dial. The open connection stays, and so does one that is prepared. */
  sleep(): void {
    if (this.#awake !== undefined || this.#ended.signal.aborted) return;
    this.#awake = new Deferred();
    if (this.#preparing === undefined) this.#dialing.abort();
    this.#endWait();
    for (const conn of this.#openConns()) internalsOf(conn).sleep?.();
  }

  /** Asks whether the open connection lives. Ends a wait. The waits start from `minDelay` again. */
  wake(): void {
    this.#tries = this.#waits = 0;
    this.#dialsNow ||= this.phase === 'waiting';
    if (this.#preparing === undefined) this.#dialsNow ||= this.#giveUpOldDial();
    this.#endWait();
    this.#noDelayUntil = performance.now() + WOKEN_MS;
    this.#awake?.resolve();
    this.#awake = undefined;
    for (const conn of this.#openConns()) internalsOf(conn).wake?.();
  }

  #openConns(): C[] {
    return [this.#preparing, this.#conn].filter((conn): conn is C => conn?.state === 'open');
  }

  async *#run(): AsyncGenerator<C, undefined> {
    const { signal } = this.#ended;
    try {
      for (this.#listen(); !signal.aborted; this.#listen()) {
        await this.#wait();
        const conn = signal.aborted ? undefined : await this.#dialOnce();
        this.#dialedAt = Infinity;
        this.#preparing = undefined;
        if (conn === undefined) continue;
        try {
          yield conn;
        } finally {
          // The body of the loop has ended.
          internalsOf(conn).connHandlerSettled?.();
        }
        this.#listen();
        await untilAborted(signal, Promise.race([this.#closed, this.#replaced.promise]));
        // If `signal` closes the connection, the loop ends after the connection.
        await this.#closing;
      }
    } finally {
      this.#stop();
    }
    return undefined;
  }

  /** Returns undefined when the dial failed, was given up, or the iteration has ended. */
  async #dialOnce(): Promise<C | undefined> {
    this.#tries++;
    this.#dialing = new AbortController();
    this.#dialedAt = performance.now();
    const { signal } = this.#dialing;
    let conn: C | undefined;
    let closed: Promise<CloseInfo>;
    try {
      conn = await this.#dial(signal);
      if (conn === undefined) return undefined;
      this.#preparing = conn;
      ({ closed } = internalsOf(conn));
      await this.#prepareConn(conn, closed, signal);
      // Waits for the end of the connection that this one replaces.
      if (this.#wasOpen && this.#conn === undefined) await untilAborted(signal, this.#closed);
    } catch (error) {
      if (conn !== undefined && (await this.#closesWithStopCode(conn, error, signal))) this.#stop();
      if (!signal.aborted) this.#failed(error, this.#extraDelay(error, conn !== undefined));
      return undefined;
    }
    if (!signal.aborted) return this.#opened(conn, closed);
    const closing = conn.close();
    // The next dial does not wait for the close of an abandoned connection.
    if (this.#ended.signal.aborted) await closing;
    else void markHandled(closing);
    return undefined;
  }

  /** Returns undefined when `signal` has aborted. Then closes a connection that comes later. */
  async #dial(signal: AbortSignal): Promise<C | undefined> {
    const dialing = callDial(this.#plan.dial, signal);
    await untilAborted(signal, dialing);
    if (!signal.aborted) return dialing;
    void dialing.then(
      (late) => void markHandled(late.close()),
      () => {},
    );
    return undefined;
  }

  /** Gives up a dial that is too old; another one follows. Returns whether there was one. */
  #giveUpOldDial(): boolean {
    const isOld = performance.now() - this.#dialedAt >= OLD_DIAL_MS;
    if (isOld) this.#dialing.abort();
    return isOld;
  }

  /** @throws (rejects) the error of {@link Prepare}, or of a connection that ends before. */
  async #prepareConn(conn: C, closed: Promise<CloseInfo>, signal: AbortSignal): Promise<void> {
    const work = this.#prepare?.(conn, signal) as Partial<PromiseLike<unknown>> | undefined;
    if (typeof work?.then !== 'function') return;
    await untilAborted<unknown>(signal, Promise.race([work, rejectsAtEnd(closed)]));
  }

  /** Closes `conn` after an error of {@link Prepare}. Returns whether a stop code had ended it. */
  async #closesWithStopCode(conn: C, error: unknown, signal: AbortSignal): Promise<boolean> {
    const wasOpen = conn.state === 'open';
    const closing = internalsOf(conn).closeAfterError(error);
    let info = await untilAborted(signal, closing);
    if (this.#ended.signal.aborted) info = await closing;
    return !wasOpen && info !== undefined && this.#plan.stopCodes.has(info.code);
  }

  async #wait(): Promise<void> {
    const { signal } = this.#ended;
    const justWoke = performance.now() < this.#noDelayUntil;
    if (this.#delay > 0 && !justWoke && !this.#dialsNow && this.#awake === undefined) {
      this.phase = 'waiting';
      await sleep(this.#delay, signal, (wake) => {
        this.#endWait = wake;
      });
    }
    while (this.#awake !== undefined && !signal.aborted) {
      this.phase = 'waiting';
      await untilAborted(signal, this.#awake.promise);
    }
    if (this.#dialsNow) this.#tries = this.#waits = 0;
    this.#dialsNow = false;
    this.#noDelayUntil = -Infinity;
    this.phase = 'connecting';
  }

  /** See `ReconnectPlan.extraDelay`. */
  #extraDelay(error: unknown, opened: boolean): number {
    if (NotAConn.is(error)) return Infinity;
    return this.#plan.extraDelay(error, this.#plan.maxDelay, opened, this.#wasOpen);
  }

  /** @throws the error, unless another dial follows. */
  #failed(error: unknown, extra: number): void {
    const { maxDelay, retry } = this.#plan;
    const delay = retryDelay(++this.#waits, this.#plan, Math.random());
    this.#delay = extra === Infinity ? delay : Math.min(Math.max(maxDelay, extra), extra + delay);
    const again = checkRetry(retry?.(error, { tries: this.#tries, delay: this.#delay }), error);
    if (!(again ?? extra < Infinity)) throw error;
  }

  #opened(conn: C, closed: Promise<CloseInfo>): C {
    const openedAt = performance.now();
    this.#wasOpen = true;
    this.#conn = conn;
    this.#replaced = new Deferred();
    this.#closed = closed.then((info) => this.#onEnd(conn, info, performance.now() - openedAt));
    return conn;
  }

  #onEnd(conn: C, { code, error }: CloseInfo, lasted: number): void {
    // After a BackpressureError of this end, the next connection follows.
    const isStop = this.#plan.stopCodes.has(code) && !(error instanceof BackpressureError);
    if (this.#conn !== conn) {
      // `reconnect` has replaced `conn`. A stop code of the peer counts until the next one opens.
      if (isStop && !OWN_ENDS.includes(code) && this.#conn === undefined) this.#stop();
      return;
    }
    this.phase = 'waiting';
    // A connection that did not last counts as a failed dial, so that the waits grow.
    if (lasted >= this.#plan.maxDelay) this.#tries = this.#waits = 0;
    this.#delay = retryDelay(++this.#waits, this.#plan, Math.random());
    if (isStop) this.#stop();
    // Without another call of `next`, the listeners would never be removed.
    this.#unlisten();
  }

  #listen(): void {
    const { signal } = this.#plan;
    if (this.#ended.signal.aborted) return;
    this.#removeWake ??= onPageWake(() => {
      this.#noDelayUntil = Math.max(this.#noDelayUntil, performance.now() + WAKE_MS);
      // The option `alive` of a page checks an open connection.
      if (this.#preparing === undefined) this.#giveUpOldDial();
    });
    if (signal === undefined) return;
    if (signal.aborted) this.#onAbort();
    else addAbortListener(signal, this.#onAbort);
  }

  #unlisten(): void {
    this.#removeWake?.();
    this.#removeWake = undefined;
    const { signal } = this.#plan;
    if (signal !== undefined) removeAbortListener(signal, this.#onAbort);
  }

  readonly #onAbort = (): void => {
    this.#stop();
    void this.#conn?.close();
    this.#closing = this.#closed;
  };

  #stop(): void {
    this.#ended.abort();
    this.#dialing.abort();
    this.#unlisten();
  }
}

/** The error for the result of a dial function, if that is no connection. */
class NotAConn extends TypeError {
  static is(error: unknown): boolean {
    try {
      return error instanceof NotAConn;
    } catch {
      // A trap of a Proxy.
      return false;
    }
  }

  constructor(result: unknown) {
    super(`dial: expected a promise of a Conn, got ${kind(result)}`);
  }
}

/** @throws (rejects) the error of `dial`; NotAConn for another result. */
async function callDial<C extends ConnLike>(
  dial: ReconnectPlan<C>['dial'],
  signal: AbortSignal,
): Promise<C> {
  const conn: unknown = await dial({ signal });
  if (isConnLike(conn)) return conn as C;
  throw new NotAConn(conn);
}

/** Rejects when a connection has closed. */
async function rejectsAtEnd(closed: Promise<CloseInfo>): Promise<never> {
  const { code, reason, error } = await closed;
  throw error ?? new CloseError(code, reason);
}

/** @throws TypeError for a result of the option `retry` that is neither a boolean nor undefined. */
export function checkRetry(again: unknown, cause: unknown): boolean | undefined {
  if (again === undefined || typeof again === 'boolean') return again;
  onRejection(again, () => {});
  const got = isThenable(again) ? 'a promise; it must be synchronous' : kind(again);
  throw new TypeError(`retry: expected true, false or undefined, got ${got}`, { cause });
}
