import {
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';

const UPGRADE_REQUIRED = 426;

/** Answers a request with `status`, then closes the socket. */
export function abortHandshake(
  socket: Duplex,
  status: number,
  message?: string | null,
  headers?: OutgoingHttpHeaders,
): void {
  const body = message || STATUS_CODES[status]!;
  const all = {
    Connection: 'close',
    'Content-Type': 'text/html',
    'Content-Length': Buffer.byteLength(body),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${String(value)}`);
  // Node's servers allow half-open sockets, so that the answer arrives when the client has ended.
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** Answers a plain HTTP request to the server of a port. */
export function answerPlainRequest(_request: IncomingMessage, response: ServerResponse): void {
  const body = STATUS_CODES[UPGRADE_REQUIRED]!;
  response.writeHead(UPGRADE_REQUIRED, {
    'Content-Length': body.length,
    'Content-Type': 'text/plain',
  });
  response.end(body);
}
