import type { TimerEntry } from '../scheduler/timers.ts';
import type { Connection } from './connection.ts';

/** Ms without a read and without a written byte, after which the observer is informed. */
const BLOCKED_AFTER = 5_000;

/** Informs the observer if a paused connection has also written no byte for {@link BLOCKED_AFTER}. */
export class BlockedCheck implements TimerEntry {
  slot: number | undefined;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  schedule(): void {
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
    if (bufferedAmount === 0 || ms < BLOCKED_AFTER) return this.schedule();
    connection.observe((observer) => observer.blocked?.(connection.conn, bufferedAmount, ms));
  }
}
