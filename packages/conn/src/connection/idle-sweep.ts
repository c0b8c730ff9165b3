import { type Platform, perPlatform } from '../platform/platform.ts';
import { type TimerEntry, type Timers, timersOf } from '../time/timers.ts';

/**
 * Period of the sweep in ms. A connection is swept after {@link ACTIVE} visits without activity,
 * that is one to two periods. With 50 ms more sides survived a collection of the young generation:
 * 40 and 34 MB were copied while 5,000 connections opened and echoed (Node 20).
 */
const PERIOD = 16;
/** Connections visited in one turn. More would delay the other connections. */
const SLICE = 256;

// The activity of a connection: the number of visits after which it is idle.
/** Not listed. */
export const UNLISTED = 0;
/** After any activity. */
export const ACTIVE = 2;
/**
 * After a broadcast: a second, longer among thousands of connections. The next broadcast would
 * otherwise create a write side for every receiver, and these survive a collection: 2.6 MB of 10,000
 * receivers, in every second message (Node 20).
 */
export const RECEIVER = 64;

/** A connection whose idle parts can be dropped. */
export interface SweepTarget {
  /** Starts as {@link UNLISTED}. Only {@link IdleSweep} changes it. */
  activity: number;
  /** Drops the parts that are idle. The next chunk or write creates new ones. */
  dropIdleParts(): void;
}

/**
 * Frees the memory of connections that have become idle. An idle connection without its two sides
 * has half the size. The end of each turn would be too often: creating both sides for every message
 * costs more than parsing it.
 *
 * The timer is set only while connections are listed. An ended connection stays in an array until
 * the next sweep: a Set that changes so often allocates more than the connections.
 */
export class IdleSweep implements TimerEntry {
  slot: number | undefined;
  readonly #timers: Timers;
  /** Listed since the sweep under way began. */
  #listed: SweepTarget[] = [];
  /** The connections that the sweep under way has not visited. */
  #unvisited: SweepTarget[] = [];
  /** Connections in both arrays, without those that were removed. */
  #count = 0;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /**
   * Lists an active connection.
   *
   * @param visits - {@link ACTIVE} or {@link RECEIVER}. The larger number of several calls counts.
   */
  add(target: SweepTarget, visits: number): void {
    const { activity } = target;
    if (activity < visits) target.activity = visits;
    if (activity !== UNLISTED) return;
    if (this.#count++ === 0) this.#timers.set(this, PERIOD);
    this.#listed.push(target);
  }

  /** Removes a connection that ends. It is not added again. */
  remove(target: SweepTarget): void {
    if (target.activity === UNLISTED) return;
    target.activity = UNLISTED;
    if (--this.#count > 0) return;
    this.#listed = [];
    this.#unvisited = [];
    this.#timers.clear(this);
  }

  fire(): void {
    if (this.#unvisited.length === 0) {
      this.#unvisited = this.#listed;
      this.#listed = [];
    }
    const unvisited = this.#unvisited;
    for (let left = Math.min(unvisited.length, SLICE); left > 0; left--) {
      this.#visit(unvisited.pop()!);
    }
    if (this.#count > 0) this.#timers.set(this, unvisited.length > 0 ? 1 : PERIOD);
  }

  #visit(target: SweepTarget): void {
    if (target.activity === UNLISTED) return;
    if (--target.activity > UNLISTED) {
      this.#listed.push(target);
    } else {
      this.#count--;
      target.dropIdleParts();
    }
  }
}

export const idleSweepOf: (platform: Platform) => IdleSweep = /* @__PURE__ */ perPlatform(
  (platform) => new IdleSweep(timersOf(platform)),
);
