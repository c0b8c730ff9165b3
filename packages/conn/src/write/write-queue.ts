import { Deferred, handled } from '../time/promises.ts';

interface Waiting {
  readonly promise: Promise<unknown>;
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
  #waiting: Waiting[] = [];
  readonly #startFailed: (error: unknown) => void;
  /** Index of the first waiting write. `shift` would be slow, since very many writes may wait. */
  #first = 0;

  /** @param startFailed - Called when a write fails as it begins; its promise rejects too. */
  constructor(startFailed: (error: unknown) => void) {
    this.#startFailed = startFailed;
  }

  get length(): number {
    return this.#waiting.length - this.#first;
  }

  get empty(): boolean {
    return this.#first === this.#waiting.length;
  }

  /**
   * Adds a write and runs `start` when the write is the first in the queue. Calls `drop` when the
   * write is rejected before that.
   */
  enqueue<T>(size: number, start: () => T | PromiseLike<T>, drop?: () => void): Promise<T> {
    const started = new Deferred<T>();
    this.bytes += size;
    this.#waiting.push({
      promise: started.promise,
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
    const next = this.#waiting[this.#first];
    if (next === undefined) return;
    this.#first++;
    if (this.empty) this.#clear();
    this.bytes -= next.size;
    next.start();
  }

  rejectAll(error: unknown): void {
    const waiting = this.#waiting.slice(this.#first);
    this.bytes = 0;
    this.#clear();
    for (const one of waiting) one.reject(error);
  }

  /**
   * Removes the write that returned `promise` and rejects it with `reason`. No effect when the
   * write has begun.
   */
  cancel(promise: Promise<unknown>, reason: unknown): void {
    const at = this.#waiting.findIndex((one, i) => i >= this.#first && one.promise === promise);
    if (at < 0) return;
    const [one] = this.#waiting.splice(at, 1);
    this.bytes -= one!.size;
    one!.reject(reason);
  }

  #clear(): void {
    this.#waiting = [];
    this.#first = 0;
  }
}
