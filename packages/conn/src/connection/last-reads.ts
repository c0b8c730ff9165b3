import type { TimerEntry } from '../scheduler/timers.ts';
import type { Connection } from './connection.ts';
import { progress } from './flow-control.ts';

/**
 * Bounds the reads of a connection whose transport can send nothing more, instead of the heartbeat:
 * destroys the transport after `closeTimeout` in which no byte arrived and no reader took a message.
 */
export class LastReads implements TimerEntry {
  slot: number | undefined;
  readonly #connection: Connection;
  /** The bytes that had arrived, and the reader's progress, at the last look. */
  #bytesIn = 0;
  #progress = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#watch();
  }

  #watch(): void {
    const { bytesIn, settings, shared } = this.#connection;
    this.#bytesIn = bytesIn;
    this.#progress = progress(this.#connection);
    shared.timers.set(this, settings.closeTimeout);
  }

  fire(): void {
    const connection = this.#connection;
    const isRead = progress(connection) !== this.#progress;
    // While the rate has no token, no reader can read.
    if (isRead || connection.bytesIn !== this.#bytesIn || connection.inbox.isHeld) this.#watch();
    // Not as an error of this connection: the transport reports its own.
    else connection.guardTransport(() => connection.transport.destroy());
  }

  stop(): void {
    this.#connection.shared.timers.clear(this);
  }
}
