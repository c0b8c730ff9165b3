import { Fifo, type FifoEntry } from '../fifo.ts';
import { Deferred, handled } from '../time/promises.ts';

interface Waiting {
  /** Bytes of the write. */
  readonly size: number;
  readonly promise: Promise<unknown>;
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
  readonly #waiting = new Fifo<Waiting>();
  readonly #byPromise = new Map<Promise<unknown>, FifoEntry<Waiting>>();
  readonly #startFailed: (error: unknown) => void;

  /** @param startFailed - Called when a write fails as it begins; its promise rejects too. */
  constructor(startFailed: (error: unknown) => void) {
    this.#startFailed = startFailed;
  }

  get length(): number {
    return this.#waiting.length;
  }

  get empty(): boolean {
    return this.#waiting.length === 0;
  }

  /** The promise of the first write: it changes when that write begins. */
  get first(): Promise<unknown> | undefined {
    return this.#waiting.peek()?.promise;
  }

  /**
   * Adds a write and runs `start` when the write is the first in the queue. Calls `drop` when the
   * write is rejected before that.
   */
  enqueue<T>(size: number, start: () => T | PromiseLike<T>, drop?: () => void): Promise<T> {
    const started = new Deferred<T>();
    const { promise } = started;
    this.bytes += size;
    const entry = this.#waiting.add({
      size,
      promise,
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
    this.#byPromise.set(promise, entry);
    return handled(promise);
  }

  /** Starts the first write. */
  advance(): void {
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#byPromise.delete(next.promise);
    this.bytes -= next.size;
    next.start();
  }

  rejectAll(error: unknown): void {
    const { length } = this;
    this.bytes = 0;
    this.#byPromise.clear();
    for (let i = 0; i < length; i++) this.#waiting.shift()?.reject(error);
  }

  /**
   * Removes the write that returned `promise` and rejects it with `reason`. No effect when the
   * write has begun.
   */
  cancel(promise: Promise<unknown>, reason: unknown): void {
    const entry = this.#byPromise.get(promise);
    if (entry === undefined) return;
    this.#byPromise.delete(promise);
    this.#waiting.remove(entry);
    this.bytes -= entry.value.size;
    entry.value.reject(reason);
  }
}
