import { parseSubprotocols, parseTokenList, type RequestFacts } from '@ws/codec';
import type { AppRequest, HandshakeRequest } from '../conn-handler.ts';
import { HandshakeError, type HeaderPair, serverFault, unexpectedResult } from '../errors.ts';
import { headerOf } from '../headers.ts';

/**
 * The supported subprotocols in the server's order of preference, or a function that picks one of
 * the offered names (undefined or `''` for none). The function is not called when nothing is
 * offered.
 */
export type Subprotocols<Req = HandshakeRequest> =
  | readonly string[]
  | ((offered: readonly string[], req: Req) => string | undefined);

const NONE: readonly string[] = [];

/**
 * Picks the subprotocol of a connection.
 *
 * @param wanted - Undefined takes the application's own `Sec-WebSocket-Protocol` from `extra`.
 * @returns `''` for none.
 * @throws HandshakeError 400 for a malformed offer, 500 when the function throws, or returns a name
 *   that was not offered or is not a token.
 */
export function selectSubprotocol(
  headers: RequestFacts,
  req: AppRequest,
  wanted: Subprotocols<AppRequest> | undefined,
  extra: readonly HeaderPair[],
): string {
  const offered = headers.has('sec-websocket-protocol')
    ? parseSubprotocols(headers.list('sec-websocket-protocol'))
    : NONE;
  if (offered === undefined) {
    throw new HandshakeError(
      400,
      "not a websocket handshake: malformed 'Sec-WebSocket-Protocol' header",
    );
  }
  if (wanted === undefined) {
    return extra.length === 0 ? '' : (headerOf(extra, 'sec-websocket-protocol') ?? '');
  }
  // RFC 6455, section 4.2.2: the server picks one of the offered names, or none.
  if (offered.length === 0) return '';
  if (typeof wanted === 'function') return callSubprotocols(wanted, offered, req);
  return wanted.find((name) => offered.includes(name)) ?? '';
}

function callSubprotocols(
  pick: Exclude<Subprotocols<AppRequest>, readonly string[]>,
  offered: readonly string[],
  req: AppRequest,
): string {
  try {
    const name: unknown = pick(offered, req);
    if (name === undefined || name === '') return '';
    const expected = 'one of the offered names, or undefined';
    if (typeof name !== 'string') throw unexpectedResult('subprotocols', expected, name);
    if (offered.includes(name)) return name;
    const shown = isOneToken(name) ? name : JSON.stringify(name);
    throw new TypeError(`subprotocols: ${shown} was not offered`);
  } catch (cause) {
    throw serverFault('subprotocols', cause);
  }
}

/**
 * Returns whether `name` is a token, as `Sec-WebSocket-Protocol` requires (RFC 6455, section 4.1).
 */
export function isOneToken(name: unknown): name is string {
  return typeof name === 'string' && parseTokenList(name)?.join() === name && name !== '';
}
