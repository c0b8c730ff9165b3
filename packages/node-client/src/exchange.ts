import {
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as makeHttpRequest,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { rawHeaderValues } from '@ws/http-shared';
import { dialError } from './dial-error.ts';
import { BadHandshakeError } from './errors.ts';
import { checkOpen } from './guarded-stream.ts';
import { MAX_BODY, RefusalBody } from './refusal-body.ts';

/** One request over an open stream. */
export interface HttpRequest {
  /** GET for a handshake with a server, CONNECT for a tunnel through a proxy. */
  readonly method: 'GET' | 'CONNECT';
  /** The request target. */
  readonly path: string;
  /** Names and values in turn. */
  readonly headers: readonly string[];
}

/** One response, as node:http parsed it. */
export interface HttpResponse {
  readonly status: number;
  readonly httpVersion: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as received. */
  readonly rawHeaders: readonly string[];
  /** The first bytes after the head; empty for a proxy's 200. */
  readonly body: Buffer;
  /** The bytes that came with a 101: the first frames. */
  readonly head: Buffer;
  /**
   * Whether node:http took it for an upgrade or a tunnel, and detached its parser from the stream.
   */
  readonly upgraded: boolean;
}

/** Most bytes up to the end of the response head, including interim responses (1xx). */
const MAX_HEAD = 16 * 1024;
/** Most header lines of one response. */
const MAX_LINES = 100;
const MAX_INTERIM = 10;
const NO_BYTES: Buffer = Buffer.alloc(0);

/**
 * Sends a request over `stream` and reads its response, whatever the status. After a 101 or a
 * proxy's 200 the stream does not flow and has none of our listeners. Bytes that followed a proxy's
 * 200 are the next to be read from it.
 *
 * @throws BadHandshakeError with status 0 when the response is not HTTP or exceeds a bound;
 *   TransportError when the stream ends; the reason of `signal` when that aborts.
 */
export async function exchange(
  stream: Duplex,
  httpRequest: HttpRequest,
  signal: AbortSignal,
): Promise<HttpResponse> {
  signal.throwIfAborted();
  checkOpen(stream);
  return new Exchange(stream, httpRequest, signal).response;
}

/**
 * Makes a request without sending it. Its parser reads the stream from the next turn of the event
 * loop on.
 */
function makeRequest(stream: Duplex, httpRequest: HttpRequest): ClientRequest {
  const request = makeHttpRequest({
    createConnection: () => stream,
    ...httpRequest,
    setHost: false,
    maxHeaderSize: MAX_HEAD,
    insecureHTTPParser: false,
  });
  // By default node:http drops header lines after the first 1,000, possibly a second
  // Sec-WebSocket-Accept.
  request.maxHeadersCount = 0;
  return request;
}

/** Names in error messages. */
interface Labels {
  readonly peer: string;
  readonly answer: string;
}
const LABELS: Readonly<Record<HttpRequest['method'], Labels>> = {
  GET: { peer: 'the server', answer: 'the answer' },
  CONNECT: { peer: 'the proxy', answer: 'the answer of the proxy' },
};

/**
 * One pending request. The first event decides: upgrade, response, error, an exceeded bound or an
 * abort.
 */
class Exchange {
  readonly response: Promise<HttpResponse>;
  #request: ClientRequest;
  readonly #stream: Duplex;
  readonly #httpRequest: HttpRequest;
  readonly #signal: AbortSignal;
  readonly #labels: Labels;
  #resolve!: (answer: HttpResponse) => void;
  #reject!: (reason: unknown) => void;
  #interim = 0;
  /** Bytes received. */
  #received = 0;
  /** A proxy's refusal, whose body another parser reads. */
  #refusal: IncomingMessage | undefined;
  #body: RefusalBody | undefined;

  constructor(stream: Duplex, httpRequest: HttpRequest, signal: AbortSignal) {
    this.#stream = stream;
    this.#httpRequest = httpRequest;
    this.#signal = signal;
    this.#labels = LABELS[httpRequest.method];
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    signal.addEventListener('abort', this.#onAbort);
    // node:http listens from the next turn on. Until then 'error' may be the only event of a stream
    // that fails.
    stream.on('error', this.#onError);
    this.#request = this.#attachParser();
    this.#request.end();
  }

  #attachParser(): ClientRequest {
    const method = this.#refusal === undefined ? this.#httpRequest.method : 'GET';
    const request = makeRequest(this.#stream, { ...this.#httpRequest, method });
    request.once('socket', () => {
      if (this.#refusal === undefined) this.#stream.prependListener('data', this.#countBytes);
      // A 'data' listener alone does not resume a stream that its owner has paused.
      this.#stream.resume();
    });
    request.on('information', (info) => {
      if (++this.#interim > MAX_INTERIM) this.#fail(tooManyInterim(info, this.#labels));
    });
    request.on('upgrade', (response, _stream, head) => this.#onUpgrade(response, head));
    request.on('connect', (response, _stream, head) => this.#onConnect(response, head));
    request.on('response', (response) => this.#onResponse(response));
    request.on('error', this.#onError);
    return request;
  }

  #onUpgrade(response: IncomingMessage, head: Buffer): void {
    if (this.#failIfTooLarge(response, this.#received - head.length)) return;
    this.#settle();
    this.#resolve(toHttpResponse(response, head.subarray(0, MAX_BODY), head));
  }

  /**
   * Every response to CONNECT: node:http emits 'connect' for any status, even for interim
   * responses.
   */
  #onConnect(response: IncomingMessage, head: Buffer): void {
    if (this.#failIfTooLarge(response, this.#received - head.length)) return;
    const { statusCode = 0 } = response;
    if (statusCode < 200 && statusCode !== 101) return this.#skipInterim(response, head);
    if (statusCode !== 200) {
      // node:http has detached its parser before the body. Attach another and replay the head as an
      // ordinary response.
      this.#refusal = response;
      return this.#attachNextParser(Buffer.concat([headOfBody(response), head]));
    }
    this.#settle();
    this.#putBack(head);
    this.#resolve(toHttpResponse(response, NO_BYTES, NO_BYTES));
  }

  /**
   * After an interim response to CONNECT, the next response needs a new parser. A request that is
   * never sent has one.
   */
  #skipInterim(response: IncomingMessage, head: Buffer): void {
    if (++this.#interim > MAX_INTERIM) return this.#fail(tooManyInterim(response, this.#labels));
    this.#received -= head.length;
    this.#attachNextParser(head);
  }

  #attachNextParser(bytes: Buffer): void {
    this.#stream.off('data', this.#countBytes);
    this.#putBack(bytes);
    this.#request = this.#attachParser();
  }

  /** Unshifts `head` in the turn of its arrival: in a later turn the stream may have ended. */
  #putBack(head: Buffer): void {
    if (head.length > 0) this.#stream.unshift(head);
  }

  /** Any status except 101, or a 101 without the headers of an upgrade. */
  #onResponse(response: IncomingMessage): void {
    // The size of the head is not known here; #countBytes has checked its bytes as they arrived.
    if (this.#failIfTooLarge(response, 0)) return;
    this.#stream.off('data', this.#countBytes);
    this.#body = new RefusalBody(response, (bytes) => {
      // Errors in the rest of the body are ignored.
      response.on('error', () => {});
      this.#refused(this.#refusal ?? response, bytes);
    });
  }

  #refused(response: IncomingMessage, body: Buffer): void {
    this.#settle();
    this.#resolve(toHttpResponse(response, body, NO_BYTES, false));
    this.#request.destroy();
  }

  /** Fails for a head that exceeds a bound, and returns whether it did. */
  #failIfTooLarge(response: IncomingMessage, bytes: number): boolean {
    if (bytes > MAX_HEAD) this.#fail(tooLarge(this.#labels));
    else if (response.rawHeaders.length > 2 * MAX_LINES) {
      this.#fail(tooManyLines(response, this.#labels));
    } else return false;
    return true;
  }

  #fail(error: unknown): void {
    this.#settle();
    this.#reject(error);
    this.#request.destroy();
  }

  /** Removes our listeners from the stream and the signal. */
  #settle(): void {
    this.#body?.stop();
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#stream.off('data', this.#countBytes);
    this.#stream.off('error', this.#onError);
  }

  readonly #onError = (error: Error): void => {
    // After the response head an error concerns the body only.
    if (this.#body !== undefined) return;
    if (this.#refusal !== undefined) this.#refused(this.#refusal, NO_BYTES);
    else this.#fail(explainError(error, this.#labels));
  };

  readonly #onAbort = (): void => this.#fail(this.#signal.reason);

  /**
   * Counts received bytes. Node's parser counts names and values only, and allows endless spaces
   * between them.
   */
  readonly #countBytes = (chunk: Buffer): void => {
    if (this.#received > MAX_HEAD) this.#fail(tooLarge(this.#labels));
    this.#received += chunk.length;
  };
}

/** Formats the head of a response to GET with the same body. */
function headOfBody({ rawHeaders }: IncomingMessage): Buffer {
  const framing = ['content-length', 'transfer-encoding'].flatMap((name) =>
    rawHeaderValues(rawHeaders, name).map((value) => `${name}: ${value}\r\n`),
  );
  return Buffer.from(`HTTP/1.1 200 OK\r\n${framing.join('')}\r\n`, 'latin1');
}

function toHttpResponse(
  response: IncomingMessage,
  body: Buffer,
  head: Buffer,
  upgraded = true,
): HttpResponse {
  const { statusCode = 0, httpVersion, headers, rawHeaders } = response;
  return { status: statusCode, httpVersion, headers, rawHeaders, body, head, upgraded };
}

/** Errors of the parser have `HPE_` codes; all others come from the stream. */
function explainError(error: NodeJS.ErrnoException, labels: Labels): Error {
  if (error.code === 'HPE_HEADER_OVERFLOW') return tooLarge(labels, error);
  if (error.code?.startsWith('HPE_')) {
    const message = `${labels.answer} is not HTTP; check host and port`;
    return new BadHandshakeError(message, undefined, { cause: error });
  }
  return dialError(`the connection broke before ${labels.peer} answered`, error);
}

function tooLarge(labels: Labels, cause?: Error): BadHandshakeError {
  return new BadHandshakeError(
    `the head of ${labels.answer} is larger than ${MAX_HEAD} bytes`,
    undefined,
    { cause },
  );
}

/** The head of a response, interim or final. */
interface Head {
  readonly statusCode?: number | undefined;
  readonly headers: IncomingHttpHeaders;
}

function tooManyLines(head: Head, labels: Labels): BadHandshakeError {
  return badHead(`the head of ${labels.answer} has more than ${MAX_LINES} lines`, head);
}

function tooManyInterim(head: Head, labels: Labels): BadHandshakeError {
  const who = labels === LABELS.CONNECT ? ' of the proxy' : '';
  return badHead(`more than ${MAX_INTERIM} interim answers (1xx)${who}`, head);
}

function badHead(message: string, { statusCode = 0, headers }: Head): BadHandshakeError {
  return new BadHandshakeError(message, { status: statusCode, headers, body: NO_BYTES });
}
