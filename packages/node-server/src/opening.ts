import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type DeflateAgreement, formatExtensions } from '@ws/codec';
import { readAuth, thrownByAuthenticate } from './authenticate.ts';
import { checkNoneDropped, checkRequest } from './check-request.ts';
import type { AuthenticateContext, ConnHandler, HandlerContext } from './conn-handler.ts';
import type { ErrorReporter } from './error-reporter.ts';
import { HandshakeError, type HeaderPair, serverFault, unexpectedResult } from './errors.ts';
import { alreadyAnswered, type Handshake } from './handshake.ts';
import {
  type HeadersSource,
  headerOf,
  mergeHeaders,
  optionHeaderPairs,
  RequestHeaders,
} from './headers.ts';
import { isAnswered, isHttpReading } from './http-socket.ts';
import { negotiateCompression } from './negotiate-compression.ts';
import type { UpgraderPlan } from './options.ts';
import type { ErrorHook } from './refusal/error-hook.ts';
import { decodePath, pathForm, queryOf, rawPath } from './request-target.ts';
import { switchingProtocols } from './response-head.ts';
import { anyPath, type Router } from './routes.ts';
import { selectSubprotocol } from './select-subprotocol.ts';

/** How a server, or one of its routes, opens connections. */
export interface Site {
  readonly plan: UpgraderPlan;
  readonly reporter: ErrorReporter;
  readonly errorHook: ErrorHook;
}

/** The site and the handler of a route. */
export interface Endpoint {
  readonly site: Site;
  /** Undefined for `upgrade`, which returns the connection instead. */
  readonly handler: ConnHandler<unknown> | undefined;
}

/** What a handshake has agreed on. */
export interface Agreement {
  readonly endpoint: Endpoint;
  readonly context: HandlerContext<unknown>;
  readonly subprotocol: string;
  readonly extensions: string;
  readonly deflate: DeflateAgreement | undefined;
  /** The head of the 101. */
  readonly response: string;
}

/** One upgrade request, from its checks to the response that accepts it. */
export class Opening {
  /** The server's, until a route has matched. */
  site: Site;
  /** Undefined until the limits have read it, and for a client without an address. */
  address: string | undefined;
  /** The pattern of the route that has matched. */
  route: string | undefined;
  readonly req: IncomingMessage;
  readonly socket: Duplex;

  constructor(site: Site, req: IncomingMessage, socket: Duplex) {
    this.site = site;
    this.req = req;
    this.socket = socket;
  }

  /**
   * All steps of a handshake, in the order in which faults are answered.
   *
   * @param handshake - Has the socket of this request.
   * @param router - Undefined for a connection without a handler.
   * @param extra - Headers of the application for the 101.
   */
  async negotiate(
    handshake: Handshake,
    router: Router<Endpoint> | undefined,
    extra: readonly HeaderPair[],
  ): Promise<Agreement> {
    const { req, socket } = this;
    await handshake.waitForEarlierResponses(req);
    if (isAnswered(req, socket)) throw alreadyAnswered();
    const headers = new RequestHeaders(req);
    checkNoneDropped(req);
    checkRequest(headers, req, 'request');
    if (isHttpReading(socket)) throw outsideUpgrade();
    // An application that compares `req.url` with a path would otherwise miss the path of an
    // absolute URI, and the router would not.
    req.url = pathForm(req.url!);
    const any = router ?? anyPath<Endpoint>({ site: this.site, handler: undefined });
    const { handler: endpoint, params, route } = any.match(req.url);
    this.site = endpoint.site;
    this.route = route;
    const { plan } = this.site;
    handshake.timeout = plan.handshakeTimeout;
    checkExtra(extra);
    this.#checkHost(headers);
    checkRequest(headers, req, 'origin');
    await this.#checkOrigin(handshake, headers);
    checkRequest(headers, req, 'offers');
    const known = {
      params,
      path: decodePath(rawPath(req.url)),
      query: queryOf(req.url),
      route,
      address: this.address,
    };
    const auth = await this.#authenticate(handshake, known);
    const context = { auth, ...known };
    const subprotocol = selectSubprotocol(headers, req, plan.subprotocols, extra);
    const deflate = negotiateCompression(headers, plan.compression);
    const extensions = deflate === undefined ? '' : formatExtensions([deflate.answer]);
    const fields = mergeHeaders(await this.#headers(handshake, context), extra);
    const key = headers.once('sec-websocket-key')!;
    const response = switchingProtocols(key, subprotocol, extensions, fields);
    return { endpoint, context, subprotocol, extensions, deflate, response };
  }

  #checkHost(headers: RequestHeaders): void {
    if (this.site.plan.hosts.allows(headers)) return;
    throw this.site.plan.hosts.refusal(headers);
  }

  async #checkOrigin(handshake: Handshake, headers: RequestHeaders): Promise<void> {
    const { origins } = this.site.plan;
    const allowed = await callApplication(handshake, 'checkOrigin', () =>
      origins.allows(headers, this.req),
    );
    // An Error or an object is no yes.
    if (allowed && typeof allowed !== 'boolean') {
      throw serverFault('checkOrigin', unexpectedResult('checkOrigin', 'true or false', allowed));
    }
    if (allowed) return;
    throw origins.refusal(headers);
  }

  async #authenticate(
    handshake: Handshake,
    known: Omit<AuthenticateContext, 'signal'>,
  ): Promise<unknown> {
    const { authenticate } = this.site.plan;
    if (authenticate === undefined) return undefined;
    const result = await callApplication(
      handshake,
      'authenticate',
      () => authenticate(this.req, { signal: handshake.signal, ...known }),
      thrownByAuthenticate,
    );
    return readAuth(result);
  }

  /** Returns the headers that the options add to the 101. */
  async #headers(
    handshake: Handshake,
    context: HandlerContext<unknown>,
  ): Promise<readonly HeaderPair[]> {
    let headers: readonly HeaderPair[] = [];
    for (const source of this.site.plan.headers) {
      const isFunction = typeof source === 'function';
      const pairs = isFunction ? await this.#callHeaders(handshake, source, context) : source;
      headers = mergeHeaders(headers, pairs);
    }
    return headers;
  }

  async #callHeaders(
    handshake: Handshake,
    headers: Extract<HeadersSource, (...args: never) => unknown>,
    context: HandlerContext<unknown>,
  ): Promise<readonly HeaderPair[]> {
    const input = await callApplication(handshake, 'headers', () => headers(this.req, context));
    try {
      return optionHeaderPairs(input);
    } catch (error) {
      throw serverFault('headers', error);
    }
  }
}

/** Calls a function of the application and waits for its result within the handshake timeout. */
async function callApplication<T>(
  handshake: Handshake,
  name: string,
  question: () => T | PromiseLike<T>,
  refusalOf = (error: unknown): HandshakeError => serverFault(name, error),
): Promise<T> {
  handshake.checkClient();
  try {
    return await handshake.waitForCall(name, question());
  } catch (error) {
    // The client has disconnected, or the time is up. Report that as the cause.
    if (handshake.failure !== undefined) throw handshake.failure;
    throw refusalOf(error);
  }
}

/**
 * The error for a call outside a listener for 'upgrade'. There Node parses the first frames as
 * requests, so the frames are lost.
 */
function outsideUpgrade(): HandshakeError {
  const message = "upgrade was called outside a listener for 'upgrade'";
  const cause = new Error(`websocket: ${message}`);
  return new HandshakeError(500, message, { body: 'Internal Server Error\n', cause });
}

/**
 * Rejects a Sec-WebSocket-Extensions header of the application: the upgrader negotiates extensions,
 * as in gorilla/websocket.
 */
function checkExtra(extra: readonly HeaderPair[]): void {
  if (headerOf(extra, 'sec-websocket-extensions') === undefined) return;
  throw new HandshakeError(
    500,
    "the application must not set 'Sec-WebSocket-Extensions'; use option compression",
  );
}
