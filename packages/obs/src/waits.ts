import { portablePlatform, TimeoutError } from '@ws/conn';
import { addAbortListener, Deferred, rejected, removeAbortListener } from '@ws/conn/internal';
import type { Wait } from './options.ts';

/** One bounded wait. */
interface Entry {
  readonly deferred: Deferred<unknown>;
  /** The time of its end, on the platform's clock. */
  readonly until: number;
  readonly expired: () => void;
  readonly aborted: () => void;
  readonly signal: AbortSignal | undefined;
  readonly finish: (value: never) => unknown;
}

/**
 * Promises that reject when their time is over. All share one timer, which outlives them: most end
 * long before it, and to set and clear a timer costs more than the rest of a call.
 */
export class Waits {
  /**
   * By id. Not a Map: its tables, one after the other, keep all later ones alive until a full
   * collection, and a call took 1.3 times as long.
   */
  readonly #byId = Object.create(null) as Record<string, Entry>;
  /** When the timer fires. */
  #due = Infinity;
  #cancel = (): void => {};

  /**
   * Returns a promise of `finish(value)`, which {@link settle} resolves. It rejects with a
   * TimeoutError, with the reason of the signal, or by {@link reject}.
   *
   * @param missing - Returns what does not come, for the message of the TimeoutError.
   */
  add<T>(
    id: string,
    { signal, timeout }: Wait,
    missing: () => string,
    finish: (value: never) => T,
  ): Promise<T> {
    if (signal?.aborted) return rejected(signal.reason, signal);
    const deferred = new Deferred<unknown>();
    const until = portablePlatform.now() + timeout;
    const expired = (): void =>
      this.reject(id, new TimeoutError(`${missing()} for ${timeout} ms (option timeout)`));
    const aborted = (): void => this.reject(id, signal?.reason);
    if (signal) addAbortListener(signal, aborted);
    this.#byId[id] = { deferred, until, expired, signal, aborted, finish };
    if (until < this.#due) this.#check();
    return deferred.promise as Promise<T>;
  }

  has(id: string): boolean {
    return id in this.#byId;
  }

  /** Resolves a promise, if there is one with this id. */
  settle(id: string, value: unknown): void {
    const entry = this.#take(id);
    try {
      entry?.deferred.resolve(entry.finish(value as never));
    } catch (error) {
      entry?.deferred.reject(error);
    }
  }

  /** Rejects a promise, if there is one with this id. */
  reject(id: string, reason: unknown): void {
    this.#take(id)?.deferred.reject(reason);
  }

  /** Rejects all promises. */
  end(reason?: unknown): void {
    for (const id in this.#byId) this.reject(id, reason);
    this.#check();
  }

  #take(id: string): Entry | undefined {
    const entry = this.#byId[id];
    delete this.#byId[id];
    if (entry?.signal) removeAbortListener(entry.signal, entry.aborted);
    return entry;
  }

  /** Ends what is over, and sets the timer for the next. */
  #check(): void {
    const now = portablePlatform.now();
    this.#cancel();
    this.#due = Infinity;
    for (const { until, expired } of Object.values(this.#byId)) {
      if (until > now) this.#due = Math.min(this.#due, until);
      else expired();
    }
    if (this.#due < Infinity) {
      this.#cancel = portablePlatform.setTimer(this.#due - now, () => this.#check());
    }
  }
}
