import { asyncContexts } from '../platform/async-contexts.ts';
import type { RuntimeTimers } from '../platform/later-turns.ts';
import type { Platform } from '../platform/platform.ts';
import type { TaskQueue, TurnTask } from './task-queue.ts';

/** An object that is called at a set time. Not a closure, so that a connection needs none. */
export interface TimerEntry {
  /** The slot of the timer, maintained by {@link Timers}; undefined while it is not set. */
  slot: number | undefined;
  /** Called once at the set time. */
  fire(): void;
}

/**
 * From this delay on, in ms, times are rounded up to whole slots, so that many connections share a
 * slot.
 */
const COARSE_FROM = 1_000;
/** Length of a slot in ms. */
const SLOT_MS = 64;
/** The longest delay in ms that every platform takes. A longer one would fire at once. */
const LONGEST = 2_147_483_647;

/**
 * The timers of all connections of one platform. Entries of the same time share a slot, and only
 * the earliest slot has a platform timer. An idle connection with a heartbeat costs one entry in a
 * set.
 */
export class Timers implements TurnTask {
  awaitsTurn = false;
  readonly #platform: Platform;
  readonly #endOfTurn: TaskQueue;
  readonly #runtime: RuntimeTimers;
  readonly #slots = new Map<number, Set<TimerEntry>>();
  /** The entries that keep the process alive. */
  readonly #keepers = new Set<TimerEntry>();
  #next = Infinity;
  #cancel: (() => void) | undefined;
  /** Whether the platform timer keeps the process alive. */
  #keepsAlive = false;

  constructor(platform: Platform, endOfTurn: TaskQueue, runtime: RuntimeTimers) {
    this.#platform = platform;
    this.#endOfTurn = endOfTurn;
    this.#runtime = runtime;
  }

  /**
   * Sets `entry` to fire after `ms` milliseconds, never earlier; a second call moves it. With
   * `keepAlive` it keeps the process alive until it fires or is cleared.
   */
  set(entry: TimerEntry, ms: number, keepAlive = false): void {
    this.#runtime.check();
    this.clear(entry);
    if (keepAlive) this.#keepers.add(entry);
    const at = Math.ceil(this.#platform.now() + ms);
    const slot = ms < COARSE_FROM ? at : Math.ceil(at / SLOT_MS) * SLOT_MS;
    const entries = this.#slots.get(slot);
    entry.slot = slot;
    if (entries === undefined) this.#slots.set(slot, new Set([entry]));
    else entries.add(entry);
    const isNext = slot < this.#next;
    if (isNext) this.#next = slot;
    const lacksKeeper = keepAlive && !this.#keepsAlive;
    if (isNext || lacksKeeper) this.reschedule();
  }

  /** As {@link set}, unless `entry` is set already. */
  setUnlessSet(entry: TimerEntry, ms: number): void {
    this.#runtime.check();
    if (entry.slot === undefined) this.set(entry, ms);
  }

  /** Cancels `entry`; no effect when it is not set. */
  clear(entry: TimerEntry): void {
    if (entry.slot === undefined) return;
    const { slot } = entry;
    const entries = this.#slots.get(slot);
    const lastKeeper = this.#keepers.delete(entry) && this.#keepers.size === 0;
    entry.slot = undefined;
    entries?.delete(entry);
    if (entries?.size === 0) this.#slots.delete(slot);
    // The platform timer may fire for no entry: cheaper than a search for the next slot now.
    if (this.#slots.size === 0) this.#arm();
    else if (lastKeeper) this.#endOfTurn.add(this);
  }

  /**
   * Lets the process exit after this turn. In a loop of reads with a timeout, the next read often
   * begins in this turn and keeps the process alive too. It uses the same platform timer.
   */
  onTurn(): void {
    if (this.#keepsAlive && this.#keepers.size === 0) this.reschedule();
  }

  #arm(): void {
    let next = Infinity;
    // An iterator would allocate a result for each slot, and with a heartbeat there are hundreds of slots.
    this.#slots.forEach((_entries, slot) => {
      if (slot < next) next = slot;
    });
    this.#next = next;
    this.reschedule();
  }

  /** Sets the platform timer to the earliest slot. */
  reschedule(): void {
    // A real timer may fire while fake ones are installed.
    this.#runtime.check();
    this.#cancel?.();
    this.#cancel = undefined;
    this.#keepsAlive = this.#next !== Infinity && this.#keepers.size > 0;
    if (this.#next === Infinity) return;
    // A delay that was cut to LONGEST fires for no entry and is set again.
    const ms = Math.min(LONGEST, Math.max(1, Math.ceil(this.#next - this.#platform.now())));
    this.#cancel = this.#platform.setTimer(ms, this.#wake, this.#keepsAlive);
  }

  readonly #wake = (): void => {
    const now = this.#platform.now();
    // Reads the sockets first. A pong that has arrived clears its entry, also in a busy process.
    this.#platform.yield(() => this.#fireUntil(now));
  };

  #fireUntil(now: number): void {
    this.#next = Infinity;
    this.#cancel?.();
    this.#cancel = undefined;
    const due: number[] = [];
    this.#slots.forEach((_entries, slot) => {
      if (slot <= now) due.push(slot);
    });
    due.sort((a, b) => a - b);
    try {
      for (const slot of due) {
        // A copy: an entry that sets itself to this slot again fires in the next wake.
        const firing = [...(this.#slots.get(slot) ?? [])];
        for (const entry of firing) {
          // Another entry's `fire` has cleared or moved it.
          if (entry.slot !== slot) continue;
          // Cleared one by one: when one throws, the entries after it fire in the next wake.
          this.clear(entry);
          asyncContexts.inOwnContext(() => entry.fire());
        }
      }
    } finally {
      this.#arm();
      // A test may have advanced a fake clock over more slots since the wake.
      const current = this.#platform.now();
      if (current > now && this.#next <= current) this.#wake();
    }
  }
}
