import { CloseError, CloseSentError } from '../errors.ts';
import { inLaterTurn } from '../platform/later-turns.ts';
import { CallPromise } from './call-promise.ts';

/** The shared resolved promise that every write returns while there is room. */
export const RESOLVED: Promise<void> = Promise.resolve();

const ignore = (): void => {};

/**
 * Marks a promise as handled: its rejection is not reported as unhandled. Callers that await the
 * promise still get the rejection.
 */
export function markHandled<T>(promise: Promise<T>): Promise<T> {
  // A CallPromise is already marked. It would count this `then` as an await.
  if (!(promise instanceof CallPromise)) promise.then(ignore, ignore);
  return promise;
}

/**
 * Returns the promise of a failed call. The promise is marked as handled, and settles by
 * {@link firstAtOnce}. An error of a close gets the stack of this call.
 *
 * @param origin - The same value for all calls that fail in this way: `reason`, if all get the same
 *   reason; otherwise the object that refuses the calls.
 */
export function rejected<T = never>(reason: unknown, origin: unknown = reason): Promise<T> {
  nameCaller(reason);
  return markHandled(
    new Promise<T>((_, reject) => {
      firstAtOnce(origin, () => reject(reason));
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
 * As {@link rejected}. Also calls `report` in a later turn, unless code awaits the promise by then:
 * otherwise nothing would show the failure.
 */
export function refused(reason: unknown, origin: object, report: () => void): CallPromise<never> {
  const promise = new CallPromise<never>();
  promise.reason = reason;
  firstAtOnce(origin, () => promise.reject(reason));
  promise.unlessAwaited(report);
  return promise;
}

/**
 * Returns the promise of a call that has nothing to do after a normal `end`. The promise settles by
 * {@link firstAtOnce}.
 */
export function resolvedAt<T>(end: object, value: () => T | Promise<T>): Promise<T> {
  return new Promise<T>((resolve) => {
    firstAtOnce(end, () => resolve(value()));
  });
}

/** Each origin for which a call has settled at once. */
const usedOrigins = new WeakSet();

/**
 * Calls `settle`: at once for the first call with this `origin`, in a later turn for all further calls.
 * So a loop of such calls does not block timers and I/O.
 */
function firstAtOnce(origin: unknown, settle: () => void): void {
  const isObject = (typeof origin === 'object' && origin !== null) || typeof origin === 'function';
  if (!isObject || usedOrigins.has(origin)) return inLaterTurn(settle);
  usedOrigins.add(origin);
  settle();
}

/**
 * A promise with its `resolve` and `reject`. Only `reject` marks the promise as handled: the mark costs
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

  /** If `value` is a promise that may reject, the caller must mark {@link promise} as handled. */
  resolve(value: T | PromiseLike<T>): void {
    this.#resolve(value);
  }

  reject(reason: unknown): void {
    void markHandled(this.promise);
    this.#reject(reason);
  }
}
