import {
  BinaryMessage,
  MESSAGE,
  MESSAGE_BEGIN,
  MESSAGE_DATA,
  type MessageDecoder,
  type MessageEvent,
  type OwnedBytes,
  SKIPPED,
  STEP,
  TextMessage,
} from '@ws/codec';
import type { Connection } from '../connection/connection.ts';
import type { Message } from '../message.ts';
import { handled, RESOLVED } from '../time/promises.ts';
import { checkOptionNames, isUint8Array, kind } from '../validate.ts';
import { PreparedMessage } from '../writing/prepared-message.ts';

/** A message that a server answers without its handler, and the answer. Bytes are copied. */
export interface AutoResponse {
  /** A string is a text message, bytes are a binary message. */
  readonly request: string | Uint8Array;
  /** A string is sent as text, bytes as binary. */
  readonly response: string | Uint8Array;
}

/** A checked {@link AutoResponse}, with its own copies of the bytes. */
export type PreparedResponse = Readonly<Record<keyof AutoResponse, PreparedMessage>>;

/** @throws TypeError that names the option. */
export function checkAutoResponse(value: unknown): PreparedResponse {
  if (typeof value !== 'object' || value === null) {
    throw new TypeError(`autoResponse: expected { request, response }, got ${kind(value)}`);
  }
  checkOptionNames('autoResponse', value, ['request', 'response'], 'ignore');
  const { request, response } = value as Partial<AutoResponse>;
  return {
    request: message('request', request),
    response: message('response', response),
  };
}

function message(name: string, value: unknown): PreparedMessage {
  if (typeof value === 'string') return new PreparedMessage(TextMessage, value);
  if (isUint8Array(value)) return new PreparedMessage(BinaryMessage, value);
  const hint = kind(value) === 'Object' ? '; pass JSON.stringify(value)' : '';
  throw new TypeError(
    `autoResponse.${name}: expected a string or a Uint8Array, got ${kind(value)}${hint}`,
  );
}

/** No piece of the message under way is withheld. */
const NONE = -1;

/** Answers the request of one connection without its reader. */
export class AutoResponder {
  readonly #connection: Connection;
  readonly #request: PreparedMessage;
  readonly #response: PreparedMessage;
  /**
   * Bytes of the message under way that no reader has yet, because the message may become the
   * request.
   */
  #withheld = NONE;
  /** Whether an answer waits: for a peer that reads slowly, or for a message that is being sent. */
  #answering = false;

  constructor(connection: Connection, { request, response }: PreparedResponse) {
    this.#connection = connection;
    this.#request = request;
    this.#response = response;
  }

  /** Answers the request, see {@link Gate.handle}. */
  handle(event: MessageEvent, decoder: MessageDecoder): MessageEvent {
    if (event === MESSAGE) {
      const { type, bytes, start, end } = decoder;
      return this.#equals(type, bytes, start, end) ? this.answer() : event;
    }
    if (event === MESSAGE_BEGIN && decoder.type === this.#request.type) this.#withheld = 0;
    else if (event !== MESSAGE_DATA || this.#withheld === NONE) return event;
    return this.#piece(decoder);
  }

  /** A piece is withheld while the message may become the request. Else the message begins. */
  #piece(decoder: MessageDecoder): MessageEvent {
    const { bytes, start, end, fin } = decoder;
    const request = this.#request;
    const length = this.#withheld + end - start;
    const matches = fin ? length === request.bytes.length : length <= request.bytes.length;
    if (!matches || !startsWith(request.bytes, this.#withheld, bytes, start, end)) {
      return MESSAGE_BEGIN;
    }
    this.#withheld = fin ? NONE : length;
    return fin ? this.answer() : STEP;
  }

  /** The bytes that were withheld of the message that begins now, if any. */
  takeWithheld(): OwnedBytes | undefined {
    const length = this.#withheld;
    this.#withheld = NONE;
    return length > 0 ? this.#request.bytes.slice(0, length) : undefined;
  }

  /** See {@link Gate.begins}. */
  begins(type: number, begun: Uint8Array): boolean {
    const request = this.#request;
    const { length } = begun;
    const mayBecome = type === request.type && length <= request.bytes.length;
    if (!mayBecome || !startsWith(request.bytes, 0, begun, 0, length)) return false;
    this.#withheld = length;
    return true;
  }

  isRequest({ type, data }: Message): boolean {
    return this.#equals(type, data, 0, data.length);
  }

  #equals(type: number, bytes: Uint8Array, start: number, end: number): boolean {
    const request = this.#request;
    if (end - start !== request.bytes.length || type !== request.type) return false;
    return startsWith(request.bytes, 0, bytes, start, end);
  }

  /** While an answer waits, later requests get none, as later pings (RFC 6455, section 5.5.3). */
  answer(): typeof SKIPPED {
    const response = this.#response;
    const { outbound } = this.#connection;
    if (this.#answering || !outbound.makeRoom(response.bytes.length)) return SKIPPED;
    try {
      const sent = outbound.sendPrepared(response, true);
      // In a turn that has written much the promise is a later one, but nothing waits.
      if (outbound.blocked || outbound.order?.busy === true) this.#waitFor(sent);
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
