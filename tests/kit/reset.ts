import type { Socket } from 'node:net';

/**
 * Sends a RST at once and always closes. Node's `resetAndDestroy` waits for pending writes first. With a FIN in flight,
 * libuv refuses to reset and Node never emits 'close'. This function sets the same flag without waiting, and destroys a
 * socket whose FIN is in flight.
 *
 * @param stream - The stream that the test writes to: TLS over `socket`, or `socket` itself.
 */
export function reset(socket: Socket, stream: Socket = socket): void {
  const ending = stream.writableEnded && !stream.writableFinished;
  if (!ending) Object.assign(socket, { resetAndClosing: true });
  socket.destroy();
}
