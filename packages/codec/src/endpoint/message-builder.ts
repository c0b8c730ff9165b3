import { CloseCode } from '../close/close-code.ts';
import { ProtocolError } from '../errors.ts';
import { ContinuationFrame, TextMessage } from '../frames/opcode.ts';
import type { OwnedBytes } from '../memory/owned-bytes.ts';
import { NO_BYTES } from '../memory/slab.ts';
import { UTF8_ACCEPT, UTF8_REJECT, utf8Step } from '../text/utf8.ts';

/** A complete message: text, or bytes that the receiver owns. */
export type CompleteMessage =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'binary'; readonly data: OwnedBytes };

/**
 * Joins the data frames of a message. Its memory is at most twice the bytes that have arrived, and
 * at most `limit`. A fragment costs no memory besides its bytes.
 */
export class MessageBuilder {
  readonly #limit: number;
  readonly #maxEmptyFragments: number;
  #type = 0;
  /** The payload so far is `#bytes[0, #size)`. */
  #bytes: Uint8Array = NO_BYTES;
  #size = 0;
  /** Length of the frames so far, as their headers announce it. */
  #announced = 0;
  #utf8 = UTF8_ACCEPT;
  #emptyFragments = 0;

  constructor(limit: number, maxEmptyFragments: number) {
    this.#limit = limit;
    this.#maxEmptyFragments = maxEmptyFragments;
  }

  /** Longest payload that the next frame may have. */
  get room(): number {
    return this.#limit - this.#announced;
  }

  /** @throws ProtocolError 1008 for too many empty fragments in a row. */
  beginFrame(opcode: number, length: number, fin: boolean): void {
    if (opcode !== ContinuationFrame) this.#type = opcode;
    this.#announced += length;
    this.#emptyFragments = length > 0 || fin ? 0 : this.#emptyFragments + 1;
    if (this.#emptyFragments > this.#maxEmptyFragments) {
      throw new ProtocolError(CloseCode.PolicyViolation, [
        `more than ${this.#maxEmptyFragments} empty fragments in a row`,
      ]);
    }
  }

  /**
   * Copies a piece of payload.
   *
   * @throws ProtocolError 1007 at the first byte of a text that is not UTF-8.
   */
  append(bytes: Uint8Array, start: number, end: number): void {
    if (this.#type === TextMessage) {
      this.#utf8 = utf8Step(this.#utf8, bytes, start, end);
      if (this.#utf8 === UTF8_REJECT) throw invalidText();
    }
    this.#reserve(this.#size + end - start);
    this.#bytes.set(bytes.subarray(start, end), this.#size);
    this.#size += end - start;
  }

  /**
   * Ends the message.
   *
   * @throws ProtocolError 1007 for a text that ends inside a character.
   */
  finish(): CompleteMessage {
    if (this.#utf8 !== UTF8_ACCEPT) throw invalidText();
    const payload = this.#bytes.subarray(0, this.#size);
    const message: CompleteMessage =
      this.#type === TextMessage
        ? { kind: 'text', text: decodeText(payload) }
        : { kind: 'binary', data: payload.slice() };
    this.clear();
    return message;
  }

  /** Drops the message and its memory. */
  clear(): void {
    this.#bytes = NO_BYTES;
    this.#size = 0;
    this.#announced = 0;
    this.#emptyFragments = 0;
  }

  /** Memory grows with the bytes that have arrived, and never with an announced length. */
  #reserve(size: number): void {
    if (size <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(size, Math.min(this.#limit, 2 * this.#bytes.length)));
    larger.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = larger;
  }
}

function invalidText(): ProtocolError {
  return new ProtocolError(
    CloseCode.InvalidFramePayloadData,
    ['invalid UTF-8 in text message'],
    'WS_ERR_INVALID_UTF8',
  );
}

let decoder: TextDecoder | undefined;

/** Decodes valid UTF-8. A byte order mark is kept. */
function decodeText(bytes: Uint8Array): string {
  decoder ??= new TextDecoder('utf-8', { ignoreBOM: true });
  return decoder.decode(bytes);
}
