import { type Platform, perPlatform } from '../platform/platform.ts';
import { type TimerEntry, type Timers, timersOf } from '../time/timers.ts';

/**
 * Period of the sweep in ms. A connection is swept after one to two periods without activity. With
 * 50 ms more sides survived a collection of the young generation: 40 and 34 MB were copied while
 * 5,000 connections opened and echoed (Node 20).
 */
const PERIOD = 16;
/** Connections visited in one turn. More would delay the other connections. */
const SLICE = 256;

// What the sweep knows about a connection.
/** Not listed. */
export const UNLISTED = 0;
/** Listed, and not active since its last visit. */
const QUIET = 1;
/** Listed, and active since its last visit. */
export const ACTIVE = 2;
export type Activity = typeof UNLISTED | typeof QUIET | typeof ACTIVE;

/** A connection whose idle parts can be dropped. */
export interface SweepTarget {
  /** Starts as {@link UNLISTED}. Only {@link IdleSweep} changes it. */
  activity: Activity;
  /** Drops the parts that are idle. The next chunk or write creates new ones. */
  dropIdleParts(): void;
}

/**
 * Frees the memory of connections that have become idle. An idle connection without its two sides
 * has half the size. The end of each turn would be too often: creating both sides for every message
 * costs more than parsing it.
 *
 * The timer is set only while connections are listed. An ended connection stays in an array until
 * the next sweep: a Set that changes so often
 * allocates more than the connections.
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

  /** Lists an active connection. */
  add(target: SweepTarget): void {
    const { activity } = target;
    target.activity = ACTIVE;
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
    if (target.activity === ACTIVE) {
      target.activity = QUIET;
      this.#listed.push(target);
    } else if (target.activity === QUIET) {
      target.activity = UNLISTED;
      this.#count--;
      target.dropIdleParts();
    }
  }
}

export const idleSweepOf: (platform: Platform) => IdleSweep = /* @__PURE__ */ perPlatform(
  (platform) => new IdleSweep(timersOf(platform)),
);
