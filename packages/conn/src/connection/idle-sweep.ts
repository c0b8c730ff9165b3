import { type Platform, perPlatform } from '../platform/platform.ts';
import { type TimerEntry, type Timers, timersOf } from '../time/timers.ts';

/** Period of the sweep in ms. A connection is swept after one to two periods without activity. */
const PERIOD = 50;
/** Connections visited in one turn. More would delay the other connections. */
const SLICE = 256;

/** A connection whose idle parts can be dropped. */
export interface SweepTarget {
  /** Whether the connection was active since the last sweep. The sweep clears it. */
  active: boolean;
  /** Drops the parts that are idle. The next chunk or write creates new ones. */
  dropIdleParts(): void;
}

/**
 * Frees the memory of connections that have become idle. An idle connection without its two sides
 * has half the size. The end of each turn would be too often: creating both sides for every message
 * costs more than parsing it.
 *
 * The timer is set only while connections are listed.
 */
export class IdleSweep implements TimerEntry {
  slot: number | undefined;
  readonly #timers: Timers;
  /** Connections that were active since their last sweep. */
  readonly #listed = new Set<SweepTarget>();
  /** Connections that the sweep under way has not visited. */
  #unvisited = 0;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  add(target: SweepTarget): void {
    if (this.#listed.size === 0) this.#timers.set(this, PERIOD);
    this.#listed.add(target);
  }

  /** Removes a connection that ends. */
  remove(target: SweepTarget): void {
    if (!this.#listed.delete(target) || this.#listed.size > 0) return;
    this.#unvisited = 0;
    this.#timers.clear(this);
  }

  fire(): void {
    const listed = this.#listed;
    if (this.#unvisited === 0) this.#unvisited = listed.size;
    let left = Math.min(this.#unvisited, listed.size, SLICE);
    this.#unvisited -= left;
    for (const target of listed) {
      if (left-- === 0) break;
      listed.delete(target);
      if (target.active) {
        target.active = false;
        // To the end of the list, which the next sweep visits.
        listed.add(target);
      } else target.dropIdleParts();
    }
    if (listed.size === 0) this.#unvisited = 0;
    else this.#timers.set(this, this.#unvisited > 0 ? 1 : PERIOD);
  }
}

export const idleSweepOf: (platform: Platform) => IdleSweep = /* @__PURE__ */ perPlatform(
  (platform) => new IdleSweep(timersOf(platform)),
);
