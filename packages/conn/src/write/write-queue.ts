import { Deferred, handled } from '../time/promises.ts';

interface Waiting {
  /** Bytes of the write. */
  readonly size: number;
  /** Begins the write, because it is now the first in the queue. */
  start(): void;
  /** Rejects the write before it has begun. */
  reject(error: unknown): void;
}

/**
 * Writes that wait for an open MessageWriter, first in, first out: a message must not begin before
 * the previous one has ended (RFC 6455, section 5.4).
 */
export class WriteQueue {
  /** Bytes of all waiting writes. */
  bytes = 0;
  /** By the promise of the write, in the order of the calls. */
  readonly #waiting = new Map<Promise<unknown>, Waiting>();
  readonly #startFailed: (error: unknown) => void;

  /** @param startFailed - Called when a write fails as it begins; its promise rejects too. */
  constructor(startFailed: (error: unknown) => void) {
    this.#startFailed = startFailed;
  }

  get length(): number {
    return this.#waiting.size;
  }

  get empty(): boolean {
    return this.#waiting.size === 0;
  }

  /**
   * Adds a write and runs `start` when the write is the first in the queue. Calls `drop` when the
   * write is rejected before that.
   */
  enqueue<T>(size: number, start: () => T | PromiseLike<T>, drop?: () => void): Promise<T> {
    const started = new Deferred<T>();
    this.bytes += size;
    this.#waiting.set(started.promise, {
      size,
      start: () => {
        try {
          started.resolve(start());
        } catch (error) {
          this.#startFailed(error);
          started.reject(error);
        }
      },
      reject: (error) => {
        drop?.();
        started.reject(error);
      },
    });
    return handled(started.promise);
  }

  /** Starts the first write. */
  advance(): void {
    for (const [promise, next] of this.#waiting) {
      this.#waiting.delete(promise);
      this.bytes -= next.size;
      next.start();
      return;
    }
  }

  rejectAll(error: unknown): void {
    const waiting = [...this.#waiting.values()];
    this.bytes = 0;
    this.#waiting.clear();
    for (const one of waiting) one.reject(error);
  }

  /**
   * Removes the write that returned `promise` and rejects it with `reason`. No effect when the
   * write has begun.
   */
  cancel(promise: Promise<unknown>, reason: unknown): void {
    const one = this.#waiting.get(promise);
    if (one === undefined) return;
    this.#waiting.delete(promise);
    this.bytes -= one.size;
    one.reject(reason);
  }
}
