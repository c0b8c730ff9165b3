import { inLaterTurn } from '../platform/later-turns.ts';

/**
 * The promise of a call. It knows whether code awaits it, and its rejection is not reported as
 * unhandled.
 */
export class CallPromise<T = unknown> extends Promise<T> {
  /** `then` and `catch` return plain promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  isAwaited = false;
  /** Whether {@link reject} was called. */
  isRejected = false;
  /** The reason of a refused call, set before the promise rejects. See `refused`. */
  reason: unknown;
  readonly resolve: (value: T | PromiseLike<T>) => void;
  readonly #reject: (reason: unknown) => void;

  constructor() {
    let resolvePromise!: (value: T | PromiseLike<T>) => void;
    let rejectPromise!: (reason: unknown) => void;
    super((resolve, reject) => {
      resolvePromise = resolve;
      rejectPromise = reject;
    });
    this.resolve = resolvePromise;
    this.#reject = rejectPromise;
    super.then(undefined, () => {});
  }

  /** `await`, `catch` and `Promise.all` call this on a subclass of Promise. */
  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  override then<Result = T, Caught = never>(
    onfulfilled?: ((value: T) => Result | PromiseLike<Result>) | null,
    onrejected?: ((reason: unknown) => Caught | PromiseLike<Caught>) | null,
  ): Promise<Result | Caught> {
    this.isAwaited = true;
    return super.then(onfulfilled, onrejected);
  }

  /** @param report - Called as in {@link unlessAwaited}, with the code or name of the error. */
  reject(reason: unknown, report?: (kind: string) => void): void {
    this.isRejected = true;
    this.#reject(reason);
    if (report === undefined || this.isAwaited) return;
    const { code, name } = Object(reason) as { code?: unknown; name?: unknown };
    this.unlessAwaited(() => report(String(code ?? name)));
  }

  /** Calls `report` in a later turn unless code awaits this promise by then. */
  unlessAwaited(report: () => void): void {
    inLaterTurn(() => {
      if (!this.isAwaited) report();
    });
  }
}
