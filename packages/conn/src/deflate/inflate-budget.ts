import { Fifo } from '../memory/fifo.ts';
import { asyncContexts } from '../platform/async-contexts.ts';
import type { Platform } from '../platform/platform.ts';
import type { PerMessageDeflate } from './per-message-deflate.ts';

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
const RENEW_FROM = PER_TURN / 4;

/**
 * The work of inflating that all connections of an engine source share in one turn of the event
 * loop. When it is spent, connections wait in a queue, first come, first served.
 *
 * A message that has begun is finished before the next begins, so that few messages are half
 * inflated at a time. A connection with a message that waits for input or its reader gives up its
 * place.
 *
 * Each platform with a waiting connection schedules its own renewal: a platform that never runs the
 * function of `yield` cannot stall the connections of the others.
 */
export class InflateBudget {
  #spent = 0;
  /** Of each platform: the function that renews, and whether the platform will run it. */
  readonly #renewals = new WeakMap<Platform, { scheduled: boolean; readonly run: () => void }>();
  readonly #waiting = new Fifo<PerMessageDeflate>();
  /** The connection that has its turn, until its message is complete. */
  #current: PerMessageDeflate | undefined;

  /**
   * Returns whether `waiter` may inflate now. Otherwise its turn comes later.
   *
   * @throws Any error of the platform's `yield`. The connection then does not wait.
   */
  request(waiter: PerMessageDeflate): boolean {
    const isCurrent = waiter === this.#current;
    if (this.#spent < PER_TURN && (isCurrent || this.#waiting.length === 0)) return true;
    waiter.place = isCurrent ? this.#waiting.addFirst(waiter) : this.#waiting.add(waiter);
    try {
      this.#renewLater(waiter.platform);
    } catch (error) {
      this.leave(waiter);
      throw error;
    }
    return false;
  }

  /** Counts work that was done for a connection of `platform`, in plain bytes. */
  charge(cost: number, platform: Platform): void {
    this.#spent += cost;
    if (this.#spent >= RENEW_FROM) this.#tryRenewLater(platform);
  }

  /** The message of `waiter` is complete: its next message begins after the waiting ones. */
  messageComplete(waiter: PerMessageDeflate): void {
    if (waiter === this.#current) this.#current = undefined;
  }

  /** Removes `waiter` from the queue, if it waits. */
  leave(waiter: PerMessageDeflate): void {
    if (waiter.place !== undefined) this.#waiting.remove(waiter.place);
    waiter.place = undefined;
  }

  #renewLater(platform: Platform): void {
    const owner = platform.base ?? platform;
    let renewal = this.#renewals.get(owner);
    if (renewal === undefined) {
      renewal = { scheduled: false, run: () => this.#renew(owner) };
      this.#renewals.set(owner, renewal);
    }
    if (renewal.scheduled) return;
    renewal.scheduled = true;
    try {
      owner.yield(renewal.run);
    } catch (error) {
      renewal.scheduled = false;
      throw error;
    }
  }

  /** As {@link #renewLater}. An error of `yield` is thrown again by the next request. */
  #tryRenewLater(platform: Platform): void {
    try {
      this.#renewLater(platform);
    } catch {}
  }

  #renew(platform: Platform): void {
    this.#renewals.get(platform)!.scheduled = false;
    this.#spent = 0;
    try {
      while (this.#spent < PER_TURN) {
        const first = this.#waiting.peek();
        if (first === undefined) break;
        this.#run(first);
      }
    } finally {
      // If a connection throws despite its contract, the platform reports it. The others continue.
      this.#current = undefined;
      if (this.#waiting.length > 0) this.#tryRenewLater(platform);
    }
  }

  #run(waiter: PerMessageDeflate): void {
    this.leave(waiter);
    this.#current = waiter;
    asyncContexts.inOwnContext(() => waiter.onInflateTurn());
  }
}
