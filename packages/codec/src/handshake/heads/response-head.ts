import { CR, isOf, SPACE, TEXT } from '../byte-class.ts';
import { Head, type HeadLimits } from './head.ts';
import type { ResponseFacts } from './response-rules.ts';

const VERSION = 'HTTP/1.';
/** Proxies add lines without a bound of their number: the bytes bound them. */
const DEFAULTS = { maxBytes: 65_536, maxLines: 65_536 };
/** Indexes in the status line `HTTP/1.1 101 Switching Protocols`. */
const MINOR_AT = 7;
const STATUS_AT = 9;
const REASON_AT = 12;
const ZERO = 0x30;
const NINE = 0x39;

/**
 * Reads the head of a response, with limits: the twin of {@link RequestHead}. One object reads one
 * head. An interim response (status 100 to 199, except 101) is followed by another head, at `end`.
 *
 * ```ts
 * import { acceptKey, checkResponse, ResponseHead } from '@ws/codec';
 *
 * // The offer of the request.
 * const accept = acceptKey('dGhlIHNhbXBsZSBub25jZQ==');
 * const offer = { accept, subprotocols: ['chat'], extensions: [] };
 * const head = new ResponseHead();
 *
 * function isOpen(chunk: Uint8Array): boolean {
 *   return head.push(chunk) === 'done' && checkResponse(head, offer).length === 0;
 * }
 *
 * console.log(isOpen(new TextEncoder().encode('HTTP/1.1 403 Forbidden\r\n\r\n'))); // false
 * ```
 *
 * @see RFC 9112, section 4; RFC 6455, section 4.1
 */
export class ResponseHead extends Head implements ResponseFacts {
  #status = 0;
  #minor = 0;

  /** @throws TypeError or RangeError that names the invalid limit. */
  constructor(limits: HeadLimits = {}) {
    super('ResponseHead', limits, ['maxBytes', 'maxLines'], DEFAULTS);
  }

  /** The status, 100 to 999. 0 until its digits have arrived. */
  get status(): number {
    return this.#status < 100 ? 0 : this.#status;
  }

  /** The version of HTTP. */
  get version(): '1.0' | '1.1' {
    return this.#minor === 1 ? '1.1' : '1.0';
  }

  /** The minor version of HTTP/1: 0 or 1. */
  get minor(): number {
    return this.#minor;
  }

  protected override readStartLine(byte: number, at: number): boolean {
    if (at < MINOR_AT) return byte === VERSION.charCodeAt(at);
    if (at === MINOR_AT) {
      this.#minor = byte === ZERO + 1 ? 1 : 0;
      return byte === ZERO + this.#minor;
    }
    if (at < STATUS_AT) return byte === SPACE;
    if (at < REASON_AT) {
      if (byte < ZERO || byte > NINE) return false;
      this.#status = 10 * this.#status + byte - ZERO;
      return this.#status > 0;
    }
    // RFC 9112, section 4: some servers leave out the space when there is no reason phrase.
    if (at === REASON_AT) {
      this.isInText = true;
      return byte === SPACE || byte === CR;
    }
    return byte === CR || isOf(TEXT, byte);
  }

  protected override check(): void {}
}
