import { inLaterTurns } from '../platform/later-turns.ts';
import type { Platform } from '../platform/platform.ts';
import { schedulerOf } from '../scheduler/scheduler.ts';
import type { TurnTask } from '../scheduler/task-queue.ts';

/**
 * The promise of a call that is refused at once. It rejects in a later turn of the event loop, so a
 * loop that retries blocks no other work of the process. Its rejection is never reported as
 * unhandled.
 */
export class LateRejection<T = never> extends Promise<T> implements TurnTask {
  /** `then` and `catch` return plain promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  awaitsTurn = false;
  readonly reason: unknown;
  readonly #reject: (reason: unknown) => void;
  readonly #ignored: (() => void) | undefined;
  /** Calls that were refused with this promise, and that no code waits for yet. */
  #unawaited = 1;

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
    this.#unawaited--;
    return super.then(onfulfilled, onrejected);
  }

  /** Returns this promise for one more call that is refused with the same reason. */
  again(): this {
    this.#unawaited++;
    return this;
  }

  /** Calls `callback` after the rejection. This is no wait of a caller. */
  after(callback: () => void): void {
    super.then(undefined, callback);
  }

  /** Rejects the promise, and calls `ignored` when no code waits for one of its calls. */
  onTurn(): void {
    if (this.#unawaited > 0) {
      this.after(() => {});
      this.#ignored?.();
    }
    this.#reject(this.reason);
  }
}

/**
 * Returns the promise of a call that is refused with `reason`. It rejects in a later turn of the
 * event loop, so that a loop of retries blocks no other work. All packages use it for calls that a
 * caller may retry.
 *
 * @param ignored - Called before the promise rejects when no code waits for the promise.
 *   Never throws.
 */
export function rejectedLater<T = never>(
  platform: Platform,
  reason: unknown,
  ignored?: () => void,
): LateRejection<T> {
  const rejection = new LateRejection<T>(reason, ignored);
  schedulerOf(platform).laterTurn.add(rejection);
  return rejection;
}

let refused: LateRejection<unknown>[] = [];
/** Refusals for which one turn is asked. Fake timers may lose a turn; a later one rejects all. */
const REFUSALS_A_TURN = 256;
/** The timers that were asked last. Fake ones may have been removed since, with the turn. */
let asked: unknown;
const askTurn = /* @__PURE__ */ inLaterTurns(rejectAll);

/**
 * As {@link rejectedLater} on the portable platform, without its queue and its scheduler: pages do not
 * contain them then.
 */
export function rejectedSoon<T = never>(reason: unknown, ignored?: () => void): LateRejection<T> {
  const rejection = new LateRejection<T>(reason, ignored);
  if (refused.push(rejection) % REFUSALS_A_TURN === 1 || asked !== setTimeout) {
    asked = setTimeout;
    askTurn();
  }
  return rejection;
}

function rejectAll(): void {
  const all = refused;
  refused = [];
  for (const rejection of all) rejection.onTurn();
}
