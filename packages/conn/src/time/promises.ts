import { CloseError, CloseSentError } from '../errors.ts';
import { inLaterTurn } from '../platform/later-turns.ts';
import { CallPromise } from './call-promise.ts';

/**
 * The shared resolved promise that every write returns while there is room. It saves an allocation
 * per write.
 */
export const RESOLVED: Promise<void> = Promise.resolve();

const ignore = (): void => {};

/**
 * Marks a promise. Its rejection is not reported as unhandled. Callers that await it still get the
 * rejection.
 */
export function markHandled<T>(promise: Promise<T>): Promise<T> {
  // A CallPromise is always marked. This call is no wait for it.
  if (!(promise instanceof CallPromise)) promise.then(ignore, ignore);
  return promise;
}

/**
 * The promise of a call that fails. It is marked, and rejects as {@link atEnd} says. The
 * error of a close names the line of the call: the close has created it.
 *
 * @param end - Why such calls fail: `reason`, if all of them have the same; otherwise the object
 *   that refuses them.
 */
export function rejected<T = never>(reason: unknown, end: unknown = reason): Promise<T> {
  nameCaller(reason);
  return markHandled(
    new Promise<T>((_, reject) => {
      atEnd(end, () => reject(reason));
    }),
  );
}

function nameCaller(reason: unknown): void {
  try {
    const isOfClose = reason instanceof CloseError || reason instanceof CloseSentError;
    if (isOfClose) Error.captureStackTrace?.(reason, rejected);
  } catch {
    // The application has thrown a Proxy, or a frozen error.
  }
}

/**
 * As {@link rejected}. Calls `report` in a later turn of the event loop unless code awaits the promise by
 * then. The failure has no other trace.
 */
export function refused(reason: unknown, end: object, report: () => void): CallPromise<never> {
  const promise = new CallPromise<never>();
  promise.reason = reason;
  atEnd(end, () => promise.reject(reason));
  promise.unlessAwaited(report);
  return promise;
}

/**
 * The promise of a call that has nothing to do, because a normal `end` came before. It resolves when
 * {@link atEnd} calls `settle`.
 */
export function resolvedAt<T>(end: object, value: () => T | Promise<T>): Promise<T> {
  return new Promise<T>((resolve) => {
    atEnd(end, () => resolve(value()));
  });
}

/** The cause that has made a call settle. */
const ends = new WeakSet<object>();

/**
 * Calls `settle` at once for the first call that settles because of `end`. From the second call on it
 * calls `settle` in a later turn of the event loop. A loop over such calls blocks no other work.
 */
function atEnd(end: unknown, settle: () => void): void {
  const isObject = (typeof end === 'object' && end !== null) || typeof end === 'function';
  if (!isObject || ends.has(end)) return inLaterTurn(settle);
  ends.add(end);
  settle();
}

/**
 * A promise with its `resolve` and `reject`. It is marked only when it is rejected. Most
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

  /** If `value` is a promise that may reject, mark `promise` too. */
  resolve(value: T | PromiseLike<T>): void {
    this.#resolve(value);
  }

  reject(reason: unknown): void {
    void markHandled(this.promise);
    this.#reject(reason);
  }
}
