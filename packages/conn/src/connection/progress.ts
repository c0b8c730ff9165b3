import type { Observer } from '../platform/observer.ts';
import type { TimerEntry, Timers } from '../scheduler/timers.ts';

/** Ms without a read and without a written byte, after which the observer is informed. */
const BLOCKED_AFTER = 5_000;

/**
 * How fast the peer takes our bytes, from one moment on: the only measure of a slow peer. The heartbeat
 * measures from its ping, the close from our close frame, `blocked` from the moment when the transport was
 * blocked. Bytes are `flushed` once the operating system has them. Times are in ms of the platform's clock.
 */
export class Progress {
  /** When the measurement began, and the flushed bytes at that time. */
  readonly at: number;
  readonly flushed: number;
  /** When the flushed bytes last grew, as far as {@link look} has seen, and their number. */
  grownAt: number;
  #seen: number;

  /** @param grownAt - Since when no byte was flushed, if that began before the measurement. */
  constructor(at: number, flushed: number, grownAt: number = at) {
    this.at = at;
    this.flushed = this.#seen = flushed;
    this.grownAt = grownAt;
  }

  /** Returns the number of bytes that were flushed since the last look. */
  look(now: number, flushed: number): number {
    const taken = flushed - this.#seen;
    if (taken <= 0) return 0;
    this.#seen = flushed;
    this.grownAt = now;
    return taken;
  }

  /**
   * Time in ms in which the peer takes `bytes` at its speed so far; 0 if it has taken none.
   *
   * @param until - The end of the time in which the peer has taken bytes.
   */
  timeFor(bytes: number, until: number): number {
    const taken = this.#seen - this.flushed;
    return taken === 0 ? 0 : Math.ceil(((until - this.at) * bytes) / taken);
  }
}

/** The part of a connection that a {@link BlockedCheck} uses. */
export type Blocked = {
  readonly conn: object;
  readonly platform: { now(): number };
  readonly shared: { readonly timers: Timers };
  readonly outbox: { readonly sender: { stalledSince(now: number): number } };
  readonly bufferedAmount: number;
  guardTransport(callback: () => void): void;
  observe(event: (observer: Observer) => unknown): void;
};

/** Informs the observer if a paused connection has also written no byte for {@link BLOCKED_AFTER}. */
export class BlockedCheck implements TimerEntry {
  slot: number | undefined;
  readonly #connection: Blocked;

  constructor(connection: Blocked) {
    this.#connection = connection;
    this.#schedule();
  }

  #schedule(): void {
    this.#connection.shared.timers.set(this, BLOCKED_AFTER);
  }

  stop(): void {
    this.#connection.shared.timers.clear(this);
  }

  fire(): void {
    this.#connection.guardTransport(() => this.#check());
  }

  #check(): void {
    const connection = this.#connection;
    const now = connection.platform.now();
    const ms = Math.round(now - connection.outbox.sender.stalledSince(now));
    const { bufferedAmount } = connection;
    if (bufferedAmount === 0 || ms < BLOCKED_AFTER) return this.#schedule();
    connection.observe((observer) => observer.blocked?.(connection.conn, bufferedAmount, ms));
  }
}
