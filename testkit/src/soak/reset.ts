import type { Socket } from 'node:net';

/**
 * Sends a RST at once, and always closes. `resetAndDestroy` first waits for all that is to be written, then for a FIN;
 * and where a FIN is on its way already, the system refuses to reset, and Node never emits 'close'. This sets what that
 * method sets, without waiting; a socket whose FIN is on its way is destroyed.
 */
export function reset(socket: Socket): void {
  const ending = socket.writableEnded && !socket.writableFinished;
  if (!ending) Object.assign(socket, { resetAndClosing: true });
  socket.destroy();
}
