import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Conn, type Platform, TimeoutError } from '@ws/conn';
import { checkOptionNames, ResolvedOptions } from '@ws/conn/internal';
import { assertOption } from '@ws/http-shared';
import { socketTransport } from '@ws/node-io';
import { type CloseOptions, type CloseResult, checkCloseOptions } from './close-options.ts';
import type { ConnHandler, UpgradeListener } from './conn-handler.ts';
import { ErrorReporter } from './error-reporter.ts';
import { HandshakeError, type HeaderPair } from './errors.ts';
import { HandlerRunner } from './handler-runner.ts';
import { type Handshake, takeSocket } from './handshake.ts';
import { type HeadersInput, headerPairs, NO_HEADERS } from './headers.ts';
import { isHttpReading } from './http-socket.ts';
import { isHttp2, rejectHttp2 } from './http2.ts';
import { Limits, type Reservation } from './limits.ts';
import {
  type AuthOf,
  checkUpgraderOptions,
  pickUpgraderOptions,
  type UpgraderOptions,
  type UpgraderPlan,
} from './options.ts';
import { PendingWork } from './pending-work.ts';
import { endFailedHandshake, refusalOf } from './refusal/end-failed-handshake.ts';
import { ErrorHook, type HookCalls } from './refusal/error-hook.ts';
import { type OnRefused, Refusals } from './refusal/refusals.ts';
import { switchingProtocols } from './response-head.ts';
import { type HandlerOrRoutes, planRoute, Route } from './route.ts';
import { anyPath, type Router, RouteTable } from './route-table.ts';
import { platformOfServer } from './server-platform.ts';
import type { ServerStats } from './stats.ts';
import {
  type Agreement,
  type BoundHandler,
  type Setup,
  UpgradeRequest,
} from './upgrade-request.ts';

/** Options of {@link Upgrader.upgrade}. */
export interface UpgradeOptions {
  /**
   * Headers of this 101, in addition to those of the option `headers` of the Upgrader; of a name
   * that both have, these win.
   */
  readonly headers?: HeadersInput | undefined;
}

/** An open connection, and what its handshake has agreed on. */
interface OpenedConn {
  readonly conn: Conn;
  readonly agreement: Agreement;
}

/** The work that an upgrader waits for when it closes. */
export let pendingWorkOf: <Result>(upgrader: Upgrader<Result>) => PendingWork;

/** Records a refusal that the server of an upgrader writes itself. */
export let recordRefusal: <Result>(
  upgrader: Upgrader<Result>,
  ...refusal: Parameters<OnRefused>
) => void;

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
export class Upgrader<Result = undefined> implements AsyncDisposable {
  readonly #options: UpgraderOptions<unknown>;
  /** For every request, except where its route has its own options. */
  readonly #setup: Setup;
  readonly #hookCalls: HookCalls;
  readonly #limits: Limits;
  readonly #work = new PendingWork();
  readonly #refusals = new Refusals();
  #overdue = 0;
  readonly #platform: Platform;

  static {
    pendingWorkOf = (upgrader) => upgrader.#work;
    recordRefusal = (upgrader, ...refusal) => upgrader.#recordRefusal(...refusal);
  }

  /** @throws TypeError or RangeError that names the bad or unknown option. */
  constructor(options: UpgraderOptions<Result> = {}) {
    const plan = checkUpgraderOptions(options as UpgraderOptions<unknown>);
    this.#options = pickUpgraderOptions(options as UpgraderOptions<unknown>);
    this.#platform = platformOfServer((conn) => this.#work.closeConn(conn as Conn));
    this.#limits = new Limits(plan.limits);
    this.#hookCalls = { pending: 0, max: plan.limits.maxHandshakes };
    this.#setup = this.#setupOf(plan);
  }

  /** The connections that are not closed yet. The set is live. */
  get connections(): ReadonlySet<Conn<AuthOf<Result>>> {
    return this.#work.connections;
  }

  /** Counters, as they are now. */
  get stats(): ServerStats {
    return {
      opened: this.#work.opened,
      open: this.#work.connections.size,
      handshakesPending: this.#limits.handshakes,
      handlersPending: this.#work.handlers,
      refused: this.#refusals.byStatus,
      overdue: this.#overdue,
    };
  }

  /**
   * Answers an upgrade request with a 101 and a connection, or with a refusal. The upgrader owns
   * the socket in both cases. Call it synchronously in the listener for 'upgrade'.
   *
   * @param head - The bytes after the request head, which may contain the first frames. Pass the
   *   listener's argument.
   * @returns The open connection. Its `data` is the result of `authenticate`.
   * @throws (rejects with) {@link HandshakeError} after the refusal was written; TransportError
   *   when the client has disconnected or has half-closed; TypeError, with nothing written and the
   *   socket destroyed, for a missing `head`, for an unknown option and for headers that cannot be
   *   sent; Error, with nothing written, when the socket is already upgraded or the request
   *   answered.
   * @see RFC 6455, section 4.2
   */
  async upgrade(
    req: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    options: UpgradeOptions = {},
  ): Promise<Conn<AuthOf<Result>>> {
    const upgrade = new UpgradeRequest(this.#setup, req, socket, head, undefined);
    return (await this.#accept(upgrade, options)).conn;
  }

  /**
   * Makes a listener for 'upgrade' that runs a handler for each connection. The listener answers
   * refusals itself. The option `report` gets the errors of handlers.
   *
   * The handler starts within the 'upgrade' event, unless the handshake waits: for a promise of
   * `checkOrigin`, `authenticate` or `headers`, or for an earlier response on the socket.
   *
   * @param handlerOrRoutes - One handler for all connections, or handlers by path. With routes,
   *   other paths are refused with 404; see the option `unmatched`.
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
   * const listener = upgrader.handler({
   *   '/chat': (conn) => conn.receive((message) => conn.send(message)),
   *   '/feed/:id': (conn, _req, { params }) => conn.send(`the feed ${params.id}`),
   * });
   * server.on('upgrade', listener);
   * ```
   */
  handler<Pattern extends string = string>(
    handlerOrRoutes: HandlerOrRoutes<Pattern, AuthOf<Result>>,
  ): UpgradeListener {
    const router = this.#routerOf(handlerOrRoutes as HandlerOrRoutes<string, unknown>);
    return (req, socket, head) => {
      if (this.#setup.plan.unmatched === 'leave' && !router.has(req.url ?? '')) return;
      this.#serve(new UpgradeRequest(this.#setup, req, socket, head, router));
    };
  }

  /**
   * Refuses new requests with 503 and sends every connection a close frame. Resolves when all
   * connections are closed and the promises of all handlers have settled, at the latest `timeout`
   * ms after the last close frame; the remaining connections are terminated then. A second call
   * returns the same promise. Do not await it in a handler: each would wait for the other until
   * `timeout`.
   *
   * @param options - Default: the option `close`.
   * @throws (rejects with) TypeError or RangeError that names the bad option.
   */
  close(options: CloseOptions = {}): Promise<CloseResult> {
    try {
      return this.#work.close(checkCloseOptions(options, this.#setup.plan.close));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #recordRefusal(...[error, socket, request]: Parameters<OnRefused>): void {
    const address =
      request === undefined
        ? (socket as Partial<Socket>).remoteAddress
        : this.#limits.addressOrNone(request);
    this.#refusals.record(error, request, address);
  }

  #setupOf(plan: UpgraderPlan): Setup {
    return {
      plan,
      reporter: new ErrorReporter(plan.report),
      errorHook: new ErrorHook(plan.error, this.#hookCalls),
    };
  }

  #routerOf(handlerOrRoutes: HandlerOrRoutes<string, unknown>): Router<BoundHandler> {
    if (typeof handlerOrRoutes === 'function') {
      return anyPath(this.#boundTo(handlerOrRoutes, this.#setup, undefined));
    }
    const isTable =
      typeof handlerOrRoutes === 'object' &&
      handlerOrRoutes !== null &&
      !(Symbol.iterator in handlerOrRoutes) &&
      !(handlerOrRoutes instanceof Route);
    assertOption('handler', handlerOrRoutes, isTable, 'a function, or routes by path');
    const handlers = Object.entries(handlerOrRoutes).map(
      ([pattern, target]) => [pattern, this.#bind(pattern, target)] as const,
    );
    return new RouteTable(Object.fromEntries(handlers));
  }

  #bind(pattern: string, target: unknown): BoundHandler {
    if (target instanceof Route) {
      const plan = planRoute(this.#options, this.#setup.plan.headers, target.options);
      return this.#boundTo(target.handler, this.#setupOf(plan), pattern);
    }
    const name = `routes: ${JSON.stringify(pattern)}`;
    assertOption(name, target, typeof target === 'function', 'a function or route(...)');
    return this.#boundTo(target as ConnHandler<unknown>, this.#setup, pattern);
  }

  #boundTo(handler: ConnHandler<unknown>, setup: Setup, route: string | undefined): BoundHandler {
    return { setup, runner: new HandlerRunner(handler, this.#work, setup.reporter, route) };
  }

  /** Accepts a request and runs its handler, or refuses it. Never throws. */
  #serve(upgrade: UpgradeRequest): void {
    try {
      const opened = this.#accept(upgrade, undefined);
      if (opened instanceof Promise) this.#serveLater(upgrade, opened);
      else runHandler(opened, upgrade.req);
    } catch (error) {
      upgrade.setup.reporter.handshakeFailed(error, upgrade.req, upgrade.route);
    }
  }

  #serveLater(upgrade: UpgradeRequest, opening: Promise<OpenedConn>): void {
    opening.then(
      (opened) => runHandler(opened, upgrade.req),
      (error: unknown) => upgrade.setup.reporter.handshakeFailed(error, upgrade.req, upgrade.route),
    );
  }

  /**
   * Opens the connection within this call, unless the handshake has to wait.
   *
   * @param options - Undefined for none.
   * @throws (or rejects with) the error of the handshake, after the refusal was written.
   */
  #accept(
    upgrade: UpgradeRequest,
    options: UpgradeOptions | undefined,
  ): OpenedConn | Promise<OpenedConn> {
    const { req, socket, head } = upgrade;
    if (isHttp2(req)) {
      const refusal = rejectHttp2(req);
      this.#refusals.record(refusal, req, undefined);
      throw refusal;
    }
    takeSocket(socket, head);
    try {
      const agreement = this.#negotiate(upgrade, options);
      if (!(agreement instanceof Promise)) return this.#open(upgrade, agreement);
      this.#work.beginRequest(socket);
      return this.#openLater(upgrade, agreement);
    } catch (error) {
      this.#work.beginRequest(socket);
      return this.#refuse(upgrade, error);
    }
  }

  #negotiate(
    upgrade: UpgradeRequest,
    options: UpgradeOptions | undefined,
  ): Agreement | Promise<Agreement> {
    const extra = options === undefined ? NO_HEADERS : upgradeHeaders(options);
    upgrade.address = this.#limits.addressOf(upgrade.req);
    if (this.#work.isClosing) throw new HandshakeError(503, 'the server is closing');
    upgrade.reservation = this.#limits.reserve(upgrade.address);
    return upgrade.negotiate(extra);
  }

  async #openLater(upgrade: UpgradeRequest, agreement: Promise<Agreement>): Promise<OpenedConn> {
    try {
      return this.#open(upgrade, await agreement);
    } catch (error) {
      return this.#refuse(upgrade, error);
    }
  }

  /** Writes the refusal of a handshake that has failed. @throws (rejects with) `error`. */
  async #refuse(upgrade: UpgradeRequest, error: unknown): Promise<never> {
    const { req, socket, reservation } = upgrade;
    const handshake = upgrade.acquireHandshake();
    const refusal = refusalOf(error, socket);
    if (refusal !== undefined) this.#refusals.record(refusal, req, upgrade.address);
    try {
      await endFailedHandshake(handshake, req, socket, refusal, upgrade.setup.errorHook);
    } finally {
      if (isHttpReading(socket)) this.#work.leaveSocket(socket);
      if (reservation !== undefined) this.#cancelWhenSettled(upgrade, handshake, reservation);
    }
    throw error;
  }

  /**
   * Ends a reservation after the application's calls. The limits would not bound these calls
   * otherwise: a client that resets and connects again would start any number of them.
   */
  #cancelWhenSettled(
    upgrade: UpgradeRequest,
    handshake: Handshake,
    reservation: Reservation,
  ): void {
    const overdue = (names: readonly string[]): void => {
      this.#overdue += names.length;
      const { req: request, setup } = upgrade;
      for (const where of names) {
        setup.reporter.failed(overdueError(where, handshake.timeout), { where, request });
      }
    };
    handshake.whenCallsSettled(() => reservation.cancel(), overdue);
  }

  /** Writes the 101. From here on the connection owns the socket. */
  #open(upgrade: UpgradeRequest, agreement: Agreement): OpenedConn {
    const { socket } = upgrade;
    const { bound, context, subprotocol, extensions, deflate } = agreement;
    const { settings, highWaterMark } = bound.setup.plan;
    upgrade.prepareAnswer();
    socket.write(switchingProtocols(agreement), 'latin1');
    const head = upgrade.takeEarlyBytes();
    const conn = new Conn(
      socketTransport(socket, { head, highWaterMark }),
      new ResolvedOptions(
        'server',
        this.#platform,
        settings,
        subprotocol,
        extensions,
        deflate?.parameters,
      ),
    );
    conn.data = context.auth;
    upgrade.handOver();
    this.#work.openConn(conn, socket);
    this.#keepReservation(upgrade.reservation!, conn);
    return { conn, agreement };
  }

  /** Ends the handshake. Keeps the reservation until the close, if connections are counted. */
  #keepReservation(reservation: Reservation, conn: Conn): void {
    reservation.endHandshake();
    if (this.#limits.countConnections) releaseOnClose(reservation, conn);
    else reservation.release();
  }
}

function runHandler({ conn, agreement }: OpenedConn, req: IncomingMessage): void {
  agreement.bound.runner!.run(conn, req, agreement.context);
}

function releaseOnClose(reservation: Reservation, conn: Conn): void {
  void conn.closed.then(() => reservation.release());
}

/** @throws TypeError for options other than `headers`, and for headers that cannot be sent. */
function upgradeHeaders(options: UpgradeOptions): HeaderPair[] {
  checkOptionNames('upgrade', options, ['headers'], 'ignore');
  const isHeaders = Symbol.iterator in options;
  assertOption('upgrade', options, !isHeaders, 'an object { headers } as the fourth argument');
  return headerPairs(options.headers);
}

function overdueError(name: string, ms: number): TimeoutError {
  return new TimeoutError(
    `${name} has not settled within ${ms} ms (option handshakeTimeout) and no longer counts against the limits; settle it when its signal aborts`,
  );
}
