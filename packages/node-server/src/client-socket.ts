import type { Duplex } from 'node:stream';
import { types } from 'node:util';
import { TransportError } from '@ws/conn';
import { hasTransport } from '@ws/node-io';

/** Sockets that belong to a handshake, or that were refused by one. */
const taken = new WeakSet<Duplex>();

/**
 * Takes a socket for a handshake.
 *
 * @throws Error when a handshake or a connection already has the socket; TypeError when `socket` is
 *   missing, and, with the socket destroyed, when `head` is missing.
 */
export function takeSocket(socket: Duplex, head: Uint8Array): void {
  if (typeof (socket as Duplex | null | undefined)?.on !== 'function') {
    throw new TypeError("socket: expected the one that the listener for 'upgrade' gets");
  }
  if (isTaken(socket)) {
    throw new Error('websocket: upgrade was called before for this socket');
  }
  taken.add(socket);
  if (types.isUint8Array(head)) return;
  socket.on('error', destroyOnError);
  socket.destroy();
  throw new TypeError("head: expected the bytes that the listener for 'upgrade' gets");
}

/** Forgets a socket that was taken, after the Conn has it. */
export function forgetTaken(socket: Duplex): void {
  taken.delete(socket);
}

/** Returns whether a handshake or a connection has the socket, or had it. */
export function isTaken(socket: Duplex): boolean {
  return taken.has(socket) || hasTransport(socket);
}

/** @throws TransportError when the socket can no longer carry a connection. */
export function assertOpen(socket: Duplex): void {
  if (!socket.writable || socket.readableEnded) throw disconnectError(socket);
}

/** The error for a client that has disconnected. */
export function disconnectError(socket: Duplex): TransportError {
  return new TransportError('the client closed the connection before the end of the handshake', {
    cause: socket.errored ?? undefined,
  });
}

/**
 * A listener that does nothing. It holds no references, so it may stay on a socket until the end.
 */
export function ignore(): void {}

/**
 * A listener for 'error': an error of a socket is its end. Node emits some without it, for example at the
 * fourth renegotiation of TLS 1.2. It may stay on a socket too.
 */
export function destroyOnError(this: Duplex, error: Error): void {
  // oxlint-disable-next-line oxc/no-this-in-exported-function -- an EventEmitter calls it with itself
  this.destroy(error);
}
