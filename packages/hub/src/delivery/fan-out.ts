import type { Platform } from '@ws/conn';
import { schedulerOf, sharedFrames, TurnCallback } from '@ws/conn/internal';

/** Longest time of the deliveries in one turn of the event loop, in ms. */
const SLICE_MS = 8;
/** Cost of one write to a connection, in units of the delivery of a short message. */
export const WRITE_COST = 32;
/**
 * Budget of a batch: its deliveries and the cost of its writes. After each batch, the hub writes the
 * frames and checks the time.
 */
const BATCH = 2_048;

/** A source of deliveries, for example a room. A {@link FanOut} runs the deliveries in slices. */
export interface DeliverySource {
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
  /** The sources with due deliveries, the next one first. A source that has run moves to the end. */
  readonly #due = new Set<DeliverySource>();
  /** Iterates over `#due`, also over sources that are added during the iteration. */
  #next: Iterator<DeliverySource> | undefined;
  /**
   * Time at which deliveries stop in this turn of the event loop, in ms of the platform's clock.
   * Undefined before the first delivery of the turn.
   */
  #sliceEnd: number | undefined;
  readonly #batch = new TurnCallback(() => this.#continue());
  readonly #afterTurn = new TurnCallback(() => this.#endTurn());
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

  /** Resolves when all deliveries that are due now are done. */
  async settled(): Promise<void> {
    for (const done of Array.from(this.#due, (source) => source.done)) await done;
  }

  /** Runs a source at the end of the turn. */
  add(source: DeliverySource): void {
    this.#due.add(source);
    if (this.#sliceEnd === undefined) this.#beginTurn(this.#afterTurn);
    this.#scheduler.endOfTurn.add(this.#batch);
  }

  /** Whether this turn has time left, for example for a delivery that is not due. */
  hasTime(): boolean {
    if (this.#sliceEnd === undefined) this.#beginTurn(this.#afterTurn);
    return this.#hub.platform.now() < this.#sliceEnd!;
  }

  #beginTurn(next: TurnCallback): void {
    this.#sliceEnd = this.#hub.platform.now() + SLICE_MS;
    this.#scheduler.laterTurn.add(next);
  }

  /** Node may run `laterTurn` in the same turn, after I/O. So the deliveries wait for a second one. */
  #endTurn(): void {
    if (this.idle) this.#sliceEnd = undefined;
    else this.#scheduler.laterTurn.add(this.#nextTurn);
  }

  #beginNextTurn(): void {
    this.#sliceEnd = undefined;
    if (this.idle) return;
    this.#beginTurn(this.#nextTurn);
    this.#runBatches();
  }

  #continue(): void {
    if (this.#hub.platform.now() < this.#sliceEnd!) this.#runBatches();
  }

  /**
   * Runs a batch, and defers the next one to the end of the turn. By then, Node has run the
   * callbacks of the writes: their time counts for this turn.
   */
  #runBatches(): void {
    this.#runBatch();
    sharedFrames(this.#hub.platform).flush();
    if (!this.idle) this.#scheduler.endOfTurn.add(this.#batch);
  }

  #runBatch(): void {
    this.#next ??= this.#due.values();
    for (let budget = BATCH; budget > 0; budget -= WRITE_COST) {
      const { done, value: source } = this.#next.next();
      if (done === true) {
        this.#next = undefined;
        return;
      }
      budget = source.run(budget);
      this.#due.delete(source);
      if (source.done !== undefined) this.#due.add(source);
    }
  }
}
