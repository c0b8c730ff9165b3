import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** How long a refused peer may take to read its answer and end, in ms, and what it may still send meanwhile. */
const LINGER_MS = 2_000;
const LINGER_BYTES = 1024 * 1024;

/**
 * Ends a socket whose request was refused, after all that was written to it. What the peer sends is read and dropped,
 * never served: a socket that is closed over unread bytes sends a RST, and the peer would lose the answer.
 */
export function endRefused(socket: Duplex): void {
  if (socket.destroyed) return;
  detachReader(socket);
  const drop = lingering(() => socket.destroy());
  socket.on('data', drop.chunk);
  socket.on('close', drop.over);
  socket.end();
  socket.resume();
}

/** Takes a socket out of the hands of whoever reads it; of Node's HTTP parser, for example. It stands still then. */
export function detachReader(socket: Duplex): void {
  socket.removeAllListeners('data');
  // That somebody listens makes Node give its parser's direct way to the bytes up.
  socket.on('data', ignore).pause();
}

/** Hears what nobody else wants to hear; holds nothing, so it may stay on a socket for good. */
export function ignore(): void {}

/** Ends the response to a refused plain request once its body is read and dropped, for the same reason. */
export function endRefusedResponse(res: ServerResponse): void {
  const drop = lingering(() => res.end());
  res.req.on('data', drop.chunk).on('end', drop.enough);
  res.on('close', drop.over);
}

interface Lingering {
  readonly chunk: (chunk: Uint8Array) => void;
  /** Ends at once. */
  readonly enough: () => void;
  /** It has ended. */
  readonly over: () => void;
}

/** Calls `end` when a peer has been borne with long enough. */
function lingering(end: () => void): Lingering {
  let dropped = 0;
  const timer = setTimeout(end, LINGER_MS);
  const over = (): void => clearTimeout(timer);
  const enough = (): void => {
    over();
    end();
  };
  const chunk = ({ length }: Uint8Array): void => {
    dropped += length;
    if (dropped > LINGER_BYTES) enough();
  };
  return { chunk, enough, over };
}

/**
 * Ends a socket on which the application has answered, once that answer is out.
 *
 * @param response - By which it did, unless it wrote to the socket itself.
 * @param patience - How long the client may take nothing of it, in ms; Infinity for no bound.
 */
export function endAnswered(
  socket: Duplex,
  response: ServerResponse | undefined,
  patience: number,
): void {
  const answer = response ?? socket;
  if (answer.writableFinished) return endRefused(socket);
  const idle = socket as Partial<Socket>;
  const stalled = (): void => {
    // Else it is the application that takes its time.
    if (answer.writableEnded || socket.writableLength > 0) socket.destroy();
  };
  answer.once('finish', () => {
    idle.setTimeout?.(0, stalled);
    endRefused(socket);
  });
  // Node starts it anew whenever the system has taken something.
  if (patience !== Infinity) idle.setTimeout?.(patience, stalled);
}
