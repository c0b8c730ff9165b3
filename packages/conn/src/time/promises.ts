import { LateRejection } from './refusal.ts';

/**
 * The shared resolved promise that every write returns while there is room. It saves an allocation
 * per write.
 */
export const RESOLVED: Promise<void> = Promise.resolve();

const ignore = (): void => {};

/**
 * Marks a promise as handled: its rejection is not reported as unhandled. Callers that await it
 * still get the rejection.
 */
export function handled<T>(promise: Promise<T>): Promise<T> {
  // A LateRejection is always handled, and notes each other call of `then`.
  if (!(promise instanceof LateRejection)) promise.then(ignore, ignore);
  return promise;
}

/**
 * A promise that is rejected and marked as handled: for a mistake in the arguments. A call that a
 * caller may retry returns the promise of {@link rejectedLater}.
 */
export function rejected<T = never>(mistake: unknown): Promise<T> {
  return handled(Promise.reject<T>(mistake));
}

/** A promise that resolves in a later turn of the event loop: a loop of calls blocks no other work. */
export function resolvedLater<T>(
  platform: { yield(callback: () => void): void },
  value: T,
): Promise<T> {
  return new Promise<T>((resolve) => {
    platform.yield(() => resolve(value));
  });
}

/**
 * A promise with its `resolve` and `reject`. It is marked as handled only when it is rejected: most
 * never are, and the mark costs as much as a promise.
 */
export class Deferred<T> {
  readonly promise: Promise<T>;
  #resolve!: (value: T | PromiseLike<T>) => void;
  #reject!: (reason: unknown) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** If `value` is a promise that may reject, mark `promise` as handled too. */
  resolve(value: T | PromiseLike<T>): void {
    this.#resolve(value);
  }

  reject(reason: unknown): void {
    void handled(this.promise);
    this.#reject(reason);
  }

  /**
   * Rejects with an error that an event has created, for example of the transport. Its stack then
   * names the code that awaits the promise, if that is an async function.
   */
  rejectWithCaller(error: Error): void {
    this.#resolve(this.#traced(error));
  }

  /** Captures the stack in a microtask. V8 follows its promise to the async function that awaits. */
  async #traced(error: Error): Promise<never> {
    // The promises are linked after the first microtask. `handled` comes last: it adds a second
    // reaction to the promise, and V8 stops at a promise with two.
    await RESOLVED;
    await RESOLVED;
    Error.captureStackTrace?.(error);
    void handled(this.promise);
    throw error;
  }
}
