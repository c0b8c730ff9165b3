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
    this.#timers?.clear(this);
  }

  /** Called by the timer. */
  fire(): void {
    const hasLasted = !this.#isFirst;
    this.#isFirst = false;
    this.#timers!.set(this, STALL_MS);
    this.#onTime(hasLasted);
  }
}
