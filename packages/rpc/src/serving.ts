import { Deferred } from '@ws/conn/internal';

const never = (): void => {};

/** The promise of `serve`. An idle connection keeps no other one: most servers never await it. */
export class Serving extends Promise<void> {
  /** `then` and `catch` return plain promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  #outcome: Deferred<void> | undefined;

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

  /** Settles as `served`. */
  settle(served: Promise<void>): void {
    const outcome = this.#deferred();
    served.then(
      () => outcome.resolve(),
      (error: unknown) => outcome.reject(error),
    );
  }

  #deferred(): Deferred<void> {
    this.#outcome ??= new Deferred();
    return this.#outcome;
  }
}
