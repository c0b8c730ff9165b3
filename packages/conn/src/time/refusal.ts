import { type Platform, perPlatform } from '../platform/platform.ts';

/**
 * The promise of a call that is refused at once. It rejects in a later turn of the event loop, so a
 * loop that retries blocks no other work of the process. Its rejection is never reported as
 * unhandled.
 */
export class Refusal<T = never> extends Promise<T> {
  /** `then` and `catch` return plain promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  readonly reason: unknown;
  readonly #reject: (reason: unknown) => void;
  readonly #ignored: (() => void) | undefined;
  #awaited = false;

  /** See {@link rejectedLater}. */
  constructor(reason: unknown, ignored: (() => void) | undefined) {
    let rejectPromise!: (reason: unknown) => void;
    super((_, reject) => {
      rejectPromise = reject;
    });
    this.reason = reason;
    this.#reject = rejectPromise;
    this.#ignored = ignored;
  }

  /** `await`, `catch` and `Promise.all` call this on a subclass of Promise. */
  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  override then<Result = T, Caught = never>(
    onfulfilled?: ((value: T) => Result | PromiseLike<Result>) | null,
    onrejected?: ((reason: unknown) => Caught | PromiseLike<Caught>) | null,
  ): Promise<Result | Caught> {
    this.#awaited = true;
    return super.then(onfulfilled, onrejected);
  }

  /** Calls `callback` after the rejection. This is no wait of a caller. */
  after(callback: () => void): void {
    super.then(undefined, callback);
  }

  /** Rejects the promise, and calls `ignored` when no code waits for the promise. */
  settle(): void {
    if (!this.#awaited) {
      this.after(() => {});
      this.#ignored?.();
    }
    this.#reject(this.reason);
  }
}

/** The refusals of one turn of the event loop. One `yield` serves them all. */
class Refusals {
  readonly #platform: Platform;
  #waiting: Refusal<unknown>[] = [];
  /** The runtime's timers at the last `yield`. Fake timers drop callbacks when they are removed. */
  #scheduledBy: unknown;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  add(refusal: Refusal<unknown>): void {
    this.#waiting.push(refusal);
    if (this.#waiting.length > 1 && this.#scheduledBy === setTimeout) return;
    this.#scheduledBy = setTimeout;
    this.#platform.yield(this.#settleAll);
  }

  readonly #settleAll = (): void => {
    const due = this.#waiting;
    this.#waiting = [];
    for (const refusal of due) refusal.settle();
  };
}

const refusalsOf: (platform: Platform) => Refusals = /* @__PURE__ */ perPlatform(
  (platform) => new Refusals(platform),
);

/**
 * Returns the promise of a call that is refused with `reason`. All packages use this function for
 * calls that fail without a wait and that a caller may retry. All refusals of one turn share one
 * `yield`.
 *
 * @param ignored - Called before the promise rejects when no code waits for the promise.
 *   Never throws.
 */
export function rejectedLater<T = never>(
  platform: Platform,
  reason: unknown,
  ignored?: () => void,
): Refusal<T> {
  const refusal = new Refusal<T>(reason, ignored);
  refusalsOf(platform).add(refusal);
  return refusal;
}
