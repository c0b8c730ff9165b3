import type { IncomingMessage } from 'node:http';
import {
  type DeflateAgreement,
  negotiateDeflate,
  parseExtensions,
  parseSubprotocols,
  parseTokenList,
} from '@ws/codec';
import { type Compression, deflateLimits } from '@ws/conn';
import { nodeHost } from '@ws/node-io';
import { HandshakeError, type HeaderPair, serverFault } from './errors.ts';
import { headerOf, type RequestHeaders } from './headers.ts';

/** The names in the order of the server's preference, or a function that picks one of those offered. */
export type Subprotocols =
  | readonly string[]
  | ((offered: readonly string[], req: IncomingMessage) => string | undefined);

/**
 * Picks the subprotocol of a connection.
 *
 * @param wanted - Undefined: what the application's `Sec-WebSocket-Protocol` among `extra` says.
 * @returns `''` for none.
 * @throws HandshakeError 400 for a malformed offer, 500 when the function throws, or picks what was not offered or
 *   is no token.
 */
export function selectSubprotocol(
  headers: RequestHeaders,
  req: IncomingMessage,
  wanted: Subprotocols | undefined,
  extra: readonly HeaderPair[],
): string {
  const offered = parseSubprotocols(headers.list('sec-websocket-protocol'));
  if (offered === undefined) {
    throw new HandshakeError(
      400,
      "not a websocket handshake: malformed 'Sec-WebSocket-Protocol' header",
    );
  }
  if (wanted === undefined) return headerOf(extra, 'sec-websocket-protocol') ?? '';
  if (typeof wanted !== 'function') return wanted.find((name) => offered.includes(name)) ?? '';
  // RFC 6455, 4.2.2: a server picks from what is offered, or nothing.
  return offered.length === 0 ? '' : askFunction(wanted, offered, req);
}

function askFunction(
  pick: Exclude<Subprotocols, readonly string[]>,
  offered: readonly string[],
  req: IncomingMessage,
): string {
  let name: string | undefined;
  try {
    name = pick(offered, req);
  } catch (cause) {
    throw serverFault('subprotocols', cause);
  }
  if (name === undefined || name === '') return '';
  if (!isOneToken(name)) {
    throw serverFault('subprotocols', new TypeError('the function picked what is no token'));
  }
  if (offered.includes(name)) return name;
  throw serverFault('subprotocols', new TypeError(`${name} was not offered`));
}

/**
 * Takes the first offer of permessage-deflate that is valid (RFC 7692, section 5). All other extensions are declined.
 *
 * @returns Undefined when there is none, or none is wanted.
 * @throws HandshakeError 400 for a malformed header.
 */
export function negotiateCompression(
  headers: RequestHeaders,
  compression: Compression | false,
): DeflateAgreement | undefined {
  const offers = parseExtensions(headers.list('sec-websocket-extensions'));
  if (offers === undefined) {
    throw new HandshakeError(
      400,
      "not a websocket handshake: malformed 'Sec-WebSocket-Extensions' header",
    );
  }
  const limits = deflateLimits(compression, 'server', nodeHost);
  return limits === undefined ? undefined : negotiateDeflate(offers, limits);
}

/** Whether `name` can stand in a `Sec-WebSocket-Protocol` header as it is. */
export function isOneToken(name: unknown): name is string {
  return typeof name === 'string' && parseTokenList(name)?.join() === name && name !== '';
}
