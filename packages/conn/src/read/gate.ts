import {
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageDecoder,
  type MessageEvent,
  SKIPPED,
  STEP,
} from '@ws/codec';
import type { OwnedBytes } from '@ws/codec/parts';
import type { Connection } from '../connection/connection.ts';
import type { Expiry } from '../time/expiry.ts';
import { RESOLVED } from '../time/promises.ts';
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
  readonly #connection: Connection;
  /**
   * Bytes of the message under way that no reader has yet, because the message may become the
   * request.
   */
  #withheld = NONE;
  /** Whether an answer waits for a peer that reads slowly. */
  #answering = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Returns the event that replaces `event`: SKIPPED for a message, STEP for a piece that is taken. */
  pass(event: MessageEvent, decoder: MessageDecoder): MessageEvent {
    if (this.expiry !== undefined && isData(event) && this.expiry.check()) {
      const isPart = event === MESSAGE_BEGIN || event === MESSAGE_DATA;
      return isPart && !decoder.fin ? STEP : SKIPPED;
    }
    if (this.rate?.admits(event, decoder) === false) return STEP;
    const auto = this.autoResponse;
    if (auto === undefined) return event;
    if (event === MESSAGE) {
      const { bytes, start, end } = decoder;
      const isRequest =
        end - start === auto.request.bytes.length && decoder.type === auto.request.type;
      if (isRequest && startsWith(auto.request.bytes, 0, bytes, start, end))
        return this.#answer(auto);
      return this.#discards() ? SKIPPED : event;
    }
    if (event === MESSAGE_BEGIN && decoder.type === auto.request.type) this.#withheld = 0;
    else if (event !== MESSAGE_DATA || this.#withheld === NONE) return event;
    return this.#piece(event, decoder, auto);
  }

  #piece(event: MessageEvent, decoder: MessageDecoder, auto: PreparedResponse): MessageEvent {
    const { bytes, start, end, fin } = decoder;
    const { request } = auto;
    const length = this.#withheld + end - start;
    const matches = fin ? length === request.bytes.length : length <= request.bytes.length;
    if (matches && startsWith(request.bytes, this.#withheld, bytes, start, end)) {
      this.#withheld = fin ? NONE : length;
      return fin ? this.#answer(auto) : STEP;
    }
    if (event === MESSAGE_BEGIN) {
      this.#withheld = NONE;
      return event;
    }
    const { directRead, pending } = this.#connection.reader;
    if (directRead === 'nextReader' || pending?.streams === true) return MESSAGE_BEGIN;
    // The read of the message was cancelled while its first bytes were withheld.
    this.#withheld = NONE;
    this.#connection.countDropped(1);
    decoder.skip();
    return fin ? SKIPPED : STEP;
  }

  /** The bytes that were withheld of the message that begins now, if any. */
  takeWithheld(): OwnedBytes | undefined {
    const length = this.#withheld;
    this.#withheld = NONE;
    return length > 0 ? this.autoResponse!.request.bytes.slice(0, length) : undefined;
  }

  /** Withholds the first bytes of a message that a reader takes as a stream, if they may be the request. */
  withholds(type: number, begun: Uint8Array): boolean {
    const request = this.autoResponse?.request;
    if (request === undefined || type !== request.type) return false;
    const { length } = begun;
    if (length > request.bytes.length || !startsWith(request.bytes, 0, begun, 0, length))
      return false;
    this.#withheld = length;
    return true;
  }

  /** Whether the application drops all messages. The gate then gets them nevertheless. */
  #discards(): boolean {
    const { receiveCall } = this.#connection.reader;
    return receiveCall !== undefined && receiveCall.handler === undefined;
  }

  /** While the peer reads slowly, at most one answer waits, as of pings (RFC 6455, section 5.5.3). */
  #answer({ response }: PreparedResponse): typeof SKIPPED {
    const { writer } = this.#connection;
    if (this.#answering || !writer.accepts(response.bytes.length)) return SKIPPED;
    try {
      const sent = writer.sendPrepared(response, true);
      if (sent !== RESOLVED) this.#waitFor(sent);
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
