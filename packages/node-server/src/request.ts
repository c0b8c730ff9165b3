import { type IncomingMessage, maxHeaderSize } from 'node:http';
import type { Duplex } from 'node:stream';
import { checkRequest, parseSubprotocols, type RequestFacts, type RequestStep } from '@ws/codec';
import { hasToken } from '@ws/codec/internal';
import type { AppRequest } from './conn-handler.ts';
import { HandshakeError } from './errors.ts';
import { CompatResponder } from './http2/on-demand.ts';
import { IncomingFacts, isCompatRequest, RequestHeaders } from './request-facts.ts';
import { NodeHttpResponder } from './responder/node-http.ts';
import type { ServerRequest } from './server-request.ts';

/** Describes a request that node:http has parsed. */
export function requestOfNode(incoming: IncomingMessage, socket: Duplex): ServerRequest {
  const { httpVersionMajor: major, httpVersionMinor: minor } = incoming;
  // A client may write HTTP/2.0 into a request of HTTP/1.
  const facts = new IncomingFacts(incoming, major === 1 && minor >= 1 ? '1.1' : '1.0');
  const responder =
    major === 2 && isCompatRequest(incoming)
      ? new CompatResponder(incoming.stream)
      : new NodeHttpResponder(incoming, socket);
  return { req: incoming as AppRequest, facts, incoming, responder };
}

/**
 * Checks a request by the rules of one step in the codec's table.
 *
 * @throws HandshakeError for the first broken rule.
 */
export function applyRules(facts: RequestFacts, step: RequestStep): void {
  const refusal = checkRequest(facts, step);
  if (refusal === undefined) return;
  throw new HandshakeError(refusal.status, refusal.message, { headers: refusal.headers });
}

/**
 * Entries (names and values) of `rawHeaders` that Node keeps when the server's `maxHeadersCount` is
 * not set.
 */
const NODE_HEADER_ENTRIES = 2000;

/**
 * Returns the refusal of a head that Node has read in part, or that is too large.
 *
 * `http.Server` drops the lines above `maxHeadersCount` silently and in batches. A Content-Length, an
 * Origin or a second key may be among them, so no rule would be reliable. The status is 400 when the
 * owner of the server has lowered the limit, otherwise 431.
 */
export function headFault(req: IncomingMessage): HandshakeError | undefined {
  const { server } = req.socket as { server?: { maxHeadersCount?: unknown } };
  const count = server?.maxHeadersCount;
  const kept = typeof count === 'number' ? 2 * count : NODE_HEADER_ENTRIES;
  if (kept <= 0 || req.rawHeaders.length < kept) {
    return req.httpVersionMajor < 2 ? undefined : headSizeFault(req);
  }
  return new HandshakeError(
    kept < NODE_HEADER_ENTRIES ? 400 : 431,
    `not a websocket handshake: request has ${kept / 2} header lines or more`,
  );
}

/**
 * Returns the refusal of a head over HTTP/2 that is larger than one over HTTP/1.1 may be: node:http2
 * bounds each field, and not their sum.
 */
export function headSizeFault(req: IncomingMessage): HandshakeError | undefined {
  if (req.httpVersionMajor < 2) return undefined;
  let size = 0;
  for (const text of req.rawHeaders) size += text.length;
  // Lines of another parser that are no text are left to the rules.
  if (!(size > maxHeaderSize)) return undefined;
  const bound = `more than ${maxHeaderSize} bytes (option --max-http-header-size of Node)`;
  return new HandshakeError(431, `request head is too large: ${bound}`);
}

/**
 * Returns whether a request asks for a WebSocket: `Connection` lists `upgrade` and `Upgrade` lists
 * `websocket` (RFC 6455, section 4.2.1). It checks nothing else; an Upgrader checks the whole
 * request.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { isWebSocketUpgrade } from '@ws/node-server';
 *
 * const server = createServer((req, res) => {
 *   res.writeHead(isWebSocketUpgrade(req) ? 404 : 200).end();
 * });
 * ```
 */
export function isWebSocketUpgrade(req: IncomingMessage): boolean {
  const headers = headersOf(req);
  return (
    hasToken(headers.list('connection'), 'upgrade') &&
    hasToken(headers.list('upgrade'), 'websocket')
  );
}

/**
 * Returns the subprotocols that a request offers, in the client's order of preference (RFC 6455,
 * section 4.2.1). The array is empty when the header is missing or malformed.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { subprotocols } from '@ws/node-server';
 *
 * const server = createServer();
 * server.on('upgrade', (req, socket) => {
 *   console.log(subprotocols(req)); // [ 'v2', 'v1' ]
 *   socket.destroy();
 * });
 * ```
 */
export function subprotocols(req: IncomingMessage): string[] {
  return parseSubprotocols(headersOf(req).list('sec-websocket-protocol')) ?? [];
}

/** A request that a test or another server made may have no `rawHeaders`. */
function headersOf(req: IncomingMessage): RequestHeaders {
  const { rawHeaders, headers }: Partial<IncomingMessage> = req;
  if (rawHeaders !== undefined) return new RequestHeaders(req);
  const lines = Object.entries(headers ?? {}).flatMap(([name, value]) => [name, String(value)]);
  return new RequestHeaders({ rawHeaders: lines });
}
