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
import { valuesOf } from './raw-headers.ts';
import { MAX_BODY, RefusalBody } from './refusal-body.ts';

/** What is asked, over a stream that is open. */
export interface Question {
  /** GET asks a server for a handshake, CONNECT asks a proxy for a tunnel. */
  readonly method: 'GET' | 'CONNECT';
  /** The request target. */
  readonly path: string;
  /** Names and values in turn. */
  readonly headers: readonly string[];
}

/** The answer, as node:http read it. */
export interface Answer {
  readonly status: number;
  readonly httpVersion: string;
  readonly headers: IncomingHttpHeaders;
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[];
  /** The first bytes behind the head, unless it is a proxy's 200. */
  readonly body: Buffer;
  /** The bytes that came with the 101: the first frames. */
  readonly head: Buffer;
  /** Whether node:http took it for the end of HTTP on this stream, and left the stream to us. */
  readonly upgraded: boolean;
}

/** Bytes of the answer up to the end of its head, interim answers (1xx) among them. */
const MAX_HEAD = 16 * 1024;
/** Header lines of one answer. */
const MAX_LINES = 100;
const MAX_INTERIM = 10;
const NONE: Buffer = Buffer.alloc(0);

/**
 * Sends a request over `stream` and reads the answer to it, whatever it says. After a 101, or a proxy's 200, the stream is
 * as node:http leaves it: not flowing, without a listener of ours. What came behind a proxy's 200 is read from it next.
 *
 * @param signal - Ends the wait; the promise then rejects with its reason.
 * @throws BadHandshakeError with status 0 when what comes is not HTTP or too much, TransportError when the stream ends.
 */
export async function exchange(
  stream: Duplex,
  question: Question,
  signal: AbortSignal,
): Promise<Answer> {
  signal.throwIfAborted();
  checkOpen(stream);
  return new Exchange(stream, question, signal).answer;
}

/** A request that is not sent yet. Its parser reads the stream from the next turn on. */
function makeRequest(stream: Duplex, question: Question): ClientRequest {
  const request = makeHttpRequest({
    createConnection: () => stream,
    ...question,
    setHost: false,
    maxHeaderSize: MAX_HEAD,
    insecureHTTPParser: false,
  });
  // Node's default drops the header lines after a thousand, and a second Accept with them.
  request.maxHeadersCount = 0;
  return request;
}

/** How messages call who answers, and the answer. */
interface Words {
  readonly peer: string;
  readonly answer: string;
}
const WORDS: Readonly<Record<Question['method'], Words>> = {
  GET: { peer: 'the server', answer: 'the answer' },
  CONNECT: { peer: 'the proxy', answer: 'the answer of the proxy' },
};

/** One request under way: the first of upgrade, response, error, too much of something, or abort decides. */
class Exchange {
  readonly answer: Promise<Answer>;
  #request: ClientRequest;
  readonly #stream: Duplex;
  readonly #question: Question;
  readonly #signal: AbortSignal;
  readonly #words: Words;
  #resolve!: (answer: Answer) => void;
  #reject!: (reason: unknown) => void;
  #interim = 0;
  /** Bytes that came. */
  #received = 0;
  /** A proxy's, whose body is read by another parser. */
  #refusal: IncomingMessage | undefined;
  #body: RefusalBody | undefined;

  constructor(stream: Duplex, question: Question, signal: AbortSignal) {
    this.#stream = stream;
    this.#question = question;
    this.#signal = signal;
    this.#words = WORDS[question.method];
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    signal.addEventListener('abort', this.#onAbort);
    // A stream that destroys nothing, and closes nothing, has only this to say, and node:http listens from the next turn on.
    stream.on('error', this.#onError);
    this.#request = this.#listen();
    this.#request.end();
  }

  #listen(): ClientRequest {
    const method = this.#refusal === undefined ? this.#question.method : 'GET';
    const request = makeRequest(this.#stream, { ...this.#question, method });
    request.once('socket', () => {
      if (this.#refusal === undefined) this.#stream.prependListener('data', this.#count);
      // Listening alone does not start a stream that its owner has paused.
      this.#stream.resume();
    });
    request.on('information', (info) => {
      if (++this.#interim > MAX_INTERIM) this.#fail(tooManyInterim(info, this.#words));
    });
    request.on('upgrade', (response, _stream, head) => this.#upgraded(response, head));
    request.on('connect', (response, _stream, head) => this.#connected(response, head));
    request.on('response', (response) => this.#answered(response));
    request.on('error', this.#onError);
    return request;
  }

  #upgraded(response: IncomingMessage, head: Buffer): void {
    if (this.#tooMuch(response, this.#received - head.length)) return;
    this.#settle();
    this.#resolve(answer(response, head.subarray(0, MAX_BODY), head));
  }

  /** Every answer to CONNECT: Node takes them all for a tunnel, interim ones too. */
  #connected(response: IncomingMessage, head: Buffer): void {
    if (this.#tooMuch(response, this.#received - head.length)) return;
    const { statusCode = 0 } = response;
    if (statusCode < 200 && statusCode !== 101) return this.#passOver(response, head);
    if (statusCode !== 200) {
      // The parser has gone, and the body is not read yet: the next one is told of it as if it were a server's.
      this.#refusal = response;
      return this.#listenAgain(Buffer.concat([headOfBody(response), head]));
    }
    this.#settle();
    this.#putBack(head);
    this.#resolve(answer(response, NONE, NONE));
  }

  /** After an interim answer to CONNECT the next answer needs a parser, and that a request, which is never sent. */
  #passOver(response: IncomingMessage, head: Buffer): void {
    if (++this.#interim > MAX_INTERIM) return this.#fail(tooManyInterim(response, this.#words));
    this.#received -= head.length;
    this.#listenAgain(head);
  }

  #listenAgain(bytes: Buffer): void {
    this.#stream.off('data', this.#count);
    this.#putBack(bytes);
    this.#request = this.#listen();
  }

  /** At once: in a later tick the stream may have had its end. */
  #putBack(head: Buffer): void {
    if (head.length > 0) this.#stream.unshift(head);
  }

  /** A refusal: any status but 101, a 101 without the headers of an upgrade. */
  #answered(response: IncomingMessage): void {
    // Its bytes are counted as they come: how many are the head's is not known here.
    if (this.#tooMuch(response, 0)) return;
    this.#stream.off('data', this.#count);
    this.#body = new RefusalBody(response, (bytes) => {
      // Nobody hears what the rest of it runs into.
      response.on('error', () => {});
      this.#refused(this.#refusal ?? response, bytes);
    });
  }

  #refused(response: IncomingMessage, body: Buffer): void {
    this.#settle();
    this.#resolve(answer(response, body, NONE, false));
    this.#request.destroy();
  }

  /** Fails for a head that is out of bounds. */
  #tooMuch(response: IncomingMessage, bytes: number): boolean {
    if (bytes > MAX_HEAD) this.#fail(tooLarge(this.#words));
    else if (response.rawHeaders.length > 2 * MAX_LINES) {
      this.#fail(tooManyLines(response, this.#words));
    } else return false;
    return true;
  }

  #fail(error: unknown): void {
    this.#settle();
    this.#reject(error);
    this.#request.destroy();
  }

  /** Nothing of ours stays on the stream or the signal. */
  #settle(): void {
    this.#body?.stop();
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#stream.off('data', this.#count);
    this.#stream.off('error', this.#onError);
  }

  readonly #onError = (error: Error): void => {
    // Once there is a response an error is its body's, and changes nothing.
    if (this.#body !== undefined) return;
    if (this.#refusal !== undefined) this.#refused(this.#refusal, NONE);
    else this.#fail(explain(error, this.#words));
  };

  readonly #onAbort = (): void => this.#fail(this.#signal.reason);

  /** Node's parser counts names and values only, and takes spaces between them without end; this counts what arrives. */
  readonly #count = (chunk: Buffer): void => {
    if (this.#received > MAX_HEAD) this.#fail(tooLarge(this.#words));
    this.#received += chunk.length;
  };
}

/** The head of an answer to GET that has the same body. */
function headOfBody({ rawHeaders }: IncomingMessage): Buffer {
  const framing = ['content-length', 'transfer-encoding'].flatMap((name) =>
    valuesOf(rawHeaders, name).map((value) => `${name}: ${value}\r\n`),
  );
  return Buffer.from(`HTTP/1.1 200 OK\r\n${framing.join('')}\r\n`, 'latin1');
}

function answer(response: IncomingMessage, body: Buffer, head: Buffer, upgraded = true): Answer {
  const { statusCode = 0, httpVersion, headers, rawHeaders } = response;
  return { status: statusCode, httpVersion, headers, rawHeaders, body, head, upgraded };
}

/** The parser's complaints have codes of their own; all else is the stream's. */
function explain(error: NodeJS.ErrnoException, words: Words): Error {
  if (error.code === 'HPE_HEADER_OVERFLOW') return tooLarge(words, error);
  if (error.code?.startsWith('HPE_')) {
    return new BadHandshakeError(`${words.answer} is not HTTP`, undefined, { cause: error });
  }
  return new TransportError(`the connection broke before ${words.peer} answered`, { cause: error });
}

function tooLarge(words: Words, cause?: Error): BadHandshakeError {
  return new BadHandshakeError(
    `the head of ${words.answer} is larger than ${MAX_HEAD} bytes`,
    undefined,
    { cause },
  );
}

/** The head of an answer, interim or not. */
interface Head {
  readonly statusCode?: number | undefined;
  readonly headers: IncomingHttpHeaders;
}

function tooManyLines(head: Head, words: Words): BadHandshakeError {
  return badHead(`the head of ${words.answer} has more than ${MAX_LINES} lines`, head);
}

function tooManyInterim(head: Head, words: Words): BadHandshakeError {
  const who = words === WORDS.CONNECT ? ' of the proxy' : '';
  return badHead(`more than ${MAX_INTERIM} interim answers (1xx)${who}`, head);
}

function badHead(message: string, { statusCode = 0, headers }: Head): BadHandshakeError {
  return new BadHandshakeError(message, { status: statusCode, headers, body: NONE });
}
