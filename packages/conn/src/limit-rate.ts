import { CloseCode, ProtocolError } from '@ws/codec';
import type { Conn } from './conn.ts';
import type { Connection } from './connection/connection.ts';
import { untraced } from './errors.ts';
import { Rate, type RatedReaders, type RatePlan } from './read/rate.ts';

// Not in `ConnInternals`: every page with a Conn would contain the rate, 1 kB.

/** Bounds the rate of the peer's messages. A second call replaces the bound of the first. */
export function limitRate(conn: Conn, plan: RatePlan): void {
  const { connection } = conn['@ws/internals'];
  const { inbox } = connection;
  // Input that has arrived by the end is not bounded.
  if (inbox.ended !== undefined || connection.transportClosed) return;
  const { rate: old } = inbox;
  old?.stopTimer();
  inbox.rate = new Rate(connection.platform, plan, new ReadersOf(connection));
  if (old?.empty === true) inbox.rate.release();
}

class ReadersOf implements RatedReaders {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  continuePieces(): void {
    this.#connection.inbox.pieces?.unhold();
  }

  continue(): void {
    const { inbox, rare } = this.#connection;
    rare?.checkExpiry();
    inbox.pieces?.unhold();
    inbox.serve();
    inbox.continue();
  }

  /** A read that waits for a token rejects, and the messages that wait are dropped. */
  stopWaiting(): void {
    const { inbox } = this.#connection;
    const count = inbox.queue?.length ?? 0;
    inbox.pieces?.unhold();
    inbox.queue = undefined;
    inbox.countDropped(count, inbox.receiveCall?.discards !== true);
    inbox.dropExcess();
  }

  exceed(text: string): void {
    // Not 1008, after which a ReconnectingConn never comes back.
    const error = untraced(() => new ProtocolError(CloseCode.TryAgainLater, [text]));
    this.#connection.fail(error, CloseCode.TryAgainLater, text);
  }
}
