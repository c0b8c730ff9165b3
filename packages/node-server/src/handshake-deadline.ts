import { schedulerOf, type TimerEntry } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';

/** The time that one handshake has, from its request to its answer. */
export class HandshakeDeadline implements TimerEntry {
  /** Maintained by the timers of the process. */
  slot: number | undefined = undefined;
  #timeout: number;
  readonly #startedAt: number;
  readonly #onExpired: () => void;

  /**
   * @param timeout - Milliseconds; Infinity for no bound.
   * @param onExpired - Called when the timer of {@link start} expires.
   * @param startedAt - By `performance.now()`.
   */
  constructor(timeout: number, onExpired: () => void, startedAt: number) {
    this.#timeout = timeout;
    this.#startedAt = startedAt;
    this.#onExpired = onExpired;
  }

  /** Milliseconds; Infinity for no bound. */
  get timeout(): number {
    return this.#timeout;
  }

  /** Replaces the timeout. The new one, too, counts from the start. */
  set timeout(timeout: number) {
    this.#timeout = timeout;
    if (this.slot === undefined) return;
    this.stop();
    this.start();
  }

  /** Milliseconds left, 0 or more; Infinity for no bound. */
  get remaining(): number {
    return Math.max(this.timeout - (performance.now() - this.#startedAt), 0);
  }

  /** Starts the timer, with the time that remains, unless it runs already. */
  start(): void {
    if (this.timeout === Infinity || this.slot !== undefined) return;
    schedulerOf(nodePlatform).timers.set(this, this.remaining, true);
  }

  stop(): void {
    schedulerOf(nodePlatform).timers.clear(this);
  }

  /** The timer has expired. */
  fire(): void {
    this.#onExpired();
  }
}
