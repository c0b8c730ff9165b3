/** The promise of a call. It is never reported as unhandled: {@link isAwaited} says whether code waits for it. */
export class CallPromise extends Promise<unknown> {
  /** `then` and `catch` return plain promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  isAwaited = false;
  readonly resolve: (value: unknown) => void;
  readonly #reject: (reason: unknown) => void;

  constructor() {
    let ends: readonly ((value: unknown) => void)[] = [];
    super((resolve, reject) => {
      ends = [resolve, reject];
    });
    this.resolve = ends[0]!;
    this.#reject = ends[1]!;
  }

  /** `await`, `catch` and `Promise.all` call this on a subclass of Promise. */
  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  override then<Result = unknown, Caught = never>(
    onfulfilled?: ((value: unknown) => Result | PromiseLike<Result>) | null,
    onrejected?: ((reason: unknown) => Caught | PromiseLike<Caught>) | null,
  ): Promise<Result | Caught> {
    this.isAwaited = true;
    return super.then(onfulfilled, onrejected);
  }

  reject(reason: unknown): void {
    super.then(undefined, () => {});
    this.#reject(reason);
  }
}
