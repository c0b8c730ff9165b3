import { ProtocolError } from '../errors.ts';
import { CloseCode } from '../protocol.ts';
import { UTF8_ACCEPT, UTF8_REJECT, utf8Step } from '../text/utf8-automaton.ts';
import type { MessageDecoderOptions } from './message-decoder-options.ts';

/**
 * Bytes that a message of an extension may have on the wire above twice its limit: some peers flush
 * often.
 */
const WIRE_SLACK = 65_536;

type Options = Required<
  Omit<MessageDecoderOptions, 'role' | 'pool' | 'buffers' | 'memory' | 'ownsChunks'>
>;

/** The rules for the message under way: its length, its fragments and its text. */
export class MessageRules {
  /** Longest message in bytes. */
  limit: number;
  readonly #options: Options;
  /** Payload bytes of the message on the wire. */
  #wireLength = 0;
  #emptyFragments = 0;
  #utf8: number = UTF8_ACCEPT;

  constructor(options: Options) {
    this.limit = options.readLimit;
    this.#options = options;
  }

  /** The next message begins, or none is under way. */
  reset(): void {
    this.#wireLength = 0;
    this.#emptyFragments = 0;
    this.#utf8 = UTF8_ACCEPT;
  }

  /** Counts a frame of the message. Returns false after too many empty ones in a row. */
  addFrame(length: number, fin: boolean): boolean {
    this.#wireLength += length;
    const isEmpty = length === 0 && !fin;
    this.#emptyFragments = isEmpty ? this.#emptyFragments + 1 : 0;
    return !isEmpty || this.#emptyFragments <= this.#options.maxEmptyFragments;
  }

  /** The fault of too many empty fragments. */
  tooManyEmpty(): ProtocolError {
    const limit = this.#options.maxEmptyFragments;
    return new ProtocolError(CloseCode.PolicyViolation, [
      `more than ${limit} empty fragments in a row`,
    ]);
  }

  /**
   * Largest payload of the next frame of the message.
   *
   * @param extended - Whether it may be a frame of an extension.
   */
  frameLimit(extended: boolean): number {
    const slack = extended && !this.#options.limitsWire ? this.limit + WIRE_SLACK : 0;
    return this.limit + slack - this.#wireLength;
  }

  /** The fault of a message over the {@link limit} (RFC 6455, section 7.4.1). */
  tooBig(): ProtocolError {
    return new ProtocolError(CloseCode.MessageTooBig, [`message of more than ${this.limit} bytes`]);
  }

  /** Whether `bytes[start, end)` is a whole text (RFC 6455, section 8.1). */
  isText(bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.#options.checksText) return true;
    return utf8Step(UTF8_ACCEPT, bytes, start, end, this.#options.isUtf8) === UTF8_ACCEPT;
  }

  /** Whether a text may have these next bytes; `ascii`: they are known to be ASCII. */
  mayContinue(bytes: Uint8Array, start: number, end: number, ascii: boolean): boolean {
    if (start === end || !this.#options.checksText) return true;
    if (ascii && this.#utf8 === UTF8_ACCEPT) return true;
    this.#utf8 = utf8Step(this.#utf8, bytes, start, end, this.#options.isUtf8);
    return this.#utf8 !== UTF8_REJECT;
  }

  /** Whether a text may end here: not within a character. */
  get mayEnd(): boolean {
    return this.#utf8 === UTF8_ACCEPT;
  }
}

/** The fault of a text message that is not UTF-8 (RFC 6455, section 8.1). */
export function invalidText(): ProtocolError {
  return new ProtocolError(
    CloseCode.InvalidFramePayloadData,
    ['invalid UTF-8 in text message'],
    'WS_ERR_INVALID_UTF8',
  );
}

/**
 * The fault of a frame inside of a message, or a control frame, that has reserved bits: an
 * extension gives them a meaning on the first frame of a message only (RFC 6455, section 5.2).
 */
export function reservedBits(rsv: number): ProtocolError {
  const set = [0x40, 0x20, 0x10].flatMap((bit, i) => ((rsv & bit) === 0 ? [] : `RSV${i + 1} set`));
  return new ProtocolError(CloseCode.ProtocolError, set, 'WS_ERR_PROTOCOL');
}
