import { type IncomingMessage, maxHeaderSize } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { checkRequest, parseSubprotocols, type RequestFacts, type RequestStep } from '@ws/codec';
import { hasToken } from '@ws/codec/internal';
import { addressOf } from '@ws/node-io/internal';
import { HandshakeError } from './errors.ts';

/** Header fields that the handshake reads. */
const FIELDS = [
  'host',
  'transfer-encoding',
  'content-length',
  'connection',
  'upgrade',
  'origin',
  'x-forwarded-for',
  'sec-websocket-version',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
  // Of HTTP/2 (RFC 8441, section 4).
  ':protocol',
  ':scheme',
  ':authority',
] as const;
type Field = (typeof FIELDS)[number];
const KEPT: ReadonlySet<string> = new Set(FIELDS);

/** The fields that are read of a request. An application or a test may make one without some of them. */
type Incoming = Partial<
  Pick<IncomingMessage, 'rawHeaders' | 'method' | 'url' | 'socket'> &
    Pick<IncomingMessage, 'httpVersionMajor' | 'httpVersionMinor'>
>;

/**
 * An IncomingMessage, for the codec's tables of rules and for the steps between them.
 *
 * `IncomingMessage.headers` joins some repeated fields and drops others, but the handshake has rules
 * about repetition. Other fields are not kept: a flood of them would cost ten times their bytes.
 */
export class IncomingFacts implements RequestFacts {
  readonly incoming: IncomingMessage;
  readonly method: string;
  readonly target: string;
  readonly version: RequestFacts['version'];
  /** The lines of each field. One line is kept as its text, so that a usual request needs no list. */
  readonly #values = new Map<string, string | string[]>();

  /** @param version - Default: the version of HTTP/1. */
  constructor(incoming: Incoming, version?: '2') {
    const { httpVersionMajor: major, httpVersionMinor: minor = 0, rawHeaders: raw = [] } = incoming;
    this.incoming = incoming as IncomingMessage;
    this.method = incoming.method ?? '';
    this.target = incoming.url ?? '';
    // A client may write HTTP/2.0 into a request of HTTP/1.
    this.version = version ?? (major === 1 && minor >= 1 ? '1.1' : '1.0');
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const name = raw[i]!.toLowerCase();
      if (!KEPT.has(name)) continue;
      const line = raw[i + 1]!;
      const before = this.#values.get(name);
      if (before === undefined) this.#values.set(name, line);
      else if (typeof before === 'string') this.#values.set(name, [before, line]);
      else before.push(line);
    }
    // A request of HTTP/2 often has no Host (RFC 9113, section 8.3.1).
    const authority = this.#values.get(':authority');
    if (authority !== undefined && !this.has('host')) this.#values.set('host', authority);
  }

  get remoteAddress(): string | undefined {
    return addressOf(this.incoming.socket, 'remoteAddress');
  }

  /** Whether the field occurs. */
  has(name: Field): boolean {
    return this.#values.has(name);
  }

  /** Returns the value of every line of the field. */
  lines(name: Field): readonly string[] {
    const value = this.#values.get(name) ?? [];
    return typeof value === 'string' ? [value] : value;
  }

  /** Returns the field as one list over all its lines; `''` when it is missing. */
  list(name: Field): string {
    const value = this.#values.get(name) ?? '';
    return typeof value === 'string' ? value : value.join(', ');
  }

  /** Returns the value of a field that occurs exactly once, otherwise undefined. */
  once(name: Field): string | undefined {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : undefined;
  }
}

/** Returns whether a request is one of node:http2's compatibility API. */
export function isCompatRequest(req: object | undefined): req is Http2ServerRequest {
  const { stream } = (req ?? {}) as Partial<Http2ServerRequest>;
  return typeof stream?.respond === 'function';
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
  const headers = factsOf(req);
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
  return parseSubprotocols(factsOf(req).list('sec-websocket-protocol')) ?? [];
}

/** A request that a test or another server made may have no `rawHeaders`. */
function factsOf(req: IncomingMessage): IncomingFacts {
  const { rawHeaders, headers }: Partial<IncomingMessage> = req;
  if (rawHeaders !== undefined) return new IncomingFacts(req);
  const lines = Object.entries(headers ?? {}).flatMap(([name, value]) => [name, String(value)]);
  return new IncomingFacts({ rawHeaders: lines });
}
