import type { IncomingMessage } from 'node:http';
import { TransportError } from '@ws/conn';

/**
 * Returns the address of the client that sent a request; undefined for a client that is not
 * counted. It is synchronous. Any string is allowed, a user name for example. Throwing refuses the
 * request with 500.
 */
export type ClientAddress = (req: IncomingMessage) => string | undefined;

/**
 * The default of {@link ClientAddress}: the peer of the socket; undefined for a Unix socket.
 *
 * @throws TransportError after a reset: the system has forgotten the address, so the request would
 *   not count.
 */
export function peerAddress({ socket }: IncomingMessage): string | undefined {
  const { remoteAddress } = socket;
  if (remoteAddress === undefined && socket.localAddress !== undefined) {
    throw new TransportError('the client closed the connection before the end of the handshake');
  }
  return remoteAddress;
}
