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
import type { DataType, Message } from '../message.ts';
import type { Expiry } from '../time/expiry.ts';
import { handled, RESOLVED } from '../time/promises.ts';
import type { PreparedMessage } from '../writing/prepared-message.ts';
import type { PreparedResponse } from './auto-response.ts';
import type { Rate } from './rate.ts';

/** No piece of the message under way is withheld. */
const NONE = -1;

/**
 * Sees each message of one connection before a reader gets it. A connection has a gate only with an
 * option that needs one.
 */
export class Gate {
  /** The message that the gate answers itself. */
  autoResponse: PreparedResponse | undefined;
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
  /**
   * Bytes of the message under way that no reader has yet, because the message may become the
   * request.
   */
  #withheld = NONE;
  /** Whether an answer waits: for a peer that reads slowly, or for a message that is being sent. */
  #answering = false;

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
    const auto = this.autoResponse;
    if (auto === undefined || admitted !== event) return admitted;
    if (event === MESSAGE) {
      const { type, bytes, start, end } = decoder;
      return isRequest(auto.request, type, bytes, start, end) ? this.#answer(auto) : event;
    }
    if (event === MESSAGE_BEGIN && decoder.type === auto.request.type) this.#withheld = 0;
    else if (event !== MESSAGE_DATA || this.#withheld === NONE) return event;
    return this.#piece(decoder, auto);
  }

  /** A piece is withheld while the message may become the request. Else the message begins. */
  #piece(decoder: MessageDecoder, auto: PreparedResponse): MessageEvent {
    const { bytes, start, end, fin } = decoder;
    const { request } = auto;
    const length = this.#withheld + end - start;
    const matches = fin ? length === request.bytes.length : length <= request.bytes.length;
    if (!matches || !startsWith(request.bytes, this.#withheld, bytes, start, end)) {
      return MESSAGE_BEGIN;
    }
    this.#withheld = fin ? NONE : length;
    return fin ? this.#answer(auto) : STEP;
  }

  /** The bytes that were withheld of the message that begins now, if any. */
  takeWithheld(): OwnedBytes | undefined {
    const length = this.#withheld;
    this.#withheld = NONE;
    return length > 0 ? this.autoResponse!.request.bytes.slice(0, length) : undefined;
  }

  /**
   * A reader takes a message as a stream after its first bytes. Returns whether they are
   * withheld, because they may be the request.
   */
  begins(type: number, begun: Uint8Array): boolean {
    this.rate?.begins(begun.length);
    const request = this.autoResponse?.request;
    if (request === undefined || type !== request.type) return false;
    const { length } = begun;
    if (length > request.bytes.length || !startsWith(request.bytes, 0, begun, 0, length))
      return false;
    this.#withheld = length;
    return true;
  }

  /** The rate admits a message that was held back. */
  release({ type, data }: Message): void {
    if (this.expiry?.check() === true) return;
    const auto = this.autoResponse;
    const { inbound } = this.#connection;
    const answers = auto !== undefined && this.#isRequest(type, data);
    if (answers || inbound.receiveCall?.discards === true) inbound.queue!.dropHeld();
    else inbound.queue!.unhold();
    if (answers) this.#answer(auto);
    else inbound.serve();
  }

  /** Whether a reader would get a message that was held back. */
  wants({ type, data }: Message): boolean {
    return this.#connection.inbound.receiveCall?.discards !== true && !this.#isRequest(type, data);
  }

  #isRequest(type: DataType, data: Uint8Array): boolean {
    const request = this.autoResponse?.request;
    return request !== undefined && isRequest(request, type, data, 0, data.length);
  }

  /** While an answer waits, later requests get none, as later pings (RFC 6455, section 5.5.3). */
  #answer({ response }: PreparedResponse): typeof SKIPPED {
    const { outbound } = this.#connection;
    if (this.#answering || !outbound.makeRoom(response.bytes.length)) return SKIPPED;
    try {
      const sent = outbound.sendPrepared(response, true);
      // In a turn that has written much the promise is a later one, but nothing waits.
      if (outbound.blocked || outbound.waiting?.busy === true) this.#waitFor(sent);
      else if (sent !== RESOLVED) void handled(sent);
    } catch (error) {
      this.#connection.report(error, 'autoResponse');
    }
    return SKIPPED;
  }

  #waitFor(sent: Promise<void>): void {
    this.#answering = true;
    const sentOrLost = (): void => {
      this.#answering = false;
    };
    sent.then(sentOrLost, sentOrLost);
  }
}

/** Whether the event is a message, or a piece of one. */
function isData(event: MessageEvent): boolean {
  return (
    event === MESSAGE || event === MESSAGE_BEGIN || event === MESSAGE_DATA || event === SKIPPED
  );
}

function isRequest(
  request: PreparedMessage,
  type: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean {
  if (end - start !== request.bytes.length || type !== request.type) return false;
  return startsWith(request.bytes, 0, bytes, start, end);
}

/** Whether `whole` has `bytes[start, end)` at `at`. */
function startsWith(
  whole: Uint8Array,
  at: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): boolean {
  for (let i = start, j = at; i < end; i++, j++) if (bytes[i] !== whole[j]) return false;
  return true;
}
