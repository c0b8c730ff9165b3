import type { TimerEntry } from '../scheduler/timers.ts';
import { progress, type Reading } from './read-ahead.ts';

/** The part of a connection that its last reads use. */
export type LastReading = Reading & {
  readonly bytesIn: number;
};

/**
 * Bounds the reads of a connection whose transport can send nothing more, instead of the heartbeat: destroys
 * the transport after `closeTimeout` in which no byte arrived and no reader took a message.
 */
export class LastReads implements TimerEntry {
  slot: number | undefined;
  readonly #connection: LastReading;
  /** The bytes that had arrived, and the reader's progress, at the last look. */
  #bytesIn = 0;
  #progress = 0;

  constructor(connection: LastReading) {
    this.#connection = connection;
    this.#watch();
  }

  #watch(): void {
    const connection = this.#connection;
    this.#bytesIn = connection.bytesIn;
    this.#progress = progress(connection);
    connection.shared.timers.set(this, connection.settings.closeTimeout);
  }

  fire(): void {
    const connection = this.#connection;
    const isRead = progress(connection) !== this.#progress || connection.inbox.held;
    if (isRead || connection.bytesIn !== this.#bytesIn) return this.#watch();
    // Not as an error of this connection: the transport reports its own.
    connection.guardTransport(() => connection.transport.destroy());
  }

  stop(): void {
    this.#connection.shared.timers.clear(this);
  }
}
