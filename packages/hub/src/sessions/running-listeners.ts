import type { Platform } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';

/** Counts the calls of listeners whose promise is pending. */
export class RunningListeners {
  /** Number of pending calls. */
  count = 0;
  /** Number of pending calls that began before the close of the hub. */
  early = 0;
  /** Resolves when no call is pending. */
  #idle: Deferred<void> | undefined;

  /** Counts `work` until it settles. `work` must not reject. */
  add(work: Promise<unknown>, isEarly: boolean): Promise<unknown> {
    this.#addToCounts(1, isEarly);
    return work.finally(() => {
      this.#addToCounts(-1, isEarly);
      if (this.count === 0) this.#idle?.resolve();
    });
  }

  #addToCounts(change: number, isEarly: boolean): void {
    this.count += change;
    if (isEarly) this.early += change;
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

/** The error that says why `hub.close()` waits. */
export function waitError(count: number): Error {
  const what = count === 1 ? '1 listener that has' : `${count} listeners that have`;
  return new Error(
    `hub.close() waits for ${what} not settled; in a listener, call it without await: each would wait for the other until timeout`,
  );
}
