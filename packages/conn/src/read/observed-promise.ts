import { Deferred } from '../time/promises.ts';
import type { ReceiveObserver } from './receive-call.ts';

const never = (): void => {};

/**
 * A promise of a handler that ends with its connection. Most are only observed by a server: such a
 * one needs no other promise until it settles.
 */
export class ObservedPromise extends Promise<void> {
  /** `then` and `catch` return plain promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  /** Safe for any value: `instanceof` would call a trap of a Proxy. */
  static is(value: unknown): value is ObservedPromise {
    return typeof value === 'object' && value !== null && #outcome in value;
  }

  /** The promise of the callers that await it. */
  #outcome: Deferred<void> | undefined;
  #observer: ReceiveObserver<object> | undefined;
  #subject: object | undefined;

  constructor() {
    super(never);
  }

  /** `await`, `catch` and `Promise.all` call this on a subclass of Promise. */
  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  override then<Result = void, Caught = never>(
    onfulfilled?: ((value: void) => Result | PromiseLike<Result>) | null,
    onrejected?: ((reason: unknown) => Caught | PromiseLike<Caught>) | null,
  ): Promise<Result | Caught> {
    return this.#deferred().promise.then(onfulfilled, onrejected);
  }

  /** Calls `observer` once with `subject`. A second observer is one that calls `then`. */
  observe<Subject extends object>(observer: ReceiveObserver<Subject>, subject: Subject): void {
    if (this.#observer === undefined && this.#outcome === undefined) {
      this.#observer = observer;
      this.#subject = subject;
    } else {
      this.then(
        () => observer.fulfilled(subject),
        (error: unknown) => observer.rejected(subject, error),
      );
    }
  }

  /** Settles as `result`. */
  settle(result: Promise<void>): void {
    const outcome = this.#deferred();
    const observer = this.#observer;
    const subject = this.#subject!;
    result.then(
      () => {
        outcome.resolve();
        observer?.fulfilled(subject);
      },
      (error: unknown) => {
        outcome.reject(error);
        observer?.rejected(subject, error);
      },
    );
  }

  #deferred(): Deferred<void> {
    this.#outcome ??= new Deferred();
    return this.#outcome;
  }
}
