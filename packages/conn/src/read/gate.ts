import {
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageDecoder,
  type MessageEvent,
  SKIPPED,
  STEP,
} from '@ws/codec';
import type { Connection } from '../connection/connection.ts';
import type { Expiry } from '../time/expiry.ts';
import type { Rate } from './rate.ts';

/**
 * Sees each message of one connection before a reader gets it. A connection has a gate only with an
 * option that needs one.
 */
export class Gate {
  /** Bounds the messages of the peer. */
  rate: Rate | undefined;
  /** When the login of the peer expires: later messages are dropped. */
  expiry: Expiry | undefined;
  /**
   * Whether the rate holds back what has arrived for a reader. Input is then parsed into the
   * read-ahead, as without a read.
   */
  held = false;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Whether the gate needs the messages that no reader wants. */
  get readsAll(): boolean {
    return this.rate !== undefined;
  }

  /**
   * Handles an event before a reader: the gate may drop or hold a message.
   *
   * @returns The event for the reader: SKIPPED for a message that is taken, STEP for a piece of one.
   */
  handle(event: MessageEvent, decoder: MessageDecoder): MessageEvent {
    if (this.expiry !== undefined && isData(event) && this.expiry.check()) {
      const isPart = event === MESSAGE_BEGIN || event === MESSAGE_DATA;
      return isPart && !decoder.fin ? STEP : SKIPPED;
    }
    return this.rate === undefined ? event : this.rate.pass(event, decoder);
  }

  /** The rate admits a message that was held back. */
  admit(): void {
    if (this.expiry?.check() === true) return;
    const { inbound } = this.#connection;
    if (inbound.receiveCall?.discards === true) inbound.queue!.dropHeld();
    else inbound.queue!.unhold();
    inbound.serve();
  }
}

/** Whether the event is a message, or a piece of one. */
function isData(event: MessageEvent): boolean {
  return (
    event === MESSAGE || event === MESSAGE_BEGIN || event === MESSAGE_DATA || event === SKIPPED
  );
}
