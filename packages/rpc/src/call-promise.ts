import { portablePlatform } from '@ws/conn';

/** The promise of a call. A failure that no code awaits is reported. */
export class CallPromise extends Promise<unknown> {
  /** `then` and `catch` return plain promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  #isAwaited = false;
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
    this.#isAwaited = true;
    return super.then(onfulfilled, onrejected);
  }

  /** @param report - Called in a later turn unless code awaits this promise by then, with the kind of the failure. */
  reject(reason: unknown, report?: (kind: string) => void): void {
    super.then(undefined, () => {});
    this.#reject(reason);
    if (report === undefined || this.#isAwaited) return;
    portablePlatform.yield(() => {
      const { code, name } = Object(reason) as { code?: unknown; name?: unknown };
      if (!this.#isAwaited) report(String(code ?? name));
    });
  }
}
