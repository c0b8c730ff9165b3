import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type DeflateAgreement, formatExtensions, type RequestFacts } from '@ws/codec';
import { isThenable } from '@ws/node-io/internal';
import { assertOpen, disconnectError } from './client-presence.ts';
import type { HandlerContext } from './conn-handler.ts';
import type { ErrorReporter } from './error-reporter.ts';
import { HandshakeError, type HeaderPair, serverFault, unexpectedResult } from './errors.ts';
import type { HandlerRunner } from './handler-runner.ts';
import { alreadyAnswered, Handshake, releaseSocket } from './handshake.ts';
import {
  type HeadersInput,
  type HeadersSource,
  headerOf,
  mergeHeaders,
  NO_HEADERS,
  optionHeaderPairs,
} from './headers.ts';
import { negotiateCompression } from './negotiate-compression.ts';
import type { UpgraderPlan } from './options.ts';
import { readAuth, thrownByAuthenticate } from './policies/authenticate.ts';
import type { ErrorHook } from './policies/error-hook.ts';
import type { Reservation } from './policies/limits.ts';
import { selectSubprotocol } from './policies/select-subprotocol.ts';
import { beforeUpgrade, checkHead, type HeadCallbacks } from './raw/head-callbacks.ts';
import { checkNoHeaderDropped, checkRequest } from './request.ts';
import { earlierResponse, isAnswered, isHttpReading } from './responder/http-socket.ts';
import { decodePath, pathForm, queryOf, rawPath } from './routes/request-target.ts';
import { anyPath, type RouteMatch, type Router } from './routes/route-table.ts';
import type { AppRequest, ServerRequest } from './server-request.ts';

/** The checked options of a server or of one of its routes, and the objects made from them. */
export interface Setup {
  readonly plan: UpgraderPlan;
  readonly reporter: ErrorReporter;
  readonly errorHook: ErrorHook;
  /** Undefined for requests of node:http. */
  readonly callbacks: HeadCallbacks | undefined;
}

/** A handler and the setup that its route has. */
export interface BoundHandler {
  readonly setup: Setup;
  /** Undefined for `upgrade`, which returns the connection instead. */
  readonly runner: HandlerRunner | undefined;
}

/** What a handshake has agreed on. */
export interface Agreement {
  readonly bound: BoundHandler;
  readonly context: HandlerContext<unknown>;
  readonly key: string;
  readonly subprotocol: string;
  readonly extensions: string;
  readonly deflate: DeflateAgreement | undefined;
  /** The application's headers for the 101. */
  headers: readonly HeaderPair[];
}

/**
 * A result, or a promise of it when the handshake has to wait. Most handshakes wait for nothing:
 * they end within the 'upgrade' event.
 */
type MaybeLater<T> = T | Promise<T>;

/** One upgrade request, from its checks to the response that accepts it. */
export class UpgradeRequest implements ServerRequest {
  /** That of the server, until a route has matched. */
  setup: Setup;
  /** The address of the client. Undefined before the limits are checked, or without an address. */
  address: string | undefined;
  /** Undefined before the limits are checked. */
  reservation: Reservation | undefined;
  /** The pattern of the route that has matched. */
  route: string | undefined;
  readonly req: AppRequest;
  readonly facts: RequestFacts;
  readonly incoming: IncomingMessage | undefined;
  readonly socket: Duplex;
  /** The bytes after the request head. */
  readonly head: Uint8Array;
  /** The request target in origin form. */
  #target = '';
  readonly #startedAt: number;
  readonly #router: Router<BoundHandler> | undefined;
  /** Headers for the 101 that are given with this request. */
  #extra: readonly HeaderPair[] = NO_HEADERS;
  #handshake: Handshake | undefined;

  /**
   * @param router - Undefined for a connection without a handler.
   * @param startedAt - The time from which the handshake timeout counts, by `performance.now()`.
   */
  constructor(
    setup: Setup,
    { req, facts, incoming, socket }: ServerRequest,
    head: Uint8Array,
    router: Router<BoundHandler> | undefined,
    startedAt: number,
  ) {
    this.setup = setup;
    this.req = req;
    this.facts = facts;
    this.incoming = incoming;
    this.socket = socket;
    this.head = head;
    this.#router = router;
    this.#startedAt = startedAt;
  }

  /** Returns the Handshake, for a wait or a refusal. Created at the first call. */
  acquireHandshake(): Handshake {
    const { handshakeTimeout } = this.setup.plan;
    this.#handshake ??= new Handshake(this.socket, this.head, handshakeTimeout, this.#startedAt);
    return this.#handshake;
  }

  /**
   * All steps of a handshake, in the order in which faults are answered.
   *
   * @param extra - Headers of the application for the 101.
   * @throws the fault, or rejects with it.
   */
  negotiate(extra: readonly HeaderPair[]): MaybeLater<Agreement> {
    this.#extra = extra;
    // Responses that a destroyed socket still carries never emit 'close'.
    if (this.socket.destroyed) throw disconnectError(this.socket);
    if (earlierResponse(this.req, this.socket) === undefined) return this.#checkRequest();
    return this.#checkAfterEarlierResponses();
  }

  /**
   * Ends the waits before the 101 is written.
   *
   * @throws TransportError when the client has disconnected, Error when the request is answered
   *   already.
   */
  prepareAnswer(): void {
    if (this.#handshake !== undefined) return this.#handshake.prepareAnswer(this.req);
    if (isAnswered(this.req, this.socket)) throw alreadyAnswered();
    assertOpen(this.socket);
  }

  /** Returns the bytes that the client has sent after its request so far, and forgets them. */
  takeEarlyBytes(): Uint8Array {
    return this.#handshake === undefined ? this.head : this.#handshake.takeEarlyBytes();
  }

  /** Gives the socket to a connection, which catches its errors from here on. */
  handOver(): void {
    releaseSocket(this.socket);
    this.#handshake?.handOver();
  }

  async #checkAfterEarlierResponses(): Promise<Agreement> {
    await this.acquireHandshake().waitForEarlierResponses(this.req);
    return this.#checkRequest();
  }

  #checkRequest(): MaybeLater<Agreement> {
    const { req, facts, incoming, socket } = this;
    if (isAnswered(req, socket)) throw alreadyAnswered();
    if (incoming !== undefined) checkNoHeaderDropped(incoming);
    checkRequest(facts, 'request');
    if (isHttpReading(socket)) throw outsideUpgrade();
    if (this.setup.callbacks !== undefined) checkHead(this.setup.callbacks, facts);
    const match = this.#findRoute();
    if (this.#handshake !== undefined) {
      this.#handshake.timeout = this.setup.plan.handshakeTimeout;
    }
    rejectExtensionsHeader(this.#extra);
    this.#checkHost();
    checkRequest(facts, 'origin');
    return this.#checkOrigin(match);
  }

  /** Takes the setup of the route that matches. */
  #findRoute(): RouteMatch<BoundHandler> {
    this.#target = pathForm(this.facts.target);
    // An application that compares `req.url` with a path would otherwise miss the path of an
    // absolute URI, and the router would not.
    if (this.incoming !== undefined) this.incoming.url = this.#target;
    const routes = this.#router ?? anyPath<BoundHandler>({ setup: this.setup, runner: undefined });
    const match = routes.match(this.#target);
    this.setup = match.handler.setup;
    this.route = match.route;
    return match;
  }

  #checkHost(): void {
    if (this.setup.plan.hosts.allows(this.facts)) return;
    throw this.setup.plan.hosts.refusal(this.facts);
  }

  #checkOrigin(match: RouteMatch<BoundHandler>): MaybeLater<Agreement> {
    const { origins } = this.setup.plan;
    if (origins.asksApplication) return this.#askForOrigin(match);
    return this.#originChecked(match, origins.allows(this.facts, this.req));
  }

  #askForOrigin(match: RouteMatch<BoundHandler>): MaybeLater<Agreement> {
    const { origins } = this.setup.plan;
    return callApplication(
      this.acquireHandshake(),
      'checkOrigin',
      () => origins.allows(this.facts, this.req),
      (allowed) => this.#originChecked(match, allowed),
    );
  }

  /** @param allowed - The result of `checkOrigin`, which may be anything. */
  #originChecked(match: RouteMatch<BoundHandler>, allowed: unknown): MaybeLater<Agreement> {
    // An Error or an object does not allow the request.
    if (allowed && typeof allowed !== 'boolean') {
      throw serverFault('checkOrigin', unexpectedResult('checkOrigin', 'true or false', allowed));
    }
    if (!allowed) throw this.setup.plan.origins.refusal(this.facts);
    checkRequest(this.facts, 'offers');
    if (this.setup.plan.authenticate !== undefined) return this.#authenticate(match);
    return this.#agree(match, this.#contextOf(match));
  }

  /** The context of a request without authentication. */
  #contextOf({ params, route }: RouteMatch<BoundHandler>): HandlerContext<unknown> {
    const target = this.#target;
    return {
      auth: undefined,
      params,
      path: decodePath(rawPath(target)),
      query: queryOf(target),
      route,
      address: this.address,
    };
  }

  #authenticate(match: RouteMatch<BoundHandler>): MaybeLater<Agreement> {
    // Not as a method: `this` of the function is undefined.
    const authenticate = this.setup.plan.authenticate!;
    const handshake = this.acquireHandshake();
    const { auth: _auth, ...context } = this.#contextOf(match);
    return callApplication(
      handshake,
      'authenticate',
      () => authenticate(this.req, { signal: handshake.signal, ...context }),
      (result) => {
        if (result === undefined) this.setup.reporter.nothingReturned(this.req, this.route);
        return this.#agree(match, { auth: readAuth(result), ...context });
      },
      thrownByAuthenticate,
    );
  }

  #agree(
    { handler: bound }: RouteMatch<BoundHandler>,
    context: HandlerContext<unknown>,
  ): MaybeLater<Agreement> {
    const { plan } = this.setup;
    const { facts } = this;
    const subprotocol = selectSubprotocol(facts, this.req, plan.subprotocols, this.#extra);
    const deflate = negotiateCompression(facts, plan.settings.compression);
    const extensions = deflate === undefined ? '' : formatExtensions([deflate.answer]);
    const key = facts.once('sec-websocket-key')!;
    return this.#addHeaders(
      { bound, context, key, subprotocol, extensions, deflate, headers: NO_HEADERS },
      0,
    );
  }

  /** Adds the headers of the options, from the given source on, and then those of this request. */
  #addHeaders(agreement: Agreement, from: number): MaybeLater<Agreement> {
    const sources = this.setup.plan.headers;
    for (let i = from; i < sources.length; i++) {
      const source = sources[i]!;
      if (typeof source === 'function') return this.#callHeaders(agreement, source, i + 1);
      agreement.headers = mergeHeaders(agreement.headers, source);
    }
    const { callbacks } = this.setup;
    if (callbacks !== undefined) {
      const last = beforeUpgrade(callbacks, this.facts);
      agreement.headers = mergeHeaders(agreement.headers, last);
    }
    agreement.headers = mergeHeaders(agreement.headers, this.#extra);
    return agreement;
  }

  #callHeaders(
    agreement: Agreement,
    headers: Extract<HeadersSource, (...args: never) => unknown>,
    next: number,
  ): MaybeLater<Agreement> {
    return callApplication(
      this.acquireHandshake(),
      'headers',
      () => headers(this.req, agreement.context),
      (input) => {
        agreement.headers = mergeHeaders(agreement.headers, returnedHeaders(input));
        return this.#addHeaders(agreement, next);
      },
    );
  }
}

/** @throws HandshakeError 500 for headers that cannot be sent. */
function returnedHeaders(input: HeadersInput): HeaderPair[] {
  try {
    return optionHeaderPairs(input);
  } catch (error) {
    throw serverFault('headers', error);
  }
}

/**
 * Calls a function of the application and continues with its result. A promise is waited for,
 * within the handshake timeout.
 */
function callApplication<T>(
  handshake: Handshake,
  name: string,
  call: () => T | PromiseLike<T>,
  next: (result: T) => MaybeLater<Agreement>,
  refusalOf = (error: unknown): HandshakeError => serverFault(name, error),
): MaybeLater<Agreement> {
  handshake.checkClient();
  let result: T;
  try {
    const called = call();
    if (isThenable(called)) return waitForResult(handshake, name, called, next, refusalOf);
    result = called;
  } catch (error) {
    throw refusalOf(error);
  }
  return next(result);
}

async function waitForResult<T>(
  handshake: Handshake,
  name: string,
  work: PromiseLike<T>,
  next: (result: T) => MaybeLater<Agreement>,
  refusalOf: (error: unknown) => HandshakeError,
): Promise<Agreement> {
  let result: T;
  try {
    result = await handshake.waitForCall(name, work);
  } catch (error) {
    // The client has disconnected, or the time is up. Report that as the cause.
    if (handshake.failure !== undefined) throw handshake.failure;
    throw refusalOf(error);
  }
  return next(result);
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
