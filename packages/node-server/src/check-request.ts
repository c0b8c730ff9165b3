import type { IncomingMessage } from 'node:http';
import { isWebSocketKey, parseSubprotocols } from '@ws/codec';
import { hasToken } from '@ws/codec/internal';
import { HandshakeError, type HeaderPair } from './errors.ts';
import { RequestHeaders } from './headers.ts';
import { isHost } from './origin.ts';
import { isRequestTarget } from './request-target.ts';

/** One rule for a request, and the answer to a request that breaks it. */
interface Rule {
  readonly holds: (headers: RequestHeaders, req: IncomingMessage) => boolean;
  readonly status: number;
  readonly message: string;
  readonly headers?: readonly HeaderPair[];
}

const NOT_WEBSOCKET = 'the client is not using the websocket protocol:';
/** Message for a request of another HTTP version. */
export const NOT_HTTP_1: string = `${NOT_WEBSOCKET} request is not HTTP/1.1`;
const BAD_VERSION = "unsupported version: 13 not found in 'Sec-Websocket-Version' header";
const UPGRADE: HeaderPair = ['Upgrade', 'websocket'];
const VERSION: HeaderPair = ['Sec-WebSocket-Version', '13'];

/**
 * RFC 6455, section 4.2.1, in the order in which faults are reported. Messages follow
 * gorilla/websocket.
 */
const RULES: readonly Rule[] = [
  {
    holds: (_, req) => req.httpVersionMajor === 1 && req.httpVersionMinor >= 1,
    status: 400,
    message: NOT_HTTP_1,
  },
  {
    holds: (headers) => headers.once('host') !== undefined,
    status: 400,
    message: "not a websocket handshake: 'Host' header must occur exactly once",
  },
  {
    holds: (headers) => isHost(headers.list('host')),
    status: 400,
    message: "not a websocket handshake: 'Host' header is not a valid host",
  },
  {
    // Bytes after the head are frames. Reading them as a body too would be request smuggling.
    holds: (headers) =>
      headers.lines('transfer-encoding').length === 0 &&
      headers.lines('content-length').every((length) => /^0+$/.test(length)),
    status: 400,
    message: 'not a websocket handshake: request has a body',
  },
  {
    holds: (headers) => hasToken(headers.list('connection'), 'upgrade'),
    status: 400,
    message: `${NOT_WEBSOCKET} 'upgrade' token not found in 'Connection' header`,
  },
  {
    holds: (headers) => hasToken(headers.list('upgrade'), 'websocket'),
    status: 426,
    message: `${NOT_WEBSOCKET} 'websocket' token not found in 'Upgrade' header`,
    headers: [UPGRADE],
  },
  {
    holds: (_, req) => req.method === 'GET',
    status: 405,
    message: `${NOT_WEBSOCKET} request method is not GET`,
    headers: [['Allow', 'GET']],
  },
  {
    holds: (headers) => headers.once('sec-websocket-version') !== undefined,
    status: 400,
    message: BAD_VERSION,
  },
  {
    holds: (headers) => headers.once('sec-websocket-version') === '13',
    status: 426,
    message: BAD_VERSION,
    headers: [UPGRADE, VERSION],
  },
  {
    // Section 4.2.1 allows a path and an absolute URI. An absolute URI must name the same host as
    // the Host header.
    holds: (headers, req) => isRequestTarget(req.url ?? '', headers.list('host')),
    status: 400,
    message: 'not a websocket handshake: request target is neither a path nor a URI of the host',
  },
];

/**
 * Checks a request against all rules, before any function of the application is called.
 *
 * @throws HandshakeError for the first broken rule.
 */
export function checkRequest(headers: RequestHeaders, req: IncomingMessage): void {
  checkNoneDropped(req);
  for (const rule of RULES) {
    if (rule.holds(headers, req)) continue;
    throw new HandshakeError(rule.status, rule.message, { headers: rule.headers });
  }
}

/**
 * Entries (names and values) of `rawHeaders` that Node keeps when the server's `maxHeadersCount` is
 * not set.
 */
const NODE_HEADER_ENTRIES = 2000;

/**
 * Refuses a request of which Node may have dropped header lines. `http.Server` drops the lines
 * above `maxHeadersCount` silently and in batches. A Content-Length, an Origin or a second key may
 * be among them, so no rule would be reliable.
 *
 * @throws HandshakeError 431; 400 when the owner of the server has lowered the limit.
 */
function checkNoneDropped(req: IncomingMessage): void {
  const { server } = req.socket as { server?: { maxHeadersCount?: unknown } };
  const count = server?.maxHeadersCount;
  const kept = typeof count === 'number' ? 2 * count : NODE_HEADER_ENTRIES;
  if (kept <= 0 || req.rawHeaders.length < kept) return;
  throw new HandshakeError(
    kept < NODE_HEADER_ENTRIES ? 400 : 431,
    `not a websocket handshake: request has ${kept / 2} header lines or more`,
  );
}

/**
 * @throws HandshakeError 400 for a repeated Origin: a check would see only one, and a browser sends
 *   only one.
 */
export function checkOneOrigin(headers: RequestHeaders): void {
  if (headers.lines('origin').length < 2) return;
  throw new HandshakeError(400, "not a websocket handshake: 'Origin' header is repeated");
}

/**
 * Returns the `Sec-WebSocket-Key` of a request.
 *
 * @throws HandshakeError 400 when the key is missing, repeated or not 16 bytes in canonical base64.
 */
export function checkKey(headers: RequestHeaders): string {
  const key = headers.once('sec-websocket-key');
  if (key !== undefined && isWebSocketKey(key)) return key;
  throw new HandshakeError(
    400,
    "not a websocket handshake: 'Sec-WebSocket-Key' header must be Base64 encoded value of 16-byte in length",
  );
}

/**
 * Returns whether a request asks for a WebSocket: `Connection` lists `upgrade` and `Upgrade` lists
 * `websocket` (RFC 6455, section 4.2.1). It checks nothing else; an Upgrader checks the whole
 * request.
 */
export function isWebSocketUpgrade(req: IncomingMessage): boolean {
  const headers = new RequestHeaders(req);
  return (
    hasToken(headers.list('connection'), 'upgrade') &&
    hasToken(headers.list('upgrade'), 'websocket')
  );
}

/**
 * Returns the subprotocols that a request offers, in the client's order of preference (RFC 6455,
 * section 4.2.1). The array is empty when the header is missing or malformed.
 */
export function subprotocols(req: IncomingMessage): string[] {
  return parseSubprotocols(new RequestHeaders(req).list('sec-websocket-protocol')) ?? [];
}
