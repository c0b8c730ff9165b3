import { type IncomingHttpHeaders, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { HeadFault, ResponseFacts, ResponseHead } from '@ws/codec';
import type { DialScope } from './dial-scope.ts';
import { BadHandshakeError, dialError, type RefusedResponse } from './errors.ts';
import {
  CONNECT,
  Exchange,
  type ExchangeFailure,
  type FinalHead,
  type FinalResponse,
  HTTP2_ANSWER,
  isSuccess,
  MAX_HEAD,
  ResponseBody,
} from './exchange.ts';
import { checkOpen } from './guarded-stream.ts';

/** One response. Its body is empty when a proxy has opened the tunnel. */
export interface HttpResponse extends RefusedResponse {
  /** The header lines, for the rules of the handshake. */
  readonly facts: ResponseFacts;
  /** The bytes that came with a 101: the first frames. */
  readonly early: Buffer;
}

/** Most bytes kept of a refusal's body. */
export const MAX_BODY = 1024;
/** Most milliseconds to wait for a refusal's body. Many servers never end it. */
const MAX_WAIT = 500;
/** No bytes of a body, or after a head. */
export const NO_BUFFER: Buffer = Buffer.alloc(0);

/**
 * Names in error messages. `sender`: of too many interim answers. `perhaps`: the likely cause when a
 * peer without encryption breaks the connection at once.
 */
const LABELS = {
  GET: {
    peer: 'the server',
    answer: 'the answer',
    sender: '',
    perhaps: 'perhaps the server speaks TLS; use wss:',
  },
  CONNECT: {
    peer: 'the proxy',
    answer: 'the answer of the proxy',
    sender: ' of the proxy',
    perhaps: 'perhaps the proxy speaks TLS; use https:',
  },
};

/**
 * Sends a request over `stream` and reads its response, with the first bytes of the body of a
 * refusal. After a 101 or a tunnel's 2xx the stream is paused and has none of our listeners.
 *
 * @param request - The whole request in Latin-1.
 * @param secure - Whether the stream is encrypted.
 * @throws BadHandshakeError with status 0 when the response is not HTTP or exceeds a bound;
 *   TransportError when the stream ends; the reason of the scope when that aborts.
 */
export async function askForResponse(
  stream: Duplex,
  request: string,
  secure: boolean,
  scope: DialScope,
): Promise<HttpResponse> {
  if (scope.isAborted) throw scope.reason;
  checkOpen(stream);
  const pending = new Exchange(stream, request, (failure) => errorOf(failure, request, secure));
  let answer: FinalResponse;
  try {
    answer = await scope.race(pending.answer);
  } catch (error) {
    pending.stop();
    throw error;
  }
  const { head, rest } = answer;
  const response = toHttpResponse(head);
  const isTunnel = request.startsWith(CONNECT);
  if (head.status === 101 && !isTunnel) {
    return { ...response, body: Buffer.from(rest.subarray(0, MAX_BODY)), early: rest };
  }
  if (isTunnel && isSuccess(head.status)) return response;
  return { ...response, body: await readRefusalBody(stream, head, rest, scope) };
}

/** Returns a response without the bytes after its head. */
export function toHttpResponse(head: FinalHead): HttpResponse {
  const headers = incomingHeaders(head.all());
  return { status: head.status, headers, facts: head, body: NO_BUFFER, early: NO_BUFFER };
}

function errorOf(failure: ExchangeFailure, request: string, secure: boolean): Error {
  const labels = request.startsWith(CONNECT) ? LABELS.CONNECT : LABELS.GET;
  const advice = secure ? '' : `; ${labels.perhaps}`;
  switch (failure.kind) {
    case 'malformed':
      return malformed(failure.fault, labels.answer, failure.first ? advice : '');
    case 'interim': {
      const message = `more than ${failure.most} interim answers (1xx)${labels.sender}`;
      return new BadHandshakeError(message, toHttpResponse(failure.head));
    }
    case 'ended': {
      const what = `the connection broke before ${labels.peer} answered`;
      return dialError(
        what,
        failure.error ?? hangUp(),
        'server',
        failure.first ? `; check host and port${advice}` : '',
      );
    }
  }
}

function malformed(fault: HeadFault, answer: string, advice: string): Error {
  const { status, message } = fault;
  if (status === 431) {
    return new BadHandshakeError(`the head of ${answer} is larger than ${MAX_HEAD} bytes`);
  }
  // The prefix of the codes of node:http's parser: callers may know it.
  const cause = Object.assign(new Error(message), { code: 'HPE_INVALID_HEAD' });
  const text =
    fault === HTTP2_ANSWER
      ? `${answer} is not HTTP/1.1 but HTTP/2; use the option http2: 'only'`
      : `${answer} is not HTTP; check host and port${advice}`;
  return new BadHandshakeError(text, undefined, { cause });
}

/** The error of node:http for a stream that ended before the response. */
function hangUp(): Error {
  return Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
}

/** Reads the first bytes of a refusal's body. @param rest - The bytes that came with the head. */
async function readRefusalBody(
  stream: Duplex,
  head: ResponseHead,
  rest: Buffer,
  scope: DialScope,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const body = new ResponseBody(head, MAX_BODY, (bytes) => pieces.push(Buffer.from(bytes)));
  await readUntil(stream, scope, rest, (bytes) => {
    body.push(bytes);
    return body.ended;
  });
  return Buffer.concat(pieces);
}

/**
 * Reads a refusal until `take` returns true, or the stream ends, for at most {@link MAX_WAIT} or half
 * of the time that the dial has left: a timeout of the dial would hide the status. The stream is
 * paused then.
 *
 * @param first - Bytes that were read before.
 * @throws the reason of the scope. An error of the stream only ends the wait.
 */
export async function readUntil(
  stream: Duplex,
  scope: DialScope,
  first: Buffer,
  take: (bytes: Buffer) => boolean,
): Promise<void> {
  let complete!: () => void;
  const ended = new Promise<void>((resolve) => {
    complete = resolve;
  });
  const onData = (bytes: Buffer): void => {
    if (!take(bytes)) return;
    // Now: a stream in memory may deliver bytes without end before any promise settles.
    stream.pause();
    complete();
  };
  const wait = setTimeout(complete, Math.min(MAX_WAIT, scope.remaining / 2));
  stream.on('error', complete).on('end', complete).on('close', complete).on('data', onData);
  onData(first);
  if (stream.destroyed || stream.readableEnded) complete();
  else stream.resume();
  try {
    await scope.race(ended);
  } finally {
    clearTimeout(wait);
    stream.off('error', complete).off('end', complete).off('close', complete).off('data', onData);
    stream.pause();
  }
}

/**
 * Returns a status with its standard phrase. The peer's own reason phrase is not shown: it may
 * contain any text.
 */
export function describeStatus(status: number): string {
  const phrase = STATUS_CODES[status];
  return phrase === undefined ? `${status}` : `${status} ${phrase}`;
}

/** Fields of which node:http keeps the first line only. It joins the lines of all others. */
const FIRST_LINE_ONLY: ReadonlySet<string> = new Set([
  'age',
  'authorization',
  'content-length',
  'content-type',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'referer',
  'retry-after',
  'server',
  'user-agent',
]);

/**
 * Returns header lines as the `headers` of node:http's IncomingMessage: names in lower case,
 * repeated lines joined or dropped.
 */
export function incomingHeaders(
  lines: readonly (readonly [name: string, value: string])[],
): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = {};
  for (const [given, value] of lines) {
    const name = given.toLowerCase();
    const earlier = headers[name];
    if (name === 'set-cookie') {
      headers[name] = [...(headers[name] ?? []), value];
    } else if (typeof earlier !== 'string') {
      // Also for a name that an object inherits, such as `constructor`.
      headers[name] = value;
    } else if (!FIRST_LINE_ONLY.has(name)) {
      headers[name] = `${earlier}${name === 'cookie' ? '; ' : ', '}${value}`;
    }
  }
  return headers;
}
