import {
  addAbortListener,
  Deferred,
  portablePlatform,
  removeAbortListener,
  TimeoutError,
} from '@ws/conn/parts';
import type { Wait } from './options.ts';

/** One bounded wait. */
export interface Pending {
  readonly id: string;
  readonly deferred: Deferred<unknown>;
  readonly wait: Wait;
  /** The time of its end, on the platform's clock. */
  readonly until: number;
  readonly missing: () => string;
  readonly finish: (value: never) => unknown;
  readonly aborted: () => void;
}

const ignore = (): void => {};

/**
 * Promises that reject when their time is over. All share one timer, which outlives them: most end
 * long before it, and to set and clear a timer costs more than the rest of a call.
 */
export class Waits {
  /**
   * In the order of their start: most answers come in the order of the requests, and are for the
   * first. An object with ids as keys takes three times as long. The tables of a Map, one after the
   * other, keep all later ones alive until a full collection.
   */
  readonly #pending: Pending[] = [];
  /** When the timer fires. */
  #due = Infinity;
  #cancel = ignore;

  /**
   * Starts a wait. Its promise resolves with `finish(value)` by {@link settle}. It rejects with a
   * TimeoutError, with the reason of the signal, or by {@link reject}.
   *
   * @param missing - Returns what does not come, for the message of the TimeoutError.
   * @throws the reason of a signal that has aborted.
   */
  add(id: string, wait: Wait, missing: () => string, finish: (value: never) => unknown): Pending {
    const { signal, timeout } = wait;
    const pending: Pending = {
      id,
      deferred: new Deferred(),
      wait,
      until: portablePlatform.now() + timeout,
      missing,
      finish,
      aborted: signal ? () => this.reject(pending, signal.reason) : ignore,
    };
    if (signal) {
      signal.throwIfAborted();
      addAbortListener(signal, pending.aborted);
    }
    this.#pending.push(pending);
    if (pending.until < this.#due) this.#check();
    return pending;
  }

  has(pending: Pending): boolean {
    return this.#pending.lastIndexOf(pending) >= 0;
  }

  /** Resolves the promise with this id, if there is one. */
  settle(id: string, value: unknown): void {
    const pending = this.#remove(this.#pending.findIndex((each) => each.id === id));
    try {
      pending?.deferred.resolve(pending.finish(value as never));
    } catch (error) {
      pending?.deferred.rejectWithCaller(error as Error);
    }
  }

  /** Rejects the promise of a wait that is not over. */
  reject(pending: Pending, reason: unknown): void {
    if (this.#remove(this.#pending.lastIndexOf(pending))) pending.deferred.reject(reason);
  }

  /** Rejects all promises. */
  end(reason: unknown): void {
    for (const pending of this.#pending.slice()) this.reject(pending, reason);
    this.#check();
  }

  /** @param at - The place of the wait, -1 for one that is over. */
  #remove(at: number): Pending | undefined {
    if (at < 0) return undefined;
    const [pending] = this.#pending.splice(at, 1);
    const { signal } = pending!.wait;
    if (signal) removeAbortListener(signal, pending!.aborted);
    return pending;
  }

  /** Ends what is over, and sets the timer for the next. */
  #check(): void {
    const now = portablePlatform.now();
    this.#cancel();
    this.#due = Infinity;
    for (const pending of this.#pending.slice()) {
      const { until, missing, wait } = pending;
      if (until > now) this.#due = Math.min(this.#due, until);
      else {
        const text = `${missing()} for ${wait.timeout} ms (option timeout)`;
        this.reject(pending, new TimeoutError(text));
      }
    }
    if (this.#due < Infinity) {
      this.#cancel = portablePlatform.setTimer(this.#due - now, () => this.#check());
    }
  }
}
