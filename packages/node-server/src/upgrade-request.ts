import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type DeflateAgreement, formatExtensions } from '@ws/codec';
import { readAuth, thrownByAuthenticate } from './authenticate.ts';
import { checkNoHeaderDropped, checkRequest } from './check-request.ts';
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
import { anyPath, type RouteMatch, type Router } from './route-table.ts';
import { selectSubprotocol } from './select-subprotocol.ts';

/** The checked options of a server or of one of its routes, and the objects made from them. */
export interface Setup {
  readonly plan: UpgraderPlan;
  readonly reporter: ErrorReporter;
  readonly errorHook: ErrorHook;
}

/** A handler and the setup that its route has. */
export interface BoundHandler {
  readonly setup: Setup;
  /** Undefined for `upgrade`, which returns the connection instead. */
  readonly handler: ConnHandler<unknown> | undefined;
}

/** What a handshake has agreed on. */
export interface Agreement {
  readonly bound: BoundHandler;
  readonly context: HandlerContext<unknown>;
  readonly subprotocol: string;
  readonly extensions: string;
  readonly deflate: DeflateAgreement | undefined;
  /** The head of the 101. */
  readonly response: string;
}

/** One upgrade request, from its checks to the response that accepts it. */
export class UpgradeRequest {
  /** That of the server, until a route has matched. */
  setup: Setup;
  /** The address of the client. Undefined before the limits are checked, or without an address. */
  address: string | undefined;
  /** The pattern of the route that has matched. */
  route: string | undefined;
  readonly req: IncomingMessage;
  readonly socket: Duplex;

  constructor(setup: Setup, req: IncomingMessage, socket: Duplex) {
    this.setup = setup;
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
    router: Router<BoundHandler> | undefined,
    extra: readonly HeaderPair[],
  ): Promise<Agreement> {
    const { req, socket } = this;
    await handshake.waitForEarlierResponses(req);
    if (isAnswered(req, socket)) throw alreadyAnswered();
    const headers = new RequestHeaders(req);
    checkNoHeaderDropped(req);
    checkRequest(headers, req, 'request');
    if (isHttpReading(socket)) throw outsideUpgrade();
    const match = this.#findRoute(router);
    handshake.timeout = this.setup.plan.handshakeTimeout;
    rejectExtensionsHeader(extra);
    this.#checkHost(headers);
    checkRequest(headers, req, 'origin');
    await this.#checkOrigin(handshake, headers);
    checkRequest(headers, req, 'offers');
    const facts = this.#factsOf(match);
    const auth = await this.#authenticate(handshake, facts);
    return this.#agree(handshake, headers, match.handler, { auth, ...facts }, extra);
  }

  /** Takes the setup of the route that matches. */
  #findRoute(router: Router<BoundHandler> | undefined): RouteMatch<BoundHandler> {
    // An application that compares `req.url` with a path would otherwise miss the path of an
    // absolute URI, and the router would not.
    this.req.url = pathForm(this.req.url!);
    const routes = router ?? anyPath<BoundHandler>({ setup: this.setup, handler: undefined });
    const match = routes.match(this.req.url);
    this.setup = match.handler.setup;
    this.route = match.route;
    return match;
  }

  /** What `authenticate` and the handler get to know about the request. */
  #factsOf({ params, route }: RouteMatch<BoundHandler>): Omit<HandlerContext<unknown>, 'auth'> {
    const target = this.req.url!;
    return {
      params,
      path: decodePath(rawPath(target)),
      query: queryOf(target),
      route,
      address: this.address,
    };
  }

  async #agree(
    handshake: Handshake,
    headers: RequestHeaders,
    bound: BoundHandler,
    context: HandlerContext<unknown>,
    extra: readonly HeaderPair[],
  ): Promise<Agreement> {
    const { plan } = this.setup;
    const subprotocol = selectSubprotocol(headers, this.req, plan.subprotocols, extra);
    const deflate = negotiateCompression(headers, plan.compression);
    const extensions = deflate === undefined ? '' : formatExtensions([deflate.answer]);
    const fields = mergeHeaders(await this.#headers(handshake, context), extra);
    const key = headers.once('sec-websocket-key')!;
    const response = switchingProtocols(key, subprotocol, extensions, fields);
    return { bound, context, subprotocol, extensions, deflate, response };
  }

  #checkHost(headers: RequestHeaders): void {
    if (this.setup.plan.hosts.allows(headers)) return;
    throw this.setup.plan.hosts.refusal(headers);
  }

  async #checkOrigin(handshake: Handshake, headers: RequestHeaders): Promise<void> {
    const { origins } = this.setup.plan;
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
    facts: Omit<AuthenticateContext, 'signal'>,
  ): Promise<unknown> {
    const { authenticate } = this.setup.plan;
    if (authenticate === undefined) return undefined;
    const result = await callApplication(
      handshake,
      'authenticate',
      () => authenticate(this.req, { signal: handshake.signal, ...facts }),
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
    for (const source of this.setup.plan.headers) {
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
  call: () => T | PromiseLike<T>,
  refusalOf = (error: unknown): HandshakeError => serverFault(name, error),
): Promise<T> {
  handshake.checkClient();
  try {
    return await handshake.waitForCall(name, call());
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
function rejectExtensionsHeader(extra: readonly HeaderPair[]): void {
  if (headerOf(extra, 'sec-websocket-extensions') === undefined) return;
  throw new HandshakeError(
    500,
    "the application must not set 'Sec-WebSocket-Extensions'; use option compression",
  );
}
