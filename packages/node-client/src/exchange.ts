import type { Duplex } from 'node:stream';
import { type HeadFault, type ResponseFacts, ResponseHead } from '@ws/codec';
import { hasToken } from '@ws/codec/internal';

/** The head of a final response: a {@link ResponseHead}, or the head on a stream of HTTP/2. */
export interface FinalHead extends ResponseFacts {
  /** Returns all header lines. */
  all(): readonly (readonly [name: string, value: string])[];
  /** Returns the value of a field that occurs exactly once, otherwise undefined. */
  once(name: string): string | undefined;
}

/** The answer to a request: the head of its final response. */
export interface FinalResponse {
  /**
   * Paused, and without listeners of the exchange. After a tunnel's 2xx, the bytes that followed are
   * the next to be read from it.
   */
  readonly stream: Duplex;
  readonly head: ResponseHead;
  /** The bytes that came with the head: the first frames, or the start of a body. */
  readonly rest: Buffer;
}

/** Why a request has no answer. */
export type ExchangeFailure =
  /** The response is not HTTP, or exceeds a bound. `first`: in its first bytes. */
  | { readonly kind: 'malformed'; readonly fault: HeadFault; readonly first: boolean }
  /** More than `most` interim responses. `head` is the last one. */
  | { readonly kind: 'interim'; readonly head: ResponseHead; readonly most: number }
  /** The stream has ended. `first`: before any byte. */
  | { readonly kind: 'ended'; readonly error: Error | undefined; readonly first: boolean };

/** The start of a request for a tunnel through a proxy. */
export const CONNECT = 'CONNECT ';
/** Most bytes up to the end of the response head, including interim responses (1xx). */
export const MAX_HEAD: number = 64 * 1024;
/** Most interim responses (1xx) before the final one. */
const MAX_INTERIM = 10;

/** The first byte of a TLS alert (RFC 8446, section 5.1): the answer to a request without TLS. */
const TLS_ALERT = 0x15;
const TLS_ANSWER: HeadFault = { status: 400, message: 'a TLS alert' };
/** The first frame of a server that speaks only HTTP/2, without TLS. */
export const HTTP2_ANSWER: HeadFault = { status: 400, message: 'a SETTINGS frame of HTTP/2' };
const LAST_INTERIM: HeadFault = {
  status: 400,
  message: 'an interim answer (1xx) ends the connection',
};

/** The header of a SETTINGS frame (RFC 9113, sections 4.1 and 6.5); undefined for any byte. */
const SETTINGS_HEADER: readonly (number | undefined)[] = [0, 0, undefined, 4, 0, 0, 0, 0, 0];
const FRAME_HEADER = SETTINGS_HEADER.length;

/** Whether bytes are, or may become, the start of such a frame. */
function isSettings(bytes: Buffer): boolean {
  return SETTINGS_HEADER.every((byte, i) => byte === undefined || byte === (bytes[i] ?? byte));
}

/**
 * One pending request: writes it and reads the head of its final response, whatever the status. The
 * first event decides: a head, a fault, the end of the stream, or a call of `fail` or `stop`.
 */
export class Exchange {
  /** @throws (rejects with) what `errorOf` has made of a failure, and the argument of `fail`. */
  readonly answer: Promise<FinalResponse>;
  readonly #stream: Duplex;
  /** For a tunnel through a proxy. */
  readonly #isConnect: boolean;
  readonly #errorOf: (failure: ExchangeFailure) => unknown;
  #resolve!: (answer: FinalResponse) => void;
  #reject!: (reason: unknown) => void;
  #head: ResponseHead;
  /** Bytes of heads so far. */
  #received = 0;
  #interim = 0;
  /** The start of an answer that may be a frame of HTTP/2. */
  #frame: Buffer | undefined;

  /**
   * @param stream - Open or still connecting.
   * @param request - The whole request in Latin-1.
   */
  constructor(stream: Duplex, request: string, errorOf: (failure: ExchangeFailure) => unknown) {
    this.#stream = stream;
    this.#isConnect = request.startsWith(CONNECT);
    this.#errorOf = errorOf;
    this.#head = this.#createHead();
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    stream.on('error', this.#onError).on('end', this.#onEnd).on('close', this.#onEnd);
    stream.on('data', this.#onData);
    // A 'data' listener alone does not resume a stream that its owner has paused.
    stream.resume();
    stream.write(request, 'latin1');
    if (stream.destroyed) this.#onEnd();
  }

  /** Gives up the request. The stream stays open. */
  fail(error: unknown): void {
    this.stop();
    this.#reject(error);
  }

  /** Removes the listeners from the stream, and pauses it. No effect after the first event. */
  stop(): void {
    const stream = this.#stream.off('data', this.#onData).off('error', this.#onError);
    stream.off('end', this.#onEnd).off('close', this.#onEnd).pause();
  }

  readonly #onData = (bytes: Buffer): void => {
    const first = this.#received === 0;
    const chunk = this.#frame === undefined ? bytes : Buffer.concat([this.#frame, bytes]);
    if (first && chunk[0] === TLS_ALERT) return this.#malformed(TLS_ANSWER, first);
    if (first && isSettings(chunk)) {
      if (chunk.length >= FRAME_HEADER) return this.#malformed(HTTP2_ANSWER, false);
      this.#frame = chunk;
      return;
    }
    for (let rest = chunk; ; ) {
      const head = this.#head;
      const verdict = head.push(rest);
      if (verdict === 'fault') return this.#malformed(head.fault!, false);
      this.#received += verdict === 'more' ? rest.length : head.end;
      if (verdict === 'more') return;
      rest = rest.subarray(head.end);
      if (head.status >= 200 || head.status === 101) return this.#onHead(head, rest);
      if (++this.#interim > MAX_INTERIM) {
        return this.fail(this.#errorOf({ kind: 'interim', head, most: MAX_INTERIM }));
      }
      // No answer may follow then: node:http refuses one too.
      if (isLast(head)) return this.#malformed(LAST_INTERIM, false);
      this.#head = this.#createHead();
    }
  };

  #onHead(head: ResponseHead, rest: Buffer): void {
    const stream = this.#stream;
    this.stop();
    // Both in this turn: in a later one the stream may have ended.
    if (this.#isConnect && isSuccess(head.status) && rest.length > 0) {
      stream.unshift(rest);
    }
    // The peer may end the stream before the answer is used. Its messages are still valid.
    if (head.status === 101) stream.allowHalfOpen = true;
    this.#resolve({ stream, head, rest });
  }

  #malformed(fault: HeadFault, first: boolean): void {
    this.fail(this.#errorOf({ kind: 'malformed', fault, first }));
  }

  readonly #onEnd = (): void => this.#onError(this.#stream.errored ?? undefined);

  readonly #onError = (error: Error | undefined): void => {
    this.fail(this.#errorOf({ kind: 'ended', error, first: this.#received === 0 }));
  };

  #createHead(): ResponseHead {
    const limits = { maxBytes: Math.max(1, MAX_HEAD - this.#received) };
    return this.#isConnect ? new TunnelHead(limits) : new ResponseHead(limits);
  }
}

/** Whether a server has accepted: with a 101, over HTTP/2 with any 2xx (RFC 8441, section 5). */
export function isAccepted(version: ResponseFacts['version'], status: number): boolean {
  return version === '2' ? isSuccess(status) : status === 101;
}

/** Whether a proxy has opened the tunnel: any 2xx does (RFC 9110, section 9.3.6). */
export function isSuccess(status: number): boolean {
  return status >= 200 && status <= 299;
}

/** The answer to CONNECT. The fields that announce a body have no meaning when it opens the tunnel. */
class TunnelHead extends ResponseHead {
  protected override hasUnclearBody(): boolean {
    return !isSuccess(this.status) && super.hasUnclearBody();
  }
}

/** Whether an interim response says that the connection ends after it. */
function isLast(head: ResponseHead): boolean {
  return (
    head.version === '1.0' ||
    hasToken(head.list('connection'), 'close') ||
    hasToken(head.list('proxy-connection'), 'close')
  );
}

/** Most bytes of one line of a chunked body. */
const MAX_LINE = 1024;

/** Delimits the body of a response (RFC 9112, section 6.3) and removes its transfer coding. */
export class ResponseBody {
  /** Whether the whole body was read, or as much of it as may pass. */
  ended: boolean;
  /** Whether the whole body was read. */
  whole: boolean;
  /**
   * The value of Content-Length; undefined for a 204, which must not have one, and for a 304, where it
   * is not the length of the body (RFC 9110, section 8.6).
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
  constructor(head: FinalHead, most: number, write: (bytes: Uint8Array) => void) {
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
