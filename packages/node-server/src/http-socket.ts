import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What Node's HTTP server keeps on a socket that it reads. */
interface HttpSocket extends Duplex {
  readonly parser?: unknown;
  readonly _httpMessage?: ServerResponse | null;
}

/**
 * The response whose turn it is on `socket`. Node holds 'upgrade' back for none, as little as 'request', but lines up
 * the responses itself; whose turn it is only this field of its own tells.
 */
export function currentResponse(socket: HttpSocket): ServerResponse | undefined {
  return socket._httpMessage ?? undefined;
}

/** The response to an earlier request that `socket` still carries. */
export function earlierResponse(req: IncomingMessage, socket: Duplex): ServerResponse | undefined {
  const response = currentResponse(socket);
  // Of a plain request that is handed to `upgrade` it is the response to that very request.
  return response?.req === req ? undefined : response;
}

/** The response to `req` itself, while `socket` carries it. */
export function ownResponse(req: IncomingMessage, socket: Duplex): ServerResponse | undefined {
  const response = currentResponse(socket);
  return response?.req === req ? response : undefined;
}

/** Says whether the application has answered the request itself: by the response to it, or by ending its socket. */
export function isAnswered(req: IncomingMessage, socket: Duplex): boolean {
  if (socket.destroyed) return false;
  const response = ownResponse(req, socket);
  if (response !== undefined) return response.headersSent;
  // Node keeps the response to every request that it reads until it is finished.
  return socket.writableEnded || (isRead(socket) && currentResponse(socket) === undefined);
}

/** Says whether Node still reads requests from the socket: it came by another event than 'upgrade'. */
export function isRead(socket: HttpSocket): boolean {
  return socket.parser != null;
}

/** What was written to the socket so far, in bytes, where it tells. */
export function bytesWritten(socket: Duplex): number | undefined {
  return (socket as Partial<Socket>).bytesWritten;
}
