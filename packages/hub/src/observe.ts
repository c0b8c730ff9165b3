interface Observer<T> {
  fulfilled: ((value: T) => void) | undefined;
  rejected: ((error: unknown) => void) | undefined;
}

/**
 * Observes a promise of the application, which may never settle: the application may keep it for ever.
 *
 * @returns A function that ends the observation. The promise then keeps nothing of the caller.
 */
export function observe<T>(
  promise: PromiseLike<T>,
  fulfilled: (value: T) => void,
  rejected: (error: unknown) => void,
): () => void {
  const observer: Observer<T> = { fulfilled, rejected };
  attach(promise, observer);
  return () => {
    observer.fulfilled = observer.rejected = undefined;
  };
}

/** A separate function: a closure keeps all variables of the function that creates it. */
function attach<T>(promise: PromiseLike<T>, observer: Observer<T>): void {
  // A thenable of the application may throw, or settle twice. A promise does neither.
  Promise.resolve(promise).then(
    (value) => observer.fulfilled?.(value),
    (error: unknown) => observer.rejected?.(error),
  );
}
