import type { Socket } from 'node:net';

/**
 * Sends a RST at once, and always closes. `resetAndDestroy` first waits for all that is to be written, then for a FIN;
 * and where a FIN is on its way already, libuv refuses to reset, and Node never emits 'close'. This sets what that method
 * sets, without waiting; a socket whose FIN is on its way is destroyed.
 *
 * @param stream - What is written to: TLS over `socket`, or `socket` itself.
 */
export function reset(socket: Socket, stream: Socket = socket): void {
  const ending = stream.writableEnded && !stream.writableFinished;
  if (!ending) Object.assign(socket, { resetAndClosing: true });
  socket.destroy();
}
