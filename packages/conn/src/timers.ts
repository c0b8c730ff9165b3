import type { Host } from './host.ts';

/** Something that wants to be called at a time: an object, so that a connection needs no closure for it. */
export interface Alarm {
  /** The tick it is set to, kept by {@link Timers}; undefined while it is not set. */
  tick: number | undefined;
  /** Called once when the time has come. */
  ring(): void;
}

/** From here on times are rounded up to whole ticks, so that many connections share a timer. */
const COARSE_FROM = 1_000;
const TICK = 64;
/** The longest delay that the timers of every platform take; a longer one rings at once. */
const LONGEST = 2 ** 31 - 1;

/**
 * The timers of all connections on one host: alarms of the same tick share one platform timer, and only the earliest
 * tick has one. An idle connection with a heartbeat costs an entry in a set.
 */
export class Timers {
  readonly #host: Host;
  readonly #ticks = new Map<number, Set<Alarm>>();
  #next = Infinity;
  #cancel: (() => void) | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Sets `alarm` to ring in `ms` milliseconds, never earlier; a second call moves it. */
  set(alarm: Alarm, ms: number): void {
    this.clear(alarm);
    const at = Math.ceil(this.#host.now() + ms);
    const tick = ms < COARSE_FROM ? at : Math.ceil(at / TICK) * TICK;
    const alarms = this.#ticks.get(tick);
    alarm.tick = tick;
    if (alarms !== undefined) {
      alarms.add(alarm);
      return;
    }
    this.#ticks.set(tick, new Set([alarm]));
    if (tick < this.#next) this.#arm();
  }

  /** Takes `alarm` back; nothing happens when it is not set. */
  clear(alarm: Alarm): void {
    if (alarm.tick === undefined) return;
    const { tick } = alarm;
    const alarms = this.#ticks.get(tick);
    alarm.tick = undefined;
    alarms?.delete(alarm);
    if (alarms?.size !== 0) return;
    this.#ticks.delete(tick);
    // A timer that is set for it may ring for nothing: cheaper than to look for the next one now.
    if (this.#ticks.size === 0) this.#arm();
  }

  #arm(): void {
    let next = Infinity;
    for (const tick of this.#ticks.keys()) if (tick < next) next = tick;
    this.#cancel?.();
    this.#next = next;
    this.#cancel = undefined;
    if (next === Infinity) return;
    // One that is cut short rings for nothing, and is set again.
    const ms = Math.min(LONGEST, Math.max(1, Math.ceil(next - this.#host.now())));
    this.#cancel = this.#host.setTimer(ms, this.#wake);
  }

  readonly #wake = (): void => {
    const now = this.#host.now();
    this.#next = Infinity;
    this.#cancel = undefined;
    const due = [...this.#ticks].filter(([tick]) => tick <= now).toSorted(([a], [b]) => a - b);
    try {
      for (const [tick, alarms] of due) {
        // Those of now: one that sets itself anew for this tick rings in the next wake.
        const ringing = [...alarms];
        for (const alarm of ringing) {
          // Another one's ring() has cleared or moved it.
          if (alarm.tick !== tick) continue;
          // One by one: those behind one that throws are still set.
          this.clear(alarm);
          alarm.ring();
        }
      }
    } finally {
      // When one throws, those behind it ring in the next wake.
      this.#arm();
    }
  };
}

const shared = new WeakMap<Host, Timers>();

/** The one {@link Timers} of `host`. */
export function timersOf(host: Host): Timers {
  let timers = shared.get(host);
  if (timers === undefined) {
    timers = new Timers(host);
    shared.set(host, timers);
  }
  return timers;
}
