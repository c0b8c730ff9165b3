import type { Platform } from '@ws/conn';
import { flushShared, schedulerOf, TurnCallback } from '@ws/conn/internal';

/** Cost of a connection's write, in deliveries of a short message. */
export const WRITE_COST = 32;
/**
 * Deliveries of a batch, with the cost of its writes. After each batch the frames are written and
 * the time is checked.
 */
const BATCH = 2_048;

/** Deliveries that are done in pieces. */
export interface Job {
  /** Resolves when all deliveries that are due now are done; undefined when none is due. */
  readonly done: Promise<void> | undefined;
  /**
   * Makes deliveries until `budget` is used up.
   *
   * @returns The rest of the budget.
   */
  run(budget: number): number;
}

export interface FanOutOwner {
  readonly platform: Platform;
  readonly settings: { readonly slice: number };
}

/**
 * Runs the deliveries of a hub at the end of the turn, in turns of `slice` ms, so that other work
 * of the process runs between them. Several jobs advance side by side: a small room does not wait
 * for a large one.
 */
export class FanOut {
  readonly #owner: FanOutOwner;
  /** In the order of their next batches. A job that is not done moves to the end. */
  readonly #due = new Set<Job>();
  /** Iterates over `#due`. All due jobs are ahead of it. */
  #next: Iterator<Job> | undefined;
  /**
   * When this turn of the event loop has done enough, in ms of the platform's clock. Undefined
   * before the first delivery of the turn.
   */
  #end: number | undefined;
  readonly #batch = new TurnCallback(() => this.#continue());
  readonly #pause = new TurnCallback(() => this.#endTurn());
  readonly #nextTurn = new TurnCallback(() => this.#beginNextTurn());

  constructor(owner: FanOutOwner) {
    this.#owner = owner;
  }

  get #scheduler() {
    return schedulerOf(this.#owner.platform);
  }

  /** Whether no job is due. */
  get idle(): boolean {
    return this.#due.size === 0;
  }

  /** Resolves when the jobs that are due now are done. */
  async settled(): Promise<void> {
    for (const done of Array.from(this.#due, (job) => job.done)) await done;
  }

  /** Adds a job. */
  add(job: Job): void {
    this.#due.add(job);
    if (this.#end === undefined) this.#beginTurn(this.#pause);
    this.#scheduler.endOfTurn.add(this.#batch);
  }

  /** @param next - Called in the next turn. */
  #beginTurn(next: TurnCallback): void {
    const { platform, settings } = this.#owner;
    this.#end = platform.now() + settings.slice;
    this.#scheduler.laterTurn.add(next);
  }

  /** In Node a later turn may follow I/O in the same turn, so the deliveries wait for the next. */
  #endTurn(): void {
    if (this.idle) this.#end = undefined;
    else this.#scheduler.laterTurn.add(this.#nextTurn);
  }

  #beginNextTurn(): void {
    this.#end = undefined;
    if (this.idle) return;
    this.#beginTurn(this.#nextTurn);
    this.#runBatches();
  }

  #continue(): void {
    if (this.#owner.platform.now() < this.#end!) this.#runBatches();
  }

  /**
   * Runs a batch, and defers the next one: Node first runs the callbacks of the writes, and their time
   * counts for this turn.
   */
  #runBatches(): void {
    this.#runBatch();
    flushShared(this.#owner.platform);
    if (!this.idle) this.#scheduler.endOfTurn.add(this.#batch);
  }

  #runBatch(): void {
    this.#next ??= this.#due.values();
    for (let budget = BATCH; budget > 0; budget -= WRITE_COST) {
      const { done, value: job } = this.#next.next();
      if (done === true) {
        this.#next = undefined;
        return;
      }
      budget = job.run(budget);
      this.#due.delete(job);
      if (job.done !== undefined) this.#due.add(job);
    }
  }
}
