import {
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as makeHttpRequest,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { TransportError } from '@ws/conn';
import { BadHandshakeError } from './errors.ts';
import { checkOpen } from './guard.ts';

/** The server's answer, as node:http read it. */
export interface Answer {
  readonly status: number;
  readonly httpVersion: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  /** The first bytes behind the head, when it is not a 101. */
  readonly body: Buffer;
  /** The bytes that came with the 101: the first frames. */
  readonly head: Buffer;
}

/** Bytes of the answer up to the end of its head, interim answers (1xx) among them. */
const MAX_HEAD = 16 * 1024;
const MAX_INTERIM = 10;
/** Bytes of a refusal's body that are kept. */
const MAX_BODY = 1024;
/** A refusal's body that comes later than this is not waited for: many servers leave it open. Milliseconds. */
const BODY_WAIT = 500;
const NONE: Buffer = Buffer.alloc(0);

/**
 * Sends a handshake over `stream` and reads the answer to it, whatever it says. After a 101 the stream is as node:http
 * leaves it: not flowing, without a listener of ours.
 *
 * @param signal - Ends the wait; the promise then rejects with its reason.
 * @throws BadHandshakeError with status 0 when what comes is not HTTP or too much, TransportError when the stream ends.
 */
export async function exchange(
  stream: Duplex,
  path: string,
  headers: readonly string[],
  signal: AbortSignal,
): Promise<Answer> {
  signal.throwIfAborted();
  checkOpen(stream);
  const request = makeHttpRequest({
    createConnection: () => stream,
    method: 'GET',
    path,
    headers,
    setHost: false,
    maxHeaderSize: MAX_HEAD,
    insecureHTTPParser: false,
  });
  // Node's default drops the header lines after a thousand, and a second Accept with them.
  request.maxHeadersCount = 0;
  return new Exchange(request, stream, signal).answer;
}

/** One request under way: the first of upgrade, response, error, too much of something, or abort decides. */
class Exchange {
  readonly answer: Promise<Answer>;
  readonly #request: ClientRequest;
  readonly #stream: Duplex;
  readonly #signal: AbortSignal;
  #resolve!: (answer: Answer) => void;
  #reject!: (reason: unknown) => void;
  #interim = 0;
  /** Bytes that came. */
  #received = 0;
  #answering = false;
  #wait: NodeJS.Timeout | undefined;

  constructor(request: ClientRequest, stream: Duplex, signal: AbortSignal) {
    this.#request = request;
    this.#stream = stream;
    this.#signal = signal;
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    signal.addEventListener('abort', this.#onAbort);
    request.once('socket', () => {
      stream.prependListener('data', this.#count);
      // Listening alone does not start a stream that its owner has paused.
      stream.resume();
    });
    request.on('information', (info) => {
      if (++this.#interim > MAX_INTERIM) this.#fail(tooManyInterim(info.statusCode, info.headers));
    });
    request.on('upgrade', (response, _stream, head) => this.#upgraded(response, head));
    request.on('response', (response) => this.#answered(response));
    // Once there is a response an error is its body's, and changes nothing.
    request.on('error', (error) => {
      if (!this.#answering) this.#fail(explain(error));
    });
    request.end();
  }

  #upgraded(response: IncomingMessage, head: Buffer): void {
    if (this.#received - head.length > MAX_HEAD) return this.#fail(tooLarge());
    this.#settle();
    this.#resolve(answer(response, head.subarray(0, MAX_BODY), head));
  }

  /** Any status but 101, and a 101 without the headers of an upgrade. */
  #answered(response: IncomingMessage): void {
    this.#answering = true;
    this.#stream.off('data', this.#count);
    const chunks: Buffer[] = [];
    let length = 0;
    const finish = (): void => {
      this.#settle();
      this.#resolve(answer(response, Buffer.concat(chunks, Math.min(length, MAX_BODY)), NONE));
      this.#request.destroy();
    };
    this.#wait = setTimeout(finish, BODY_WAIT);
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length >= MAX_BODY) finish();
    });
    // A body that breaks off is still what there is to know of a refusal.
    response.on('error', finish);
    response.on('close', finish);
  }

  #fail(error: unknown): void {
    this.#settle();
    this.#reject(error);
    this.#request.destroy();
  }

  /** Nothing of ours stays on the stream or the signal. */
  #settle(): void {
    clearTimeout(this.#wait);
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#stream.off('data', this.#count);
  }

  readonly #onAbort = (): void => this.#fail(this.#signal.reason);

  /** Node's parser counts names and values only, and takes spaces between them without end; this counts what arrives. */
  readonly #count = (chunk: Buffer): void => {
    if (this.#received > MAX_HEAD) this.#fail(tooLarge());
    this.#received += chunk.length;
  };
}

function answer(response: IncomingMessage, body: Buffer, head: Buffer): Answer {
  const { statusCode = 0, httpVersion, headers, rawHeaders } = response;
  return { status: statusCode, httpVersion, headers, rawHeaders, body, head };
}

/** The parser's complaints have codes of their own; all else is the stream's. */
function explain(error: NodeJS.ErrnoException): Error {
  if (error.code === 'HPE_HEADER_OVERFLOW') return tooLarge(error);
  if (error.code?.startsWith('HPE_')) {
    return new BadHandshakeError('the answer is not HTTP', undefined, { cause: error });
  }
  return new TransportError('the connection broke before the server answered', { cause: error });
}

function tooLarge(cause?: Error): BadHandshakeError {
  return new BadHandshakeError(
    `the head of the answer is larger than ${MAX_HEAD} bytes`,
    undefined,
    { cause },
  );
}

function tooManyInterim(status: number, headers: IncomingHttpHeaders): BadHandshakeError {
  const message = `more than ${MAX_INTERIM} interim answers (1xx)`;
  return new BadHandshakeError(message, { status, headers, body: NONE });
}
