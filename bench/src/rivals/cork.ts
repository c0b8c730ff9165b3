import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';

/**
 * Sends by `ws` as an application that wants few system calls does: it corks the socket at the first
 * message of a turn and uncorks it when the turn ends. `ws` has no public name for its socket.
 */
export function corkedSend(socket: WebSocket): (data: Buffer | string, binary: boolean) => void {
  let corked = false;
  const uncork = (): void => {
    corked = false;
    tcp.uncork();
  };
  const { _socket: tcp } = socket as unknown as { _socket: Socket };
  return (data, binary) => {
    if (!corked) {
      corked = true;
      tcp.cork();
      process.nextTick(uncork);
    }
    socket.send(data, { binary });
  };
}
