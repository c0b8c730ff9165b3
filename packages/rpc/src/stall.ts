import type { Platform } from '@ws/conn';
import { schedulerOf, type TimerEntry } from '@ws/conn/internal';

/** Ms without a settled handler after which a stall is reported. After twice this time it has lasted. */
const STALL_MS = 5_000;

/** The time since a handler has settled, while messages wait for a place. */
export class Stall implements TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  readonly #platform: () => Platform;
  readonly #onTime: () => void;
  #timers: ReturnType<typeof schedulerOf>['timers'] | undefined;
  /** How often the time has run out since the last {@link restart}. */
  #times = 0;
  /** How often the time was stopped. */
  #stops = 0;

  /** @param onTime - Called after each 5 s. */
  constructor(platform: () => Platform, onTime: () => void) {
    this.#platform = platform;
    this.#onTime = onTime;
  }

  /** Whether the time was not stopped or started again for 10 s. */
  get hasLasted(): boolean {
    return this.#times > 1;
  }

  /** Starts the time again. */
  restart(): void {
    this.stop();
    // A later connection may have other timers.
    this.#timers = schedulerOf(this.#platform()).timers;
    this.#timers.set(this, STALL_MS);
  }

  stop(): void {
    this.#stops++;
    this.#times = 0;
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
      this.#times++;
      this.#onTime();
    });
  }
}
