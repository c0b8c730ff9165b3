import type { ExtensionRuntime } from '@ws/codec';

/**
 * Cost of inflating in one turn of the event loop, in plain bytes: 0.3 to 2 ms for usual messages,
 * 8 ms for blocks without output. A message of 1 MiB, a server's default limit, needs
 * one turn.
 */
const PER_TURN = 1_310_720;
/**
 * Cost from which the budget is renewed in the next turn. A lower cost adds to the cost of later
 * turns.
 */
const RENEW_FROM = 327_680;

/** A connection that inflates: it waits for a turn of the budget, or for an inflater. */
export interface InflateWaiter {
  readonly runtime: ExtensionRuntime;
  /** Whether it waits for a turn of the {@link InflateBudget}, which sets it. */
  waiting: boolean;
  /** The turn has come: inflates, and requests another turn for the rest. Never throws. */
  onInflateTurn(): void;
}

/**
 * The work of inflating that all connections of an engine source share in one turn of the event
 * loop. When it is spent, connections wait in a queue, first come, first served.
 *
 * A message that has begun is finished before the next begins, so that few messages are half
 * inflated at a time. A connection with a message that waits for input or its reader gives up its
 * place.
 *
 * Each runtime with a waiting connection schedules its own renewal: a runtime that never runs the
 * function of `yield` cannot stall the connections of the others.
 */
export class InflateBudget {
  #spent = 0;
  /** Of each runtime: the function that renews, and whether the runtime will run it. */
  readonly #renewals = new WeakMap<
    ExtensionRuntime,
    { scheduled: boolean; readonly run: () => void }
  >();
  /** In the order of their requests. */
  readonly #waiting = new Set<InflateWaiter>();
  /** Waits before all others: its message has begun. */
  #first: InflateWaiter | undefined;
  /** The connection that has its turn, until its message is complete. */
  #current: InflateWaiter | undefined;

  /**
   * Returns whether `waiter` may inflate now. Otherwise its turn comes later.
   *
   * @throws Any error of the runtime's `yield`. The connection then does not wait.
   */
  request(waiter: InflateWaiter): boolean {
    const isCurrent = waiter === this.#current;
    if (this.#spent < PER_TURN && (isCurrent || this.#next === undefined)) return true;
    waiter.waiting = true;
    if (isCurrent) this.#first = waiter;
    else this.#waiting.add(waiter);
    try {
      this.#renewLater(waiter.runtime);
    } catch (error) {
      this.leave(waiter);
      throw error;
    }
    return false;
  }

  /** Counts work that was done for a connection of `runtime`, in plain bytes. */
  charge(cost: number, runtime: ExtensionRuntime): void {
    this.#spent += cost;
    if (this.#spent >= RENEW_FROM) this.#tryRenewLater(runtime);
  }

  /** The message of `waiter` is complete: its next message begins after the waiting ones. */
  messageComplete(waiter: InflateWaiter): void {
    if (waiter === this.#current) this.#current = undefined;
  }

  /** Removes `waiter` from the queue, if it waits. */
  leave(waiter: InflateWaiter): void {
    this.#waiting.delete(waiter);
    if (waiter === this.#first) this.#first = undefined;
    waiter.waiting = false;
  }

  get #next(): InflateWaiter | undefined {
    if (this.#first !== undefined) return this.#first;
    for (const waiter of this.#waiting) return waiter;
    return undefined;
  }

  #renewLater(runtime: ExtensionRuntime): void {
    let renewal = this.#renewals.get(runtime);
    if (renewal === undefined) {
      renewal = { scheduled: false, run: () => this.#renew(runtime) };
      this.#renewals.set(runtime, renewal);
    }
    if (renewal.scheduled) return;
    renewal.scheduled = true;
    try {
      runtime.yield(renewal.run);
    } catch (error) {
      renewal.scheduled = false;
      throw error;
    }
  }

  /** As {@link #renewLater}. An error of `yield` is thrown again by the next request. */
  #tryRenewLater(runtime: ExtensionRuntime): void {
    try {
      this.#renewLater(runtime);
    } catch {}
  }

  #renew(runtime: ExtensionRuntime): void {
    this.#renewals.get(runtime)!.scheduled = false;
    this.#spent = 0;
    try {
      while (this.#spent < PER_TURN) {
        const next = this.#next;
        if (next === undefined) break;
        this.#run(next);
      }
    } finally {
      // If a connection throws despite its contract, the runtime reports it. The others continue.
      this.#current = undefined;
      if (this.#next !== undefined) this.#tryRenewLater(runtime);
    }
  }

  #run(waiter: InflateWaiter): void {
    this.leave(waiter);
    this.#current = waiter;
    waiter.runtime.inOwnContext(() => waiter.onInflateTurn());
  }
}
