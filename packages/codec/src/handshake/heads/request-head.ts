import { whole } from '../../arguments.ts';
import { CR, isOf, SPACE, TOKEN, VISIBLE } from '../byte-class.ts';
import type { RequestFacts } from '../request-rules.ts';
import { Head, type HeadLimits } from './head.ts';

/** Limits of {@link RequestHead}. */
export interface RequestHeadLimits extends HeadLimits {
  /** Most bytes of the request target. Default 8 KiB. */
  maxTarget?: number;
}

/** RFC 9112, section 3.2: origin form or absolute form. User info is not allowed. */
const TARGET = /^(?:\/|[A-Za-z]+:\/\/[\w\-.~!$&'()*+,;=%:[\]]+(?:[/?]|$))/;
const VERSION = 'HTTP/1.';
/** The bytes as in node:http. */
const DEFAULTS = { maxBytes: 16_384, maxLines: 100 };

// The parts of the request line.
const IN_METHOD = 0;
const IN_TARGET = 1;
const IN_VERSION = 2;

/**
 * Reads the head of a request, with limits. It creates strings only when you ask for them. One
 * object reads one head.
 *
 * ```ts
 * import { checkRequest, formatRefusal, formatSwitching, RequestHead } from '@ws/codec';
 *
 * const head = new RequestHead();
 *
 * function receive(chunk: Uint8Array): string | undefined {
 *   if (head.push(chunk) === 'more') return undefined;
 *   if (head.fault !== undefined) return formatRefusal(head.fault.status, {}, head.fault.message);
 *   const refusal = checkRequest(head);
 *   if (refusal !== undefined) return formatRefusal(refusal.status, refusal.headers, refusal.message);
 *   return formatSwitching(head.once('sec-websocket-key')!); // chunk.subarray(head.end) has frames
 * }
 *
 * console.log(receive(new TextEncoder().encode('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')));
 * ```
 *
 * @see RFC 9112, section 3; RFC 6455, section 4.2.1
 */
export class RequestHead extends Head implements RequestFacts {
  /** Address of the client. The owner of the stream sets it. */
  remoteAddress: string | undefined = undefined;
  readonly #maxTarget: number;
  #part = IN_METHOD;
  #targetStart = 0;
  #targetEnd = 0;
  #minor = 0;

  /** @throws TypeError or RangeError that names the invalid limit. */
  constructor(limits: RequestHeadLimits = {}) {
    super('RequestHead', limits, ['maxBytes', 'maxTarget', 'maxLines'], DEFAULTS);
    const { maxTarget = 8192 } = limits;
    this.#maxTarget = whole('maxTarget', maxTarget);
  }

  /**
   * The method, such as `GET`; `''` until the head is complete. Any token, also one that node:http
   * refuses: `checkRequest` answers 405 for all but `GET`.
   */
  get method(): string {
    return this.text(0, this.#targetStart - 1);
  }

  /** The request target as sent: a path, or an absolute URI. `''` until the head is complete. */
  get target(): string {
    return this.text(this.#targetStart, this.#targetEnd);
  }

  /** The version of HTTP. */
  get version(): '1.0' | '1.1' {
    return this.#minor === 1 ? '1.1' : '1.0';
  }

  protected override readStartLine(byte: number, at: number): boolean {
    switch (this.#part) {
      case IN_METHOD:
        if (byte !== SPACE) return isOf(TOKEN, byte);
        this.#part = IN_TARGET;
        this.#targetStart = at + 1;
        return at > 0;
      case IN_TARGET:
        if (byte !== SPACE) return this.#readTarget(byte, at);
        this.#part = IN_VERSION;
        this.#targetEnd = at;
        return at > this.#targetStart;
      default:
        return this.#readVersion(byte, at - this.#targetEnd - 1);
    }
  }

  #readTarget(byte: number, at: number): boolean {
    if (at - this.#targetStart === this.#maxTarget) {
      this.fail(`the request target is longer than ${this.#maxTarget} bytes`, 431);
    }
    return isOf(VISIBLE, byte);
  }

  #readVersion(byte: number, i: number): boolean {
    if (i < VERSION.length) return byte === VERSION.charCodeAt(i);
    if (i > VERSION.length) return byte === CR;
    this.#minor = byte - 0x30;
    return this.#minor === 0 || this.#minor === 1;
  }

  protected override check(): void {
    if (!TARGET.test(this.target)) this.fail('the request target is neither a path nor a URI');
    else if (this.version === '1.1' && this.once('host') === undefined) {
      this.fail("not a websocket handshake: 'Host' header must occur exactly once");
    }
  }
}
