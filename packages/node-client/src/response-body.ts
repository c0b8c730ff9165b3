import type { ResponseHead } from '@ws/codec';

/** Most bytes of one line of a chunked body. */
const MAX_LINE = 1024;

/** Delimits the body of a response (RFC 9112, section 6.3) and removes its transfer coding. */
export class ResponseBody {
  /** Whether the whole body was read, or as much of it as may pass. */
  ended: boolean;
  /** Whether the whole body was read. */
  whole: boolean;
  /**
   * The value of Content-Length. A 204 must not have one, and that of a 304 is not the length of its
   * body (RFC 9110, section 8.6).
   */
  readonly length: number | undefined;
  readonly #write: (bytes: Uint8Array) => void;
  readonly #chunked: boolean;
  /** Bytes left of the body, or of the current chunk. */
  #left: number;
  /** Bytes that may still pass. */
  #allowance: number;
  #line = '';
  #state: 'size' | 'data' | 'after data' | 'trailer' = 'size';

  /**
   * @param most - Bytes that may pass.
   * @param write - Gets the bytes of the body. It does not keep them.
   */
  constructor(head: ResponseHead, most: number, write: (bytes: Uint8Array) => void) {
    const length = head.once('content-length');
    this.#write = write;
    this.#allowance = most;
    this.#chunked = head.has('transfer-encoding');
    const empty = head.status === 204 || head.status === 304;
    this.#left = empty ? 0 : length === undefined ? Infinity : Number(length);
    this.length = empty || this.#chunked || this.#left === Infinity ? undefined : this.#left;
    if (this.#chunked) this.#left = 0;
    this.ended = this.whole = empty || (!this.#chunked && this.#left === 0);
  }

  /** The response has no more bytes: that ends a body without a length. */
  end(): void {
    this.whole ||= this.#left === Infinity && !this.ended;
  }

  push(bytes: Uint8Array): void {
    if (!this.#chunked) return this.#take(bytes, 0);
    let at = 0;
    while (at < bytes.length && !this.ended) at = this.#pushChunked(bytes, at);
  }

  #take(bytes: Uint8Array, at: number): void {
    const available = Math.min(bytes.length - at, this.#left);
    const size = Math.min(available, this.#allowance);
    if (size > 0 && !this.ended) this.#write(bytes.subarray(at, at + size));
    this.#left -= size;
    this.#allowance -= size;
    if (!this.#chunked && this.#left === 0) this.whole = true;
    if (this.whole || available > size) this.ended = true;
  }

  #pushChunked(bytes: Uint8Array, at: number): number {
    if (this.#state === 'data') {
      const size = Math.min(bytes.length - at, this.#left);
      this.#take(bytes.subarray(at, at + size), 0);
      if (this.#left === 0) this.#state = 'after data';
      return at + size;
    }
    const byte = bytes[at]!;
    if (byte !== 0x0a) {
      this.#line += String.fromCharCode(byte);
      // Only CRLF follows the data of a chunk. A target that never sends it would hold the client.
      const isMalformed = this.#state === 'after data' && byte !== 0x0d;
      if (isMalformed || this.#line.length > MAX_LINE) this.ended = true;
    } else this.#endLine();
    return at + 1;
  }

  #endLine(): void {
    const line = this.#line.replace(/\r$/, '');
    this.#line = '';
    if (this.#state === 'after data') this.#state = 'size';
    else if (this.#state === 'trailer') this.ended = this.whole = line === '';
    else {
      const size = /^([\da-f]{1,8})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
      // A malformed chunk ends the body: its rest has no meaning.
      if (size === undefined) this.ended = true;
      this.#left = Number.parseInt(size ?? '0', 16);
      this.#state = this.#left === 0 ? 'trailer' : 'data';
    }
  }
}
