import type { Platform } from '@ws/conn';
import { flushShared, schedulerOf, TurnCallback } from '@ws/conn/internal';

/** Ms for which delivery may occupy the event loop at a time. */
const SLICE_MS = 8;
/** Cost of a connection's write, in deliveries of a short message. */
export const WRITE_COST = 32;
/**
 * Deliveries of a batch, with the cost of its writes. After each batch the frames are written and
 * the time is checked.
 */
const BATCH = 2_048;

/** Deliveries that run in the turns of a {@link FanOut}. */
export interface Due {
  /** Resolves when all deliveries that are due now are done; undefined when none is due. */
  readonly done: Promise<void> | undefined;
  /**
   * Makes deliveries until `budget` is used up.
   *
   * @returns The rest of the budget.
   */
  run(budget: number): number;
}

/**
 * Runs the deliveries of a hub at the end of the turn, in slices of {@link SLICE_MS}, so that other work
 * of the process runs between them. All due deliveries advance together. A small room does not wait
 * for a large one.
 */
export class FanOut {
  readonly #hub: { readonly platform: Platform };
  /** In the order of their next batches. An audience that is not done moves to the end. */
  readonly #due = new Set<Due>();
  /** Iterates over `#due`. All due audiences are ahead of it. */
  #next: Iterator<Due> | undefined;
  /**
   * When this turn of the event loop has done enough, in ms of the platform's clock. Undefined
   * before the first delivery of the turn.
   */
  #turnEnd: number | undefined;
  readonly #batch = new TurnCallback(() => this.#continue());
  readonly #pause = new TurnCallback(() => this.#endTurn());
  readonly #nextTurn = new TurnCallback(() => this.#beginNextTurn());

  constructor(hub: { readonly platform: Platform }) {
    this.#hub = hub;
  }

  get #scheduler() {
    return schedulerOf(this.#hub.platform);
  }

  get idle(): boolean {
    return this.#due.size === 0;
  }

  /** Resolves when the audiences that are due now are done. */
  async settled(): Promise<void> {
    for (const done of Array.from(this.#due, (audience) => audience.done)) await done;
  }

  /** Runs it at the end of the turn. */
  add(due: Due): void {
    this.#due.add(due);
    if (this.#turnEnd === undefined) this.#beginTurn(this.#pause);
    this.#scheduler.endOfTurn.add(this.#batch);
  }

  /** Whether other deliveries than those that are due may be made in this turn. */
  hasTime(): boolean {
    if (this.#turnEnd === undefined) this.#beginTurn(this.#pause);
    return this.#hub.platform.now() < this.#turnEnd!;
  }

  #beginTurn(next: TurnCallback): void {
    this.#turnEnd = this.#hub.platform.now() + SLICE_MS;
    this.#scheduler.laterTurn.add(next);
  }

  /** In Node a later turn may follow I/O in the same turn, so the deliveries wait for the next. */
  #endTurn(): void {
    if (this.idle) this.#turnEnd = undefined;
    else this.#scheduler.laterTurn.add(this.#nextTurn);
  }

  #beginNextTurn(): void {
    this.#turnEnd = undefined;
    if (this.idle) return;
    this.#beginTurn(this.#nextTurn);
    this.#runBatches();
  }

  #continue(): void {
    if (this.#hub.platform.now() < this.#turnEnd!) this.#runBatches();
  }

  /**
   * Runs a batch, and defers the next one: Node first runs the callbacks of the writes, and their time
   * counts for this turn.
   */
  #runBatches(): void {
    this.#runBatch();
    flushShared(this.#hub.platform);
    if (!this.idle) this.#scheduler.endOfTurn.add(this.#batch);
  }

  #runBatch(): void {
    this.#next ??= this.#due.values();
    for (let budget = BATCH; budget > 0; budget -= WRITE_COST) {
      const { done, value: audience } = this.#next.next();
      if (done === true) {
        this.#next = undefined;
        return;
      }
      budget = audience.run(budget);
      this.#due.delete(audience);
      if (audience.done !== undefined) this.#due.add(audience);
    }
  }
}
