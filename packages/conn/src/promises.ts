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

/** A promise with its two ends, marked as handled. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T | PromiseLike<T>) => void;
  readonly reject: (reason: unknown) => void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T | PromiseLike<T>) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise: handled(promise), resolve, reject };
}
