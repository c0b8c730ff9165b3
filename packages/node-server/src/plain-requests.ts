import {
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';
import type { RequestFacts } from '@ws/codec';
import { hasToken, parseHostPort } from '@ws/codec/internal';
import { isThenable } from '@ws/conn/internal';
import { cutStream } from '@ws/node-io/internal';
import type { AppRequest } from './conn-handler.ts';
import type { ErrorReporter } from './error-reporter.ts';
import { HandshakeError } from './errors.ts';
import { HandshakeWaits } from './handshake-waits.ts';
import { headerOf, isResponse } from './headers.ts';
import { resetAfterAnswer } from './http2/on-demand.ts';
import type { PendingWork } from './pending-work.ts';
import { headFault, headSizeFault, IncomingFacts, isCompatRequest } from './request.ts';
import { endRefusedResponse } from './responder/linger.ts';
import { NodeHttpResponder } from './responder/node-http.ts';
import type { OnRefused } from './responder/refusals.ts';

/** Refuses a plain request with a line of text. Later requests on its connection are not served. */
function refusePlainRequest(res: ServerResponse, { status, headers, body }: HandshakeError): void {
  // The application may have set another reason, even an invalid one.
  if (isHttp1(res)) res.statusMessage = STATUS_CODES[status]!;
  res.writeHead(status, {
    ...(isHttp1(res) ? fieldsOfHttp1(headers) : {}),
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
    'Content-Length': Buffer.byteLength(body),
    'Sec-WebSocket-Version': '13',
  });
  // With `rejectNonStandardBodyWrites`, node:http throws for a body that answers HEAD.
  if (res.req.method !== 'HEAD') res.write(body);
  if (isHttp1(res)) endRefusedResponse(res);
  else res.end();
}

function fieldsOfHttp1(headers: HandshakeError['headers']): OutgoingHttpHeaders {
  // RFC 9110, section 7.8: a sender of Upgrade lists it in Connection.
  const connection = headerOf(headers, 'upgrade') === undefined ? 'close' : 'close, Upgrade';
  return { ...Object.fromEntries(headers), Connection: connection };
}

/** The listeners for 'request' by which `serve` answers 426 while the application has none. */
export const defaultListeners: WeakSet<object> = new WeakSet();

/** Returns whether an HTTP server has a listener for 'request' that the application has given. */
export function hasRequestListener(server: Pick<Server, 'listeners'>): boolean {
  return !server.listeners('request').every((listener) => defaultListeners.has(listener));
}

/** Makes the default listener for 'request', which answers 426. */
export function upgradeRequired(refused: OnRefused): RequestListener {
  return (req, res) => {
    const error = plainRequestRefusal(new IncomingFacts(req));
    refused(error, req.socket, req);
    refusePlainRequest(res, error);
  };
}

/**
 * Makes the refusal of a request that asks for no upgrade. With the other headers of a handshake, it
 * names the cause.
 */
export function plainRequestRefusal(fields: RequestFacts): HandshakeError {
  const headers = [['Upgrade', 'websocket']] as const;
  const lost = fields.has('upgrade') ? LOST_IN_CONNECTION : LOST_UPGRADE;
  const cause = fields.has('sec-websocket-key')
    ? `; ${lost}; if a proxy removed it, configure the proxy to forward Upgrade and Connection`
    : '';
  const body = `this is a WebSocket server${cause}\n`;
  return new HandshakeError(426, 'plain request', { headers, body });
}

const LOST_UPGRADE = 'the request has no Upgrade header';
const LOST_IN_CONNECTION = "no 'upgrade' found in Connection";

/**
 * Makes a listener for 'request' that reports the error of `listener` and answers with 500. Node
 * would end the process: it handles neither a throw nor a rejection.
 */
export function guardListener(
  listener: RequestListener,
  reporter: ErrorReporter,
  work: PendingWork,
): RequestListener {
  return (req, res) => {
    const settled = (): unknown => work.listeners.delete(res);
    const failed = (error: unknown): void => {
      reporter.failed(error, { where: 'request', request: req as AppRequest });
      refuseFailedRequest(res);
    };
    try {
      const result: unknown = listener(req, res);
      if (!isThenable(result)) return refuseResponse(result);
      work.listeners.add(res);
      // A thenable of the application may settle twice.
      Promise.resolve(result).then(refuseResponse).catch(failed).then(settled, settled);
    } catch (error) {
      failed(error);
    }
  };
}

/** @throws TypeError for a Response: no code would send it, and its client would wait for ever. */
function refuseResponse(result: unknown): void {
  if (!isResponse(result)) return;
  throw new TypeError(
    'request: it returned a Response; answer with the second argument, res, or take serveFetch of @ws/fetch/node',
  );
}

/**
 * Answers with 500 unless the response has begun. Destroys a response that has begun, so that the
 * client sees that it is incomplete.
 */
function refuseFailedRequest(res: ServerResponse): void {
  if (res.writableEnded || res.destroyed) return;
  if (res.headersSent) return void res.destroy();
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  refusePlainRequest(res, new HandshakeError(500, 'Internal Server Error'));
}

/**
 * The plain requests of a server that `serve` has created. It counts them until their responses are
 * sent.
 */
export class PlainRequests {
  readonly #serve: RequestListener;
  readonly #work: PendingWork;
  readonly #onRefused: OnRefused;
  readonly #open = new Map<Duplex, Set<ServerResponse>>();
  readonly #refused = new WeakSet<Duplex>();
  #closing = false;

  /**
   * @param serve - Answers well-formed requests.
   * @param refused - Gets each refusal before it is written.
   */
  constructor(serve: RequestListener, work: PendingWork, refused: OnRefused) {
    this.#serve = serve;
    this.#work = work;
    this.#onRefused = refused;
  }

  /** Listener for 'request'. */
  readonly onRequest: RequestListener = (req, res) => {
    const fault = headSizeFault(req) ?? incomingFault(req);
    if (fault !== undefined) this.#refuse(res, fault);
    else if (this.#begin(res)) this.#serve(req, res);
  };

  /** Listener for 'checkExpectation': requests with another `Expect` than `100-continue`. */
  readonly onExpectation: RequestListener = (_req, res) => {
    this.#refuse(res, new HandshakeError(417, "unknown expectation in 'Expect' header"));
  };

  /** Makes each answer the last one of its connection, from now on. */
  drain(): void {
    this.#closing = true;
    for (const open of this.#open.values()) open.forEach(makeLast);
  }

  #refuse(res: ServerResponse, error: HandshakeError): void {
    if (!this.#begin(res)) return;
    // The socket of HTTP/2 carries other requests, perhaps of other clients.
    if (isHttp1(res)) this.#refused.add(res.req.socket);
    this.#onRefused(error, res.req.socket, res.req);
    refusePlainRequest(res, error);
  }

  /**
   * @returns false for a request that follows a refused one: its connection closes without an
   *   answer.
   */
  #begin(res: ServerResponse): boolean {
    const { socket } = res.req;
    if (this.#refused.has(socket)) return false;
    if (this.#closing) makeLast(res);
    if (isCompatRequest(res.req)) resetAfterAnswer(res.req.stream);
    const open = this.#openOn(socket);
    open.add(res);
    this.#work.responses++;
    res.once('close', () => {
      if (open.delete(res)) this.#work.responsesOver(1);
    });
    return true;
  }

  /**
   * Node emits no 'close' on queued responses when their socket closes, so the socket is watched
   * too.
   */
  #openOn(socket: Duplex): Set<ServerResponse> {
    const known = this.#open.get(socket);
    if (known !== undefined) return known;
    const open = new Set<ServerResponse>();
    this.#open.set(socket, open);
    socket.once('close', () => {
      this.#open.delete(socket);
      this.#work.responsesOver(open.size);
      open.clear();
    });
    return open;
  }
}

/** A stream of HTTP/2 carries one request, and no headers of its connection. */
function isHttp1({ req }: ServerResponse): boolean {
  return req.httpVersionMajor === 1;
}

function makeLast(res: ServerResponse): void {
  if (!res.headersSent && isHttp1(res)) res.setHeader('Connection', 'close');
}

/** The refusal of a plain request of node:http: see {@link plainRequestFault}. */
export function incomingFault(req: IncomingMessage): HandshakeError | undefined {
  return plainRequestFault(new IncomingFacts(req));
}

/**
 * The refusal of a plain request if its Host is missing, repeated or malformed, or differs from
 * `:authority`.
 *
 * @see RFC 9112, section 3.2
 * @see RFC 9113, section 8.3.1
 */
export function plainRequestFault(
  facts: Pick<RequestFacts, 'version' | 'lines'>,
): HandshakeError | undefined {
  const refuse = (what: string): HandshakeError => {
    return new HandshakeError(400, `not an HTTP request: 'Host' header is ${what}`);
  };
  const [host, ...others] = facts.lines('host');
  if (others.length > 0) return refuse('repeated');
  // An empty host is valid, for a target without an authority.
  if (host && parseHostPort(host) === undefined) return refuse('not a valid host');
  if (host === undefined) return facts.version === '1.1' ? refuse('missing') : undefined;
  const [authority = host] = facts.lines(':authority');
  return isSameHost(host, authority) ? undefined : refuse("another than ':authority'");
}

function isSameHost(host: string, other: string): boolean {
  return host.toLowerCase() === other.toLowerCase();
}

/** Fields of an upgrade to another protocol (RFC 7540, section 3.2.1), in lower case. */
const UPGRADE_FIELDS: ReadonlySet<string> = new Set(['upgrade', 'http2-settings']);

/** The requests that were given back: several listeners of ours may get one. */
const givenBack = new WeakSet<IncomingMessage>();

type Parse = (this: Server, socket: Duplex) => void;

/**
 * Gives a request without `websocket` in its Upgrade back to its server, which emits 'request'
 * for it: a server may ignore an Upgrade (RFC 9110, section 7.8). curl and Java's HttpClient offer
 * `h2c` with ordinary requests. node:http emits 'upgrade' for them once that event has a listener.
 *
 * @param work - Counts the socket while the answers to earlier requests on it are pending.
 * @param timeout - Milliseconds until those are sent; then the socket is cut. Infinity for no bound.
 * @returns Whether the request was given back. Its socket must not be used then. Without a listener for
 *   'request' it is not: nothing would answer.
 */
export function giveBackPlainRequest(
  req: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  work: PendingWork,
  timeout: number,
): boolean {
  if (asksForWebSocket(req)) return false;
  if (givenBack.has(req)) return true;
  const { server } = req.socket as { server?: Server };
  const parse = server && parserOf(server);
  if (parse === undefined || server!.listenerCount('request') === 0) return false;
  if (req.method === 'CONNECT' || req.httpVersionMajor !== 1) return false;
  if (hasToken(new IncomingFacts(req).list('upgrade'), 'websocket')) return false;
  // The rules refuse it.
  if (headFault(req) !== undefined) return false;
  givenBack.add(req);
  const again = (rest: Uint8Array): void => parseAgain(server!, parse, req, socket, rest);
  const responder = new NodeHttpResponder(req, socket);
  if (responder.isQueued) void parseInTurn(responder, head, work, timeout, again);
  else if (!socket.destroyed) again(head);
  return true;
}

/** Waits for the answers to earlier requests: the new parser would not send its answer after them. */
async function parseInTurn(
  responder: NodeHttpResponder,
  head: Uint8Array,
  work: PendingWork,
  timeout: number,
  again: (rest: Uint8Array) => void,
): Promise<void> {
  const { stream } = responder;
  const waits = new HandshakeWaits(responder, head, timeout, performance.now());
  work.addSocket(stream);
  try {
    await responder.untilEarlierAnswered((answer) => waits.wait(answer));
    waits.stop();
    if (waits.failure === undefined) {
      waits.forgetSocket();
      again(waits.takeEarlyBytes());
      // The client has ended its half, and node:http serves no request after that.
    } else stream.end();
  } catch {
    waits.stop();
    // After an answer that is the last one, node:http ends the socket itself.
    if (!stream.writableEnded) cutStream(stream);
  } finally {
    work.removeSocket(stream);
  }
}

/** Whether the first Upgrade line is `websocket` alone, as in nearly every upgrade. */
function asksForWebSocket({ rawHeaders }: IncomingMessage): boolean {
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    if (name.length !== 7 || name.toLowerCase() !== 'upgrade') continue;
    return rawHeaders[i + 1]!.toLowerCase() === 'websocket';
  }
  return false;
}

/** Returns Node's own listener for connections. */
function parserOf(server: Server): Parse | undefined {
  const listeners = [...server.listeners('secureConnection'), ...server.listeners('connection')];
  return listeners.find(({ name }) => name === 'connectionListener') as Parse | undefined;
}

function parseAgain(
  server: Server,
  parse: Parse,
  req: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
): void {
  socket.unshift(Buffer.concat([Buffer.from(headWithoutUpgrade(req), 'latin1'), head]));
  // Only the first parser of a socket takes its handle. This one reads the stream, with these bytes.
  parse.call(server, socket);
  socket.resume();
}

function headWithoutUpgrade({ method, url, httpVersion, rawHeaders }: IncomingMessage): string {
  let head = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    const value = rawHeaders[i + 1]!;
    const field = name.toLowerCase();
    if (UPGRADE_FIELDS.has(field)) continue;
    head += `${name}: ${field === 'connection' ? withoutUpgradeTokens(value) : value}\r\n`;
  }
  return `${head}\r\n`;
}

function withoutUpgradeTokens(connection: string): string {
  const tokens = connection.split(',').map((token) => token.trim());
  return tokens.filter((token) => !UPGRADE_FIELDS.has(token.toLowerCase())).join(', ');
}
