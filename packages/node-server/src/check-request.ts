import type { IncomingMessage } from 'node:http';
import { hasToken, isWebSocketKey, parseSubprotocols } from '@ws/codec';
import { HandshakeError, type HeaderPair } from './errors.ts';
import { RequestHeaders } from './headers.ts';
import { isHost } from './origin.ts';

/** One rule for a request, and what it is answered with when it breaks the rule. */
interface Rule {
  readonly holds: (headers: RequestHeaders, req: IncomingMessage) => boolean;
  readonly status: number;
  readonly says: string;
  readonly headers?: readonly HeaderPair[];
}

const NOT_WEBSOCKET = 'the client is not using the websocket protocol:';
/** What a request of another version of HTTP is told. */
export const NOT_HTTP_1: string = `${NOT_WEBSOCKET} request is not HTTP/1.1`;
const BAD_VERSION = "unsupported version: 13 not found in 'Sec-Websocket-Version' header";
const UPGRADE: HeaderPair = ['Upgrade', 'websocket'];
const VERSION: HeaderPair = ['Sec-WebSocket-Version', '13'];

/** RFC 6455, section 4.2.1, in the order in which faults are named; the words are gorilla/websocket's. */
const RULES: readonly Rule[] = [
  {
    holds: (_, req) => req.httpVersionMajor === 1 && req.httpVersionMinor >= 1,
    status: 400,
    says: NOT_HTTP_1,
  },
  {
    holds: (headers) => headers.once('host') !== undefined,
    status: 400,
    says: "not a websocket handshake: 'Host' header must stand exactly once",
  },
  {
    holds: (headers) => isHost(headers.list('host')),
    status: 400,
    says: "not a websocket handshake: 'Host' header is no host",
  },
  {
    // What stands behind the head is frames. Two readings of it would be request smuggling.
    holds: (headers) =>
      headers.lines('transfer-encoding').length === 0 &&
      headers.lines('content-length').every((length) => /^0+$/.test(length)),
    status: 400,
    says: 'not a websocket handshake: request has a body',
  },
  {
    holds: (headers) => hasToken(headers.list('connection'), 'upgrade'),
    status: 400,
    says: `${NOT_WEBSOCKET} 'upgrade' token not found in 'Connection' header`,
  },
  {
    holds: (headers) => hasToken(headers.list('upgrade'), 'websocket'),
    status: 426,
    says: `${NOT_WEBSOCKET} 'websocket' token not found in 'Upgrade' header`,
    headers: [UPGRADE],
  },
  {
    holds: (_, req) => req.method === 'GET',
    status: 405,
    says: `${NOT_WEBSOCKET} request method is not GET`,
    headers: [['Allow', 'GET']],
  },
  {
    holds: (headers) => headers.once('sec-websocket-version') !== undefined,
    status: 400,
    says: BAD_VERSION,
  },
  {
    holds: (headers) => headers.once('sec-websocket-version') === '13',
    status: 426,
    says: BAD_VERSION,
    headers: [UPGRADE, VERSION],
  },
  {
    // 4.2.1 knows a path and an absolute URI. Two names of the host in one request would be a choice between them.
    holds: (headers, req) => isTarget(req.url ?? '', headers.list('host')),
    status: 400,
    says: 'not a websocket handshake: request target is neither a path nor a URI of the host',
  },
];

const ABSOLUTE = /^(?:https?|wss?):\/\/([^/?#]*)/i;

/** A path, or an absolute URI whose authority is what the Host header says (RFC 9112, section 3.2). No fragment is sent. */
function isTarget(target: string, host: string): boolean {
  if (target.includes('#')) return false;
  const authority = ABSOLUTE.exec(target)?.[1];
  return target.startsWith('/') || authority?.toLowerCase() === host.toLowerCase();
}

/**
 * Checks what a request must be before anybody is asked about it.
 *
 * @throws HandshakeError for the first rule that is broken.
 */
export function checkRequest(headers: RequestHeaders, req: IncomingMessage): void {
  checkAllSeen(req);
  for (const rule of RULES) {
    if (rule.holds(headers, req)) continue;
    throw new HandshakeError(rule.status, rule.says, { headers: rule.headers });
  }
}

/** What Node keeps of a request's header, names and values counted, when its server's `maxHeadersCount` is not set. */
const NODE_KEEPS = 2000;

/**
 * Once Node has that many it drops lines without a word, by the batch: a Content-Length may be among them, an Origin, or
 * the second of two keys, and no rule could hold.
 *
 * @throws HandshakeError 431; 400 under a limit that the server's owner has lowered.
 */
function checkAllSeen(req: IncomingMessage): void {
  const { server } = req.socket as { server?: { maxHeadersCount?: unknown } };
  const count = server?.maxHeadersCount;
  const kept = typeof count === 'number' ? 2 * count : NODE_KEEPS;
  if (kept <= 0 || req.rawHeaders.length < kept) return;
  throw new HandshakeError(
    kept < NODE_KEEPS ? 400 : 431,
    `not a websocket handshake: request has ${kept / 2} header lines or more`,
  );
}

/** @throws HandshakeError 400 when there are two origins: a check would see one, and a browser sends one. */
export function checkOneOrigin(headers: RequestHeaders): void {
  if (headers.lines('origin').length < 2) return;
  throw new HandshakeError(400, "not a websocket handshake: 'Origin' header is repeated");
}

/**
 * The key that the answer has to prove the knowledge of.
 *
 * @throws HandshakeError 400 when it is missing, repeated or not 16 bytes of canonical base64.
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
 * Says whether a request asks for a WebSocket: `Connection` lists `upgrade` and `Upgrade` lists `websocket`. Nothing
 * else is checked.
 */
export function isWebSocketUpgrade(req: IncomingMessage): boolean {
  const headers = new RequestHeaders(req);
  return (
    hasToken(headers.list('connection'), 'upgrade') &&
    hasToken(headers.list('upgrade'), 'websocket')
  );
}

/** The subprotocols that a request offers, the most wanted first; none when the header is missing or malformed. */
export function subprotocols(req: IncomingMessage): string[] {
  return parseSubprotocols(new RequestHeaders(req).list('sec-websocket-protocol')) ?? [];
}
