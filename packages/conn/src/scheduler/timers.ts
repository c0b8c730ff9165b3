import { asyncContexts } from '../platform/async-contexts.ts';
import type { RuntimeTimers } from '../platform/later-turns.ts';
import type { Platform } from '../platform/platform.ts';
import type { TaskQueue, TurnTask } from './task-queue.ts';

/** An object with a method to call at a set time, so that a connection needs no closure. */
export interface TimerEntry {
  /** The slot of the entry, undefined while the entry is not set. Only {@link Timers} writes it. */
  slot: number | undefined;
  /** Called once at the set time. */
  fire(): void;
}

/** From this delay in ms on, times are rounded up to whole slots, so that connections share slots. */
const COARSE_FROM_MS = 1_000;
/** Length in ms of the slot of a rounded time. */
const SLOT_MS = 64;
/** The longest delay in ms that every platform supports. A longer timer would fire at once. */
const MAX_DELAY_MS = 2_147_483_647;

/**
 * The timers of all connections of one platform. A slot is a time in ms with the set of entries that
 * fire then. One timer of the platform serves the earliest slot.
 */
export class Timers implements TurnTask {
  awaitsTurn = false;
  readonly #platform: Platform;
  readonly #endOfTurn: TaskQueue;
  readonly #runtimeTimers: RuntimeTimers;
  readonly #slots = new Map<number, Set<TimerEntry>>();
  /** The entries that keep the process alive. */
  readonly #keepers = new Set<TimerEntry>();
  /** The earliest slot. */
  #next = Infinity;
  #cancel: (() => void) | undefined;
  /** Whether the platform timer keeps the process alive. */
  #keepsAlive = false;

  constructor(platform: Platform, endOfTurn: TaskQueue, runtimeTimers: RuntimeTimers) {
    this.#platform = platform;
    this.#endOfTurn = endOfTurn;
    this.#runtimeTimers = runtimeTimers;
  }

  /**
   * Sets `entry` to fire after `ms` milliseconds, never earlier. A second call moves the entry.
   * With `keepAlive` the process stays alive until the entry fires or is cleared.
   */
  set(entry: TimerEntry, ms: number, keepAlive = false): void {
    this.#runtimeTimers.check();
    this.clear(entry);
    if (keepAlive) this.#keepers.add(entry);
    const at = Math.ceil(this.#platform.now() + ms);
    const slot = ms < COARSE_FROM_MS ? at : Math.ceil(at / SLOT_MS) * SLOT_MS;
    const entries = this.#slots.get(slot);
    entry.slot = slot;
    if (entries === undefined) this.#slots.set(slot, new Set([entry]));
    else entries.add(entry);
    const isNext = slot < this.#next;
    if (isNext) this.#next = slot;
    const mustKeepAlive = keepAlive && !this.#keepsAlive;
    if (isNext || mustKeepAlive) this.reschedule();
  }

  /** As {@link set}, unless `entry` is already set. */
  setUnlessSet(entry: TimerEntry, ms: number): void {
    this.#runtimeTimers.check();
    if (entry.slot === undefined) this.set(entry, ms);
  }

  /** Cancels `entry`, if set. */
  clear(entry: TimerEntry): void {
    if (entry.slot === undefined) return;
    const { slot } = entry;
    const entries = this.#slots.get(slot);
    const wasLastKeeper = this.#keepers.delete(entry) && this.#keepers.size === 0;
    entry.slot = undefined;
    entries?.delete(entry);
    if (entries?.size === 0) this.#slots.delete(slot);
    // The platform timer may then fire for no entry. A search for the next slot costs more.
    if (this.#slots.size === 0) this.#scheduleEarliest();
    else if (wasLastKeeper) this.#endOfTurn.add(this);
  }

  /**
   * Lets the process exit if no entry keeps it alive. Not before the end of the turn: in a loop of
   * reads with a timeout, the next read often begins in the same turn and needs the timer again.
   */
  onTurn(): void {
    if (this.#keepsAlive && this.#keepers.size === 0) this.reschedule();
  }

  /** Finds the earliest slot, and sets the platform timer. */
  #scheduleEarliest(): void {
    let next = Infinity;
    // Not an iterator, which would allocate a result for each of hundreds of slots.
    this.#slots.forEach((_entries, slot) => {
      if (slot < next) next = slot;
    });
    this.#next = next;
    this.reschedule();
  }

  /** Sets the platform timer to the earliest slot. */
  reschedule(): void {
    // A real timer may fire while a test has installed fake timers.
    this.#runtimeTimers.check();
    this.#cancel?.();
    this.#cancel = undefined;
    this.#keepsAlive = this.#next !== Infinity && this.#keepers.size > 0;
    if (this.#next === Infinity) return;
    // A timer with a delay cut to MAX_DELAY_MS fires for no entry, and is set again.
    const ms = Math.min(MAX_DELAY_MS, Math.max(1, Math.ceil(this.#next - this.#platform.now())));
    this.#cancel = this.#platform.setTimer(ms, this.#wake, this.#keepsAlive);
  }

  readonly #wake = (): void => {
    const now = this.#platform.now();
    // Lets the runtime read the sockets first, because a pong that has arrived clears its entry.
    this.#platform.yield(() => this.#fireUntil(now));
  };

  #fireUntil(wokenAt: number): void {
    // A test may have set the clock back since the wake.
    const now = Math.min(wokenAt, this.#platform.now());
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
        // A copy, so that an entry that is set to this slot again fires in the next wake.
        const firing = [...(this.#slots.get(slot) ?? [])];
        for (const entry of firing) {
          // The `fire` of another entry has cleared or moved this one.
          if (entry.slot !== slot) continue;
          // Clears only this entry: if its `fire` throws, the others fire in the next wake.
          this.clear(entry);
          asyncContexts.inOwnContext(() => entry.fire());
        }
      }
    } finally {
      this.#scheduleEarliest();
      // A test may have advanced a fake clock over more slots since the wake.
      const current = this.#platform.now();
      if (current > now && this.#next <= current) this.#wake();
    }
  }
}
