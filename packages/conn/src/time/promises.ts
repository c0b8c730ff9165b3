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
 * Returns the promise of a failed call. The promise is marked as handled, and rejects when
 * {@link atEnd} says. An error of a close gets the stack of this call.
 *
 * @param end - The common cause of such failures, for {@link atEnd}: `reason`, if all calls get the same
 *   reason; otherwise the object that refuses the calls.
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
 * As {@link rejected}. Also calls `report` in a later turn, unless code awaits the promise by then:
 * otherwise nothing would show the failure.
 */
export function refused(reason: unknown, end: object, report: () => void): CallPromise<never> {
  const promise = new CallPromise<never>();
  promise.reason = reason;
  atEnd(end, () => promise.reject(reason));
  promise.unlessAwaited(report);
  return promise;
}

/**
 * Returns the promise of a call that has nothing to do after a normal `end`. The promise resolves when
 * {@link atEnd} says.
 */
export function resolvedAt<T>(end: object, value: () => T | Promise<T>): Promise<T> {
  return new Promise<T>((resolve) => {
    atEnd(end, () => resolve(value()));
  });
}

/** Each `end` for which a call has settled at once. Further calls settle in a later turn. */
const usedEnds = new WeakSet<object>();

/**
 * Calls `settle`: at once for the first call with this `end`, in a later turn for all further calls. So
 * a loop of such calls does not block timers and I/O.
 */
function atEnd(end: unknown, settle: () => void): void {
  const isObject = (typeof end === 'object' && end !== null) || typeof end === 'function';
  if (!isObject || usedEnds.has(end)) return inLaterTurn(settle);
  usedEnds.add(end);
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
