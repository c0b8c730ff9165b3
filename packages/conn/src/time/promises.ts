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
  promise.then(ignore, ignore);
  return promise;
}

/** A promise that is rejected and marked as handled. */
export function rejected<T = never>(reason: unknown): Promise<T> {
  return handled(Promise.reject<T>(reason));
}

/**
 * A promise that is rejected in a later turn of the event loop, and marked as handled. It is for
 * calls after the end of a connection: a loop that ignores the error then blocks no other work of
 * the process.
 */
export function rejectedLater<T = never>(
  platform: { yield(callback: () => void): void },
  reason: unknown,
): Promise<T> {
  return handled(
    new Promise<T>((_, reject) => {
      platform.yield(() => reject(reason));
    }),
  );
}

/** A promise that resolves in a later turn of the event loop, see {@link rejectedLater}. */
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
