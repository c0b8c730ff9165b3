import type { Server as NetServer, Socket } from 'node:net';
import { destroyOnError } from './client-socket.ts';
import type { Pace, Place } from './policies/pace.ts';

/**
 * Lets the TLS handshakes of a server begin at a pace. A socket that waits is not read, and one that is
 * refused closes without an answer.
 *
 * @param net - Its listeners for 'connection' begin the TLS handshake. They are removed.
 * @returns The function that begins it for a new socket, now or later.
 */
export function paceSockets(
  net: NetServer,
  pace: Pace,
): (socket: Socket, group: string | undefined) => void {
  const listeners = net.listeners('connection');
  net.removeAllListeners('connection');
  // A field of the server that has the option of `createServer`.
  const server = net as NetServer & { pauseOnConnect: boolean };
  server.pauseOnConnect = true;
  const begin = (socket: Socket): void => {
    // The TLS socket, which reads the handle from now on, would be paused too.
    server.pauseOnConnect = false;
    for (const listener of listeners) listener.call(net, socket);
    server.pauseOnConnect = true;
  };
  return (socket, group) => {
    let place: Place | undefined;
    try {
      place = pace.enter(group);
    } catch {
      return void socket.destroy();
    }
    if (place === undefined) return begin(socket);
    socket.on('error', destroyOnError);
    place.turn.promise.then(
      () => {
        socket.off('error', destroyOnError);
        if (!socket.destroyed) begin(socket);
      },
      () => socket.destroy(),
    );
  };
}
