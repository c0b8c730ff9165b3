import type { Http2ServerRequest } from 'node:http2';
import { NOT_HTTP_1 } from './check-request.ts';
import { HandshakeError } from './errors.ts';

/** Says whether a request is one of node:http2. */
export function isHttp2(req: object | undefined): req is Http2ServerRequest {
  const { stream } = (req ?? {}) as Partial<Http2ServerRequest>;
  return typeof stream?.respond === 'function';
}

/**
 * Answers on the request's own stream. On its socket are those of others as well, and what we say there is HTTP/1.1,
 * which would be the body of a 200.
 */
export function refuseHttp2({ stream }: Http2ServerRequest): HandshakeError {
  const error = new HandshakeError(400, NOT_HTTP_1);
  if (!stream.headersSent && !stream.destroyed) {
    stream.respond({ ':status': error.status, 'content-type': 'text/plain; charset=utf-8' });
    stream.end(error.body);
  }
  return error;
}
