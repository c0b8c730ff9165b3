import type { Platform } from '@ws/conn';
import { schedulerOf, type TimerEntry } from '@ws/conn/internal';

/** Ms without a settled handler after which a stall is reported. After twice this time it has lasted. */
const STALL_MS = 5_000;

/** The time since a handler has settled, while messages wait for a place. */
export class Stall implements TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  readonly #platform: () => Platform;
  readonly #onTime: (hasLasted: boolean) => void;
  #timers: ReturnType<typeof schedulerOf>['timers'] | undefined;
  #isFirst = true;
  /** How often the time was stopped. */
  #stops = 0;

  /** @param onTime - Called after 5 s, and then after each further 5 s with `hasLasted`. */
  constructor(platform: () => Platform, onTime: (hasLasted: boolean) => void) {
    this.#platform = platform;
    this.#onTime = onTime;
  }

  /** Starts the time again. */
  restart(): void {
    this.stop();
    this.#isFirst = true;
    // A later connection may have other timers.
    this.#timers = schedulerOf(this.#platform()).timers;
    this.#timers.set(this, STALL_MS);
  }

  stop(): void {
    this.#stops++;
    this.#timers?.clear(this);
  }

  /**
   * Called by the timer. In a process that had no CPU, timers run before the input: what settles in the same turn
   * counts.
   */
  fire(): void {
    const stops = this.#stops;
    this.#timers!.set(this, STALL_MS);
    this.#platform().yield(() => {
      if (stops !== this.#stops) return;
      const hasLasted = !this.#isFirst;
      this.#isFirst = false;
      this.#onTime(hasLasted);
    });
  }
}
