import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { callIfAllowed } from '@ws/node-io/internal';
import { ignore } from '../client-socket.ts';

/** Time in ms that a refused peer has to read the answer and to close. */
const LINGER_MS = 2_000;
/** Bytes that a refused peer may send in that time. */
const LINGER_BYTES = 1024 * 1024;

/**
 * Ends a socket after the refusal that was written to it. Bytes that the peer sends meanwhile are
 * read and dropped, never served: a socket that closes with unread bytes sends a RST, and the peer
 * would lose the answer.
 */
export function endRefusedSocket(socket: Duplex): void {
  if (socket.destroyed) return;
  detachReader(socket);
  const drop = lingering(() => socket.destroy());
  socket.on('data', drop.chunk);
  socket.on('close', drop.closed);
  socket.end();
  socket.resume();
}

/**
 * Ends the response to a refused plain request after its body was read and dropped, for the same
 * reason as {@link endRefusedSocket}.
 */
export function endRefusedResponse(res: ServerResponse): void {
  // The application has read the body before it failed: 'end' is not emitted again.
  if (res.req.readableEnded) return void res.end();
  const drop = lingering(() => res.end());
  // A listener alone does not resume a request that the application has paused.
  res.req.on('data', drop.chunk).on('end', drop.now).resume();
  res.on('close', drop.closed);
}

/**
 * Ends a socket on which the application has answered, after the answer was sent.
 *
 * @param response - Carries the answer; undefined when the application wrote to the socket itself.
 * @param stallTimeout - Milliseconds in which the client must take some bytes of the answer;
 *   Infinity for no bound.
 */
export function endAnsweredSocket(
  socket: Duplex,
  response: ServerResponse | undefined,
  stallTimeout: number,
): void {
  const answer = response ?? socket;
  if (answer.writableFinished) return endRefusedSocket(socket);
  // A client that ends its half gets an answer that is written, and no more of a stream. Without a
  // read, its end stays unknown until the next write.
  const onEnd = (): void => {
    if (!answer.writableEnded) socket.destroy();
  };
  if (socket.readableEnded) onEnd();
  detachReader(socket);
  let dropped = 0;
  socket.on('data', ({ length }: Uint8Array) => {
    dropped += length;
    if (dropped > LINGER_BYTES) socket.destroy();
  });
  socket.once('end', onEnd).resume();
  const onStall = (): void => {
    // Without these bytes the application is slow, not the client.
    if (answer.writableEnded || socket.writableLength > 0) socket.destroy();
  };
  answer.once('finish', () => {
    callIfAllowed(socket, 'setTimeout', 0);
    endRefusedSocket(socket);
  });
  if (stallTimeout === Infinity) return;
  // Node restarts a socket's timeout whenever the system takes bytes.
  callIfAllowed(socket, 'setTimeout', stallTimeout);
  socket.on('timeout', onStall);
}

/** Removes every reader of a socket, Node's HTTP parser too, and pauses it. */
export function detachReader(socket: Duplex): void {
  socket.removeAllListeners('data');
  // A 'data' listener makes Node detach its parser from the socket handle (`unconsume` in
  // _http_server.js).
  socket.on('data', ignore).pause();
}

/**
 * Calls `end` after {@link LINGER_MS} or {@link LINGER_BYTES}.
 *
 * @returns `chunk` counts a chunk, and calls `end` when the peer has sent too much; `now` calls it at
 *   once; `closed` stops the timer after the close.
 */
function lingering(end: () => void) {
  let dropped = 0;
  const timer = setTimeout(end, LINGER_MS);
  const closed = (): void => clearTimeout(timer);
  const now = (): void => {
    closed();
    end();
  };
  const chunk = ({ length }: Uint8Array): void => {
    dropped += length;
    if (dropped > LINGER_BYTES) now();
  };
  return { chunk, now, closed };
}
