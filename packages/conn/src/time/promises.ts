/** The one promise that every write returns while there is room: nothing is allocated for it. */
export const done: Promise<void> = Promise.resolve();

const ignore = (): void => {};

/**
 * Marks a promise as handled, so that a caller who looks away causes no unhandled rejection; those who look see the
 * rejection as ever.
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
 * A promise with its two ends. It is marked as handled when it is rejected, not before: most never are, and the mark costs
 * as much as a promise.
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

  /** A promise as the value must not reject, or `promise` needs its own mark. */
  resolve(value: T | PromiseLike<T>): void {
    this.#resolve(value);
  }

  reject(reason: unknown): void {
    void handled(this.promise);
    this.#reject(reason);
  }
}
