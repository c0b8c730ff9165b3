import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { HandshakeError, HeaderPair } from '../errors.ts';
import { headerOf } from '../headers.ts';
import { responseHead } from '../response-head.ts';

/**
 * Writes the whole refusal of an upgrade request to its socket.
 *
 * @param method - Of the request; a HEAD request gets no body. Undefined when the request was not
 *   parsed.
 */
export function writeRefusal(
  socket: Duplex,
  error: HandshakeError,
  method: string | undefined,
): void {
  socket.write(formatRefusal(error, method));
}

/** Writes the refusal of a plain request to its response, without ending the response. */
export function writeRefusalResponse(
  res: ServerResponse,
  { status, headers, body }: HandshakeError,
): void {
  // The application may have set another reason, even one that cannot be sent.
  res.writeHead(status, STATUS_CODES[status], {
    ...Object.fromEntries(headers),
    Connection: connectionOf(headers),
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
    'Content-Length': Buffer.byteLength(body),
    'Sec-WebSocket-Version': '13',
  });
  // With `rejectNonStandardBodyWrites`, node:http throws for a body that answers HEAD.
  if (res.req.method !== 'HEAD') res.write(body);
}

/** Writes the refusal of an HTTP/2 request to its stream, unless the application has answered. */
export function writeRefusalStream(stream: ServerHttp2Stream, error: HandshakeError): void {
  if (stream.headersSent || stream.destroyed) return;
  stream.respond({
    ':status': error.status,
    'content-type': 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
  });
  stream.end(error.body);
}

function formatRefusal(error: HandshakeError, method: string | undefined): Buffer {
  const fields: HeaderPair[] = [['Connection', connectionOf(error.headers)]];
  const defaults: HeaderPair[] = [
    ['Date', new Date().toUTCString()],
    ['Content-Type', 'text/plain; charset=utf-8'],
    ['X-Content-Type-Options', 'nosniff'],
    ['Sec-WebSocket-Version', '13'],
  ];
  for (const pair of defaults) {
    if (headerOf(error.headers, pair[0].toLowerCase()) === undefined) fields.push(pair);
  }
  // RFC 9110, sections 15.4.5 and 9.3.2: a 304 has no content; the answer to HEAD has only its
  // length.
  const body = error.status === 304 ? undefined : Buffer.from(error.body);
  if (body !== undefined) fields.push(['Content-Length', String(body.length)]);
  const head = Buffer.from(responseHead(error.status, [...fields, ...error.headers]), 'latin1');
  return method === 'HEAD' || body === undefined ? head : Buffer.concat([head, body]);
}

/** RFC 9110, section 7.8: a sender of Upgrade lists it in Connection. */
function connectionOf(headers: readonly HeaderPair[]): string {
  return headerOf(headers, 'upgrade') === undefined ? 'close' : 'close, Upgrade';
}
