import type { Http2ServerRequest } from 'node:http2';
import { HandshakeError } from '../errors.ts';
import { NOT_HTTP_1 } from '../request.ts';

/** Returns whether a request comes from node:http2. */
export function isHttp2(req: object | undefined): req is Http2ServerRequest {
  const { stream } = (req ?? {}) as Partial<Http2ServerRequest>;
  return typeof stream?.respond === 'function';
}

/**
 * Refuses an HTTP/2 request on its own stream. The socket carries other streams too, and HTTP/1.1
 * bytes written to it would become the body of a 200.
 *
 * @returns The error to reject the upgrade with.
 */
export function rejectHttp2({ stream }: Http2ServerRequest): HandshakeError {
  const error = new HandshakeError(400, NOT_HTTP_1);
  // The application may have answered.
  if (stream.headersSent || stream.destroyed || stream.closed) return error;
  stream.respond({
    ':status': error.status,
    'content-type': 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
  });
  stream.end(error.body);
  return error;
}
