import type { Platform } from '@ws/conn';
import { Deferred, schedulerOf, type TimerEntry } from '@ws/conn/internal';

/** Ms after which a pause of reading is too long, if no handler settles meanwhile. */
const MAX_PAUSE_MS = 10_000;

/** A pause of reading. */
export class Pause implements TimerEntry {
  slot: TimerEntry['slot'] = undefined;
  /** Called when the pause has lasted too long. */
  readonly fire: () => void;
  /** Resolves at the end of the pause. */
  readonly over: Deferred<void> = new Deferred();
  readonly #timers: ReturnType<typeof schedulerOf>['timers'];

  constructor(platform: Platform, fire: () => void) {
    this.fire = fire;
    this.#timers = schedulerOf(platform).timers;
    this.restart();
  }

  /** Starts the time again. */
  restart(): void {
    this.#timers.set(this, MAX_PAUSE_MS);
  }

  end(): void {
    this.#timers.clear(this);
    this.over.resolve();
  }
}
