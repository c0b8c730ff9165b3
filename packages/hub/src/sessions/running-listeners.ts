import type { Platform } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';

/** Counts the calls of listeners whose promise is pending. */
export class RunningListeners {
  /** Number of pending calls. */
  count = 0;
  /** Number of pending calls that began before the close of the hub, by event. */
  readonly early: Map<string, number> = new Map();
  /** Resolves when no call is pending. */
  #idle: Deferred<void> | undefined;

  /**
   * Counts `work` until it settles. `work` must not reject.
   *
   * @param event - What called the listener, for {@link early}; undefined for a later call.
   */
  add(work: Promise<unknown>, event: string | undefined): Promise<unknown> {
    this.count++;
    this.#countEarly(event, 1);
    return work.finally(() => {
      this.count--;
      this.#countEarly(event, -1);
      if (this.count === 0) this.#idle?.resolve();
    });
  }

  #countEarly(event: string | undefined, change: number): void {
    if (event === undefined) return;
    const count = (this.early.get(event) ?? 0) + change;
    if (count > 0) this.early.set(event, count);
    else this.early.delete(event);
  }

  /** Resolves when no call is pending, or after `ms`. */
  async untilIdle(platform: Platform, ms: number): Promise<void> {
    if (this.count === 0 || ms <= 0) return;
    const idle = new Deferred<void>();
    this.#idle = idle;
    const cancel = platform.setTimer(ms, () => idle.resolve(), true);
    await idle.promise;
    cancel();
  }

  /** Ends {@link untilIdle}. */
  stopWaiting(): void {
    this.#idle?.resolve();
  }
}

/** The error that says why `hub.close()` waits: for pending calls of the listeners of events. */
export function waitError(early: ReadonlyMap<string, number>): Error {
  const names = Array.from(early, ([event, count]) => `${count} of ${event}`).join(', ');
  return new Error(
    `hub.close() waits for listeners that have not settled (${names}); in a listener, write void hub.close(): with await each waits for the other until timeout`,
  );
}
