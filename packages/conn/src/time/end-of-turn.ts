import { type Platform, perPlatform } from '../platform/platform.ts';

/** Work for the end of the turn. An object, so that a connection needs no closure. */
export interface EndOfTurnTask {
  /** Called once after all ready microtasks. Never throws. */
  onEndOfTurn(): void;
}

/** A queue with more tasks than this is dropped after its run. */
const LONG = 1024;

/**
 * The tasks of all connections of one platform for the end of the turn. One `defer` serves them
 * all.
 */
export class EndOfTurn {
  readonly #platform: Platform;
  #waiting: (EndOfTurnTask | undefined)[] = [];
  #count = 0;
  /** An empty queue for the tasks that are added during the next run. Undefined during a run. */
  #spare: (EndOfTurnTask | undefined)[] | undefined;
  /** The runtime's timers at the last `defer`. Fake timers drop callbacks when they are removed. */
  #scheduledBy: unknown;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  add(task: EndOfTurnTask): void {
    this.#waiting[this.#count++] = task;
    if (this.#count === 1 || this.#scheduledBy !== setTimeout) this.#defer();
  }

  #defer(): void {
    this.#scheduledBy = setTimeout;
    this.#platform.defer(this.#run);
  }

  readonly #run = (): void => {
    const due = this.#waiting;
    const count = this.#count;
    this.#waiting = this.#spare ?? [];
    this.#spare = undefined;
    this.#count = 0;
    let i = 0;
    try {
      while (i < count) {
        const task = due[i]!;
        due[i++] = undefined;
        task.onEndOfTurn();
      }
    } finally {
      // If a task throws despite its contract, the platform reports it. The tasks after it run in
      // the next call.
      while (i < count) {
        this.add(due[i]!);
        due[i++] = undefined;
      }
      this.#spare = count > LONG ? undefined : due;
    }
  };
}

export const endOfTurnOf: (platform: Platform) => EndOfTurn = /* @__PURE__ */ perPlatform(
  (platform) => new EndOfTurn(platform),
);
