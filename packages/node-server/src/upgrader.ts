import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { formatExtensions } from '@ws/codec';
import { Conn, type Platform } from '@ws/conn';
import { handlerSettled, handlerStarted } from '@ws/conn/internal';
import { isThenable } from '@ws/http-shared';
import { nodePlatform, socketTransport } from '@ws/node-io';
import { readAuth, thrownByAuthenticate } from './authenticate.ts';
import { checkKey, checkOneOrigin, checkRequest } from './check-request.ts';
import type {
  AuthenticateContext,
  ConnHandler,
  HandlerContext,
  Routes,
  UpgradeListener,
} from './conn-handler.ts';
import { ErrorReporter } from './error-reporter.ts';
import { HandshakeError, type HeaderPair, serverFault, unexpectedResult } from './errors.ts';
import { alreadyAnswered, Handshake } from './handshake.ts';
import { type HeadersInput, headerOf, headerPairs, RequestHeaders } from './headers.ts';
import { isAnswered, isHttpReading } from './http-socket.ts';
import { isHttp2, rejectHttp2 } from './http2.ts';
import { Limits, type Reservation } from './limits.ts';
import { negotiateCompression, readExtensions } from './negotiate-compression.ts';
import {
  type AuthOf,
  checkUpgraderOptions,
  type UpgraderOptions,
  type UpgraderPlan,
} from './options.ts';
import { endFailedHandshake } from './refusal/end-failed-handshake.ts';
import { ErrorHook } from './refusal/error-hook.ts';
import { decodePath, pathForm, rawPath } from './request-target.ts';
import { switchingProtocols } from './response-head.ts';
import { anyPath, noParams, type RouteMatch, type Router, RouteTable } from './routes.ts';
import { selectSubprotocol } from './select-subprotocol.ts';

interface Accepted<Auth> {
  readonly conn: Conn;
  readonly context: HandlerContext<Auth>;
  /** The matching route, if there is a router. */
  readonly match: RouteMatch<ConnHandler<Auth>> | undefined;
}

/**
 * Upgrades requests of any node:http or node:https server to WebSocket connections.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { Upgrader } from '@ws/node-server';
 *
 * const upgrader = new Upgrader({ subprotocols: ['chat'] });
 * const server = createServer((_req, res) => res.end('a page'));
 * server.on('upgrade', upgrader.handler((conn) => conn.receive((message) => conn.send(message))));
 * ```
 */
export class Upgrader<Result = undefined> {
  readonly #plan: UpgraderPlan<Result>;
  readonly #limits: Limits;
  readonly #reporter: ErrorReporter;
  readonly #errorHook: ErrorHook;
  readonly #platform: Platform;

  /** @throws TypeError or RangeError that names the bad or unknown option. */
  constructor(options?: UpgraderOptions<Result>);
  /** @internal With a platform that reports the connections to a server. */
  constructor(options: UpgraderOptions<Result>, platform: Platform);
  constructor(options: UpgraderOptions<Result> = {}, platform: Platform = nodePlatform) {
    this.#platform = platform;
    this.#plan = checkUpgraderOptions(options);
    this.#limits = new Limits(this.#plan.limits);
    this.#reporter = new ErrorReporter(this.#plan.report);
    this.#errorHook = new ErrorHook(this.#plan.error, this.#plan.limits.maxHandshakes);
  }

  /**
   * Answers an upgrade request with a 101 and a connection, or with a refusal. The upgrader owns
   * the socket in both cases. Call it synchronously in the listener for 'upgrade'.
   *
   * @param head - The bytes after the request head, which may contain the first frames. Pass the
   *   listener's argument.
   * @param headers - Headers of the 101, `Set-Cookie` for example.
   * @returns The open connection.
   * @throws (rejects with) {@link HandshakeError} after the refusal was written; TransportError
   *   when the client has disconnected or has half-closed; TypeError, with nothing written and the
   *   socket destroyed, for a missing `head` or for headers that cannot be sent; Error, with
   *   nothing written, when the socket is already upgraded or the request answered.
   * @see RFC 6455, section 4.2
   */
  async upgrade(
    req: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    headers?: HeadersInput,
  ): Promise<Conn> {
    return (await this.#accept(req, socket, head, headers)).conn;
  }

  /**
   * Makes a listener for 'upgrade' that runs `handler` for each connection. The listener answers
   * refusals itself. The option `report` gets the errors of `handler`.
   *
   * @throws TypeError when `handler` is not a function.
   */
  handler(handler: ConnHandler<AuthOf<Result>>): UpgradeListener {
    if (typeof handler !== 'function') throw new TypeError('handler: expected a function');
    return this.#listener(anyPath(handler));
  }

  /**
   * Makes a listener for 'upgrade' with one handler per path. Otherwise the listener works like the
   * listener of {@link Upgrader.handler}.
   *
   * @param handler - Runs for connections whose path matches no route. Without this handler they
   *   are refused with 404.
   * @throws TypeError that names the route, for a malformed pattern, for two patterns that match
   *   the same paths and for a handler that is not a function.
   *
   * @example
   * ```ts
   * import { createServer } from 'node:http';
   * import { Upgrader } from '@ws/node-server';
   *
   * const upgrader = new Upgrader();
   * const server = createServer();
   * const listener = upgrader.routes({
   *   '/chat': (conn) => conn.receive((message) => conn.send(message)),
   *   '/feed/:id': (conn, _req, { params }) => conn.send(`the feed ${params.id}`),
   * });
   * server.on('upgrade', listener);
   * ```
   */
  routes<Pattern extends string>(
    routes: Routes<Pattern, AuthOf<Result>>,
    handler?: ConnHandler<AuthOf<Result>>,
  ): UpgradeListener {
    // The table passes each handler the parameters of its own pattern. The type of the table cannot
    // express that.
    const table = routes as unknown as { readonly [pattern: string]: ConnHandler<AuthOf<Result>> };
    return this.#listener(new RouteTable(table, handler));
  }

  /** @internal Refuses a request that arrives while a server closes. */
  async refuse(
    req: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    refusal: HandshakeError,
  ): Promise<void> {
    try {
      const handshake = new Handshake(socket, head, this.#plan.handshakeTimeout);
      await endFailedHandshake(handshake, req, socket, refusal, this.#errorHook);
    } catch (error) {
      this.#reporter.handshakeFailed(error, req);
    }
  }

  #listener(router: Router<ConnHandler<AuthOf<Result>>>): UpgradeListener {
    return (req, socket, head) => {
      if (this.#plan.unmatched === 'leave' && !router.has(req.url ?? '')) return;
      this.#accept(req, socket, head, undefined, router).then(
        ({ conn, match, context }) => this.#runHandler(match!.handler, conn, req, context),
        (error: unknown) => this.#reporter.handshakeFailed(error, req),
      );
    };
  }

  /**
   * Runs `handler` for a connection. This is no `async` method: a suspended async method would keep
   * the request in memory as long as the connection lasts.
   */
  #runHandler(
    handler: ConnHandler<AuthOf<Result>>,
    conn: Conn,
    req: IncomingMessage,
    context: HandlerContext<AuthOf<Result>>,
  ): void {
    const failed = this.#failureReporterOf(conn);
    handlerStarted(conn);
    try {
      const result = handler(conn, req, context);
      if (isThenable(result)) result.then(settlerOf(conn), failed);
      else handlerSettled(conn);
    } catch (error) {
      failed(error);
    }
  }

  /**
   * Created in a separate method, so that the closure refers to the connection and not to the
   * request.
   */
  #failureReporterOf(conn: Conn): (error: unknown) => void {
    return (error) => this.#reporter.handlerFailed(conn, error);
  }

  async #accept(
    req: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    input: HeadersInput | undefined,
    router?: Router<ConnHandler<AuthOf<Result>>>,
  ): Promise<Accepted<AuthOf<Result>>> {
    if (isHttp2(req)) throw rejectHttp2(req);
    const handshake = new Handshake(socket, head, this.#plan.handshakeTimeout);
    let reservation: Reservation | undefined;
    try {
      const extra = headerPairs(input);
      reservation = this.#limits.reserve(req);
      const { address } = reservation;
      const accepted = await this.#negotiate(handshake, req, socket, extra, address, router);
      reservation.endHandshake();
      this.#keepReservation(reservation, accepted.conn);
      return accepted;
    } catch (error) {
      try {
        await endFailedHandshake(handshake, req, socket, error, this.#errorHook);
      } finally {
        if (reservation !== undefined) cancelWhenSettled(handshake, reservation);
      }
      throw error;
    }
  }

  /** Keeps the reservation until the connection closes, if connections are counted. */
  #keepReservation(reservation: Reservation, conn: Conn): void {
    if (this.#limits.countConnections) void conn.closed.then(() => reservation.release());
    else reservation.release();
  }

  /** All steps of a handshake, in the order in which faults are answered. */
  async #negotiate(
    handshake: Handshake,
    req: IncomingMessage,
    socket: Duplex,
    extra: readonly HeaderPair[],
    address: string | undefined,
    router: Router<ConnHandler<AuthOf<Result>>> | undefined,
  ): Promise<Accepted<AuthOf<Result>>> {
    await handshake.waitForEarlierResponses(req);
    if (isAnswered(req, socket)) throw alreadyAnswered();
    const headers = new RequestHeaders(req);
    checkRequest(headers, req);
    if (isHttpReading(socket)) throw outsideUpgrade();
    // An application that compares `req.url` with a path would otherwise miss the path of an
    // absolute URI, and the router would not.
    req.url = pathForm(req.url!);
    const match = router?.match(req.url);
    checkExtra(extra);
    this.#checkHost(headers);
    checkOneOrigin(headers);
    await this.#checkOrigin(handshake, headers, req);
    const key = checkKey(headers);
    const offers = readExtensions(headers);
    const known = {
      params: match?.params ?? noParams,
      path: decodePath(rawPath(req.url)),
      route: match?.route,
      address,
    };
    const auth = await this.#authenticate(handshake, req, known);
    const subprotocol = selectSubprotocol(headers, req, this.#plan.subprotocols, extra);
    const { compression, highWaterMark } = this.#plan;
    const agreed = negotiateCompression(offers, compression);
    const extensions = agreed === undefined ? '' : formatExtensions([agreed.answer]);
    handshake.prepareAnswer(req);
    socket.write(switchingProtocols(key, subprotocol, extensions, extra), 'latin1');
    const head = handshake.takeEarlyBytes();
    const conn = new Conn(socketTransport(socket, { head, highWaterMark }), {
      ...this.#plan.conn,
      role: 'server',
      platform: this.#platform,
      subprotocol,
      extensions,
      deflate: agreed?.parameters,
    });
    handshake.handOver();
    return { conn, match, context: { auth, ...known } };
  }

  #checkHost(headers: RequestHeaders): void {
    if (this.#plan.hosts.allows(headers)) return;
    throw new HandshakeError(421, 'request host not allowed by allowedHosts');
  }

  async #checkOrigin(
    handshake: Handshake,
    headers: RequestHeaders,
    req: IncomingMessage,
  ): Promise<void> {
    const allowed = await callApplication(
      handshake,
      () => this.#plan.origins.allows(headers, req),
      (error) => serverFault('checkOrigin', error),
    );
    // An Error or an object is no yes.
    if (allowed && typeof allowed !== 'boolean') {
      throw serverFault('checkOrigin', unexpectedResult('checkOrigin', 'true or false', allowed));
    }
    if (allowed) return;
    throw new HandshakeError(403, 'request origin not allowed by option checkOrigin');
  }

  async #authenticate(
    handshake: Handshake,
    req: IncomingMessage,
    known: Omit<AuthenticateContext, 'signal'>,
  ): Promise<AuthOf<Result>> {
    const { authenticate } = this.#plan;
    if (authenticate === undefined) return undefined as AuthOf<Result>;
    const result: unknown = await callApplication<unknown>(
      handshake,
      () => authenticate(req, { signal: handshake.signal, ...known }),
      thrownByAuthenticate,
    );
    return readAuth<Result>(result);
  }
}

/**
 * Ends a reservation after the application's calls. The limits would not bound these calls
 * otherwise: a client that resets and connects again would start any number of them.
 */
function cancelWhenSettled(handshake: Handshake, reservation: Reservation): void {
  handshake.whenCallsSettled(() => reservation.cancel());
}

/** Calls a function of the application and waits for its result within the handshake timeout. */
async function callApplication<T>(
  handshake: Handshake,
  question: () => T | PromiseLike<T>,
  refusalOf: (error: unknown) => HandshakeError,
): Promise<T> {
  handshake.checkClient();
  try {
    return await handshake.waitForCall(question());
  } catch (error) {
    // The client has disconnected, or the time is up. Report that as the cause.
    if (handshake.failure !== undefined) throw handshake.failure;
    throw refusalOf(error);
  }
}

/** Created in a separate function, so that the closure refers to the connection only. */
function settlerOf(conn: Conn): () => void {
  return () => handlerSettled(conn);
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
