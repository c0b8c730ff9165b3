import { STATUS_CODES } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { inspect } from 'node:util';
import { isThenable, onRejection } from '@ws/conn/internal';
import { assertOption, isHttp2Stream } from '@ws/node-io/internal';
import type { AppRequest, HandshakeRequest } from '../conn-handler.ts';
import type { ErrorReporter } from '../error-reporter.ts';
import type { HandshakeError } from '../errors.ts';
import { type HeadersInput, headerPairs, mergeHeaders } from '../headers.ts';
import type { Answer, Responder } from '../responder/responder.ts';

/** A result of the option `error`: the answer of a refused request. */
export interface ErrorAnswer {
  /** The HTTP status, 300 to 599. */
  readonly status: number;
  /**
   * Headers of the answer. Headers that belong to the same status, `Allow` for example, are added.
   * Default: none.
   */
  readonly headers?: HeadersInput | undefined;
  /**
   * Body of the answer: plain text, unless `headers` has a Content-Type. Default: the default body
   * of the same status; the reason phrase of another one.
   */
  readonly body?: string | undefined;
}

/** The result of the option `error`. */
type ErrorResult = ErrorAnswer | undefined | void;

/** The option `error`. */
export type ErrorHook<Req = HandshakeRequest> = (
  req: Req,
  socket: Duplex,
  status: number,
  error: HandshakeError,
) => ErrorResult;

const USAGE = 'return { status, headers, body } instead of writing to the socket';

/**
 * Asks the option `error` about a refused request, and writes its answer, or the default.
 *
 * @param timeout - Milliseconds for the end of a stream that the hook has ended itself.
 * @throws the error of the hook. The refusal is sent all the same.
 */
export function refuseByHook(
  hook: ErrorHook<AppRequest>,
  refusal: HandshakeError,
  { req, responder }: { readonly req: AppRequest; readonly responder: Responder },
  timeout: number,
  reporter: ErrorReporter,
): void {
  const { stream } = responder;
  const before = bytesWritten(stream);
  const hasWritten = (): boolean =>
    // A stream of HTTP/2 that its client has reset is ended too.
    (stream.writableEnded && !stream.destroyed) || bytesWritten(stream) !== before;
  let answer: Answer = refusal;
  try {
    const result = hook(req, responder.client, refusal.status, refusal);
    if (isThenable(result)) {
      // Its error would end the process.
      onRejection(result, () => {});
      throw new TypeError(
        'error: returned a promise, but it must return at once; answer without await',
      );
    }
    if (!hasWritten()) answer = answerOf(refusal, result);
  } finally {
    if (hasWritten()) {
      const error = new TypeError(`error: has written to the socket; ${USAGE}`);
      reporter.failed(error, { where: 'error', request: req });
      stream.end();
      responder.endAnswered(timeout);
    } else {
      responder.refuse(answer, req.method);
    }
  }
}

/** Bytes that were written to a stream; undefined if it does not count them. */
function bytesWritten(stream: Duplex): number | undefined {
  if (isHttp2Stream(stream)) return Number((stream as ServerHttp2Stream).headersSent);
  return (stream as Partial<Socket>).bytesWritten;
}

/**
 * Returns the answer for a refused request after the option `error` was asked.
 *
 * @param result - Its result. Anything but an object leaves the default answer: a hook may only log.
 * @throws TypeError for a result that cannot be sent.
 */
function answerOf(refusal: HandshakeError, result: unknown): Answer {
  if (typeof result !== 'object' || result === null) return refusal;
  const { status, headers, body } = result as Partial<ErrorAnswer>;
  if (!Number.isInteger(status) || status! < 300 || status! > 599) {
    const got = inspect(status, { depth: 0 });
    throw new TypeError(`error: expected a status from 300 to 599, got ${got}; ${USAGE}`);
  }
  if (body !== undefined) assertOption('error: body', body, typeof body === 'string', 'a string');
  const own = headerPairs(headers);
  // Headers of the refusal, `Allow` for example, belong to its status.
  const isSame = status === refusal.status;
  return {
    status: status!,
    headers: isSame ? mergeHeaders(refusal.headers, own) : own,
    body: body ?? (isSame ? refusal.body : `${STATUS_CODES[status!] ?? 'Refused'}\n`),
  };
}
