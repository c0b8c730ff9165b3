import {
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageDecoder,
  type MessageEvent,
  type OwnedBytes,
  SKIPPED,
  STEP,
} from '@ws/codec';
import type { Connection } from '../connection/connection.ts';
import type { Message } from '../message.ts';
import type { Expiry } from '../time/expiry.ts';
import type { AutoResponder } from './auto-response.ts';
import type { Rate } from './rate.ts';

/**
 * Sees each message of one connection before a reader gets it. A connection has a gate only with an
 * option that needs one.
 */
export class Gate {
  /** Answers a message without its reader. */
  autoResponse: AutoResponder | undefined;
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
    return this.autoResponse !== undefined || this.rate !== undefined;
  }

  /**
   * Handles an event before a reader: the gate may drop, hold or answer a message.
   *
   * @returns The event for the reader: SKIPPED for a message that is taken, STEP for a piece of one.
   */
  handle(event: MessageEvent, decoder: MessageDecoder): MessageEvent {
    if (this.expiry !== undefined && isData(event) && this.expiry.check()) {
      const isPart = event === MESSAGE_BEGIN || event === MESSAGE_DATA;
      return isPart && !decoder.fin ? STEP : SKIPPED;
    }
    const admitted = this.rate === undefined ? event : this.rate.pass(event, decoder);
    return admitted === event ? (this.autoResponse?.handle(event, decoder) ?? event) : admitted;
  }

  /** The bytes that were withheld of the message that begins now, if any. */
  takeWithheld(): OwnedBytes | undefined {
    return this.autoResponse?.takeWithheld();
  }

  /**
   * A reader takes a message as a stream after its first bytes. Returns whether they are
   * withheld, because they may be the request.
   */
  begins(type: number, begun: Uint8Array): boolean {
    this.rate?.begins(begun.length);
    return this.autoResponse?.begins(type, begun) === true;
  }

  /** The rate admits a message that was held back. */
  admit(message: Message): void {
    if (this.expiry?.check() === true) return;
    const { inbound } = this.#connection;
    const answers = this.autoResponse?.isRequest(message) === true;
    if (answers || inbound.receiveCall?.discards === true) inbound.queue!.dropHeld();
    else inbound.queue!.unhold();
    if (answers) this.autoResponse!.answer();
    else inbound.serve();
  }

  /** Whether a reader would get a message that was held back. */
  wants(message: Message): boolean {
    const { receiveCall } = this.#connection.inbound;
    return receiveCall?.discards !== true && this.autoResponse?.isRequest(message) !== true;
  }
}

/** Whether the event is a message, or a piece of one. */
function isData(event: MessageEvent): boolean {
  return (
    event === MESSAGE || event === MESSAGE_BEGIN || event === MESSAGE_DATA || event === SKIPPED
  );
}
