import type { HandshakeRequest } from '../handshake-request.ts';
import type { ServerRequest } from '../server-request.ts';

/**
 * Returns the address of the client that sent a request; undefined for a client that is not
 * counted. It is synchronous. Any string is allowed, a user name for example. Throwing refuses the
 * request with 500.
 */
export type ClientAddress<Req = HandshakeRequest> = (req: Req) => string | undefined;

/** Finds the address of the client without the application. */
export type FindAddress = (
  request: Pick<ServerRequest, 'facts' | 'responder'>,
) => string | undefined;

/**
 * The default of {@link ClientAddress}: the peer of the socket; undefined for a Unix socket.
 *
 * @throws TransportError after a reset: the system has forgotten the address, so the request would
 *   not count.
 */
export function peerAddress({ facts, responder }: Parameters<FindAddress>[0]): string | undefined {
  // Other code that parsed the request may not know the address.
  return facts.remoteAddress ?? responder.peerAddress;
}
