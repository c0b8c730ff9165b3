import type { Duplex } from 'node:stream';
import { fromCaller, isMistake } from '@ws/codec/internal';
import { Conn, type Platform } from '@ws/conn';
import { closedOf, ResolvedOptions } from '@ws/conn/internal';
import { socketTransport } from '@ws/node-io';
import { assertOption, prepareReadBuffer, remoteAddressOf } from '@ws/node-io/internal';
import { type CloseOptions, type CloseResult, checkCloseOptions } from './close-options.ts';
import type { ConnHandler } from './conn-handler.ts';
import { ErrorReporter } from './error-reporter.ts';
import { HandshakeError, type HeaderPair } from './errors.ts';
import { HandlerRunner } from './handler-runner.ts';
import { type Handshake, takeSocket } from './handshake.ts';
import { NO_HEADERS } from './headers.ts';
import {
  type AnyUpgraderOptions,
  checkUpgraderOptions,
  pickUpgraderOptions,
  type UpgraderPlan,
} from './options.ts';
import { PendingWork } from './pending-work.ts';
import { ErrorHook, type HookCalls } from './policies/error-hook.ts';
import { Limits, type Reservation } from './policies/limits.ts';
import type { HeadCallbacks } from './raw/head-callbacks.ts';
import { endFailedHandshake, refusalOf } from './responder/end-failed-handshake.ts';
import { isHttpReading } from './responder/http-socket.ts';
import { isHttp2, rejectHttp2 } from './responder/http2.ts';
import { Refusals } from './responder/refusals.ts';
import { switchingProtocols } from './response-head.ts';
import { type HandlerOrRoutes, planRoute, Route } from './routes/route.ts';
import { anyPath, type NoParams, type Router, RouteTable } from './routes/route-table.ts';
import { platformOfServer } from './server-platform.ts';
import type { AppRequest, ServerRequest } from './server-request.ts';
import type { ServerStats } from './stats.ts';
import type { Agreement, BoundHandler, Setup, UpgradeRequest } from './upgrade-request.ts';

/** A handler for requests from anywhere. */
type AnyHandler = ConnHandler<unknown, NoParams, AppRequest>;

/** One handler for all connections, or handlers by path, for requests from anywhere. */
export type AnyHandlers = HandlerOrRoutes<string, unknown, AppRequest>;

/** An open connection, and what its handshake has agreed on. */
interface OpenedConn {
  readonly conn: Conn;
  readonly agreement: Agreement;
}

/**
 * Accepts or refuses requests, whatever has parsed them, and counts what is open. An Upgrader has
 * one, and so has a RawUpgrader.
 */
export class Acceptor {
  /** The work that a close waits for. */
  readonly work: PendingWork = new PendingWork();
  /** For every request, except where its route has its own options. */
  readonly setup: Setup;
  readonly #options: AnyUpgraderOptions;
  readonly #hookCalls: HookCalls;
  readonly #limits: Limits;
  readonly #refusals = new Refusals();
  #overdue = 0;
  readonly #platform: Platform;

  /**
   * @param options - Those of an Upgrader; others are an error.
   * @param callbacks - Undefined for requests of node:http.
   * @throws TypeError or RangeError that names the bad or unknown option.
   */
  constructor(options: AnyUpgraderOptions, callbacks?: HeadCallbacks) {
    const plan = checkUpgraderOptions(options);
    if (plan.readBuffer) void prepareReadBuffer();
    this.#options = pickUpgraderOptions(options);
    this.#platform = platformOfServer((conn) => this.work.closeConn(conn as Conn));
    this.#limits = new Limits(plan.limits);
    this.#hookCalls = { pending: 0, max: plan.limits.maxHandshakes };
    this.setup = this.#setupOf(plan, callbacks);
  }

  /** Counters, as they are now. */
  get stats(): ServerStats {
    return {
      opened: this.work.opened,
      open: this.work.connections.size,
      handshakesPending: this.#limits.handshakes,
      handlersPending: this.work.handlers,
      refused: this.#refusals.byStatus,
      overdue: this.#overdue,
    };
  }

  /**
   * @param upgrader - Its method `close` was called.
   * @throws (rejects with) TypeError or RangeError that names the bad option.
   */
  close(options: CloseOptions, upgrader: object): Promise<CloseResult> {
    try {
      return this.work.close(checkCloseOptions(options, this.setup.plan.close));
    } catch (error) {
      if (isMistake(error)) fromCaller(error, upgrader, 'close');
      return Promise.reject(error);
    }
  }

  /** Records a refusal that is written outside a handshake. */
  recordRefusal(error: HandshakeError, socket: Duplex, request: ServerRequest | undefined): void {
    const address =
      request === undefined ? remoteAddressOf(socket) : this.#limits.addressOrNone(request);
    this.#refusals.record(error, request, address);
  }

  #setupOf(plan: UpgraderPlan, callbacks: HeadCallbacks | undefined): Setup {
    return {
      plan,
      reporter: new ErrorReporter(plan.report),
      errorHook: new ErrorHook(plan.error, this.#hookCalls),
      callbacks,
    };
  }

  /** @throws TypeError that names the route or the argument. */
  routerOf(handlerOrRoutes: AnyHandlers): Router<BoundHandler> {
    if (typeof handlerOrRoutes === 'function') {
      return anyPath(this.#boundTo(handlerOrRoutes, this.setup, undefined));
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
      const plan = planRoute(this.#options, this.setup.plan.headers, target.options);
      const setup = this.#setupOf(plan, this.setup.callbacks);
      return this.#boundTo(target.handler, setup, pattern);
    }
    const name = `routes: ${JSON.stringify(pattern)}`;
    assertOption(name, target, typeof target === 'function', 'a function or route(...)');
    return this.#boundTo(target as AnyHandler, this.setup, pattern);
  }

  #boundTo(handler: AnyHandler, setup: Setup, route: string | undefined): BoundHandler {
    return { setup, runner: new HandlerRunner(handler, this.work, setup.reporter, route) };
  }

  /** Accepts a request and runs its handler, or refuses it. Never throws. */
  serve(upgrade: UpgradeRequest): void {
    try {
      const opened = this.#accept(upgrade, noHeaders);
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
   * Accepts a request without a handler.
   *
   * @param extra - Returns headers of the application for this 101.
   * @throws (rejects with) the error of the handshake, after the refusal was written.
   */
  async accept(upgrade: UpgradeRequest, extra: () => readonly HeaderPair[]): Promise<Conn> {
    return (await this.#accept(upgrade, extra)).conn;
  }

  /**
   * Opens the connection within this call, unless the handshake has to wait.
   *
   * @throws (or rejects with) the error of the handshake, after the refusal was written.
   */
  #accept(
    upgrade: UpgradeRequest,
    extra: () => readonly HeaderPair[],
  ): OpenedConn | Promise<OpenedConn> {
    const { incoming, socket, head } = upgrade;
    if (incoming !== undefined && isHttp2(incoming)) {
      const refusal = rejectHttp2(incoming);
      this.#refusals.record(refusal, upgrade, undefined);
      throw refusal;
    }
    takeSocket(socket, head);
    try {
      const agreement = this.#negotiate(upgrade, extra());
      if (!(agreement instanceof Promise)) return this.#open(upgrade, agreement);
      this.work.beginRequest(socket);
      return this.#openLater(upgrade, agreement);
    } catch (error) {
      this.work.beginRequest(socket);
      return this.#refuse(upgrade, error);
    }
  }

  #negotiate(
    upgrade: UpgradeRequest,
    extra: readonly HeaderPair[],
  ): Agreement | Promise<Agreement> {
    upgrade.address = this.#limits.addressOf(upgrade);
    if (this.work.isClosing) throw new HandshakeError(503, 'the server is closing');
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

  /** Writes the refusal of a handshake that has failed. @throws (rejects with) `error`, or the error of the hook. */
  async #refuse(upgrade: UpgradeRequest, error: unknown): Promise<never> {
    const { req, socket, reservation } = upgrade;
    const handshake = upgrade.acquireHandshake();
    const refusal = refusalOf(error, socket);
    if (refusal !== undefined) this.#refusals.record(refusal, upgrade, upgrade.address);
    try {
      await endFailedHandshake(handshake, req, socket, refusal, upgrade.setup.errorHook);
    } catch (fault) {
      // The caller gets the error of the hook instead.
      upgrade.setup.reporter.handshakeFailed(error, req, upgrade.route);
      throw fault;
    } finally {
      if (isHttpReading(socket)) this.work.leaveSocket(socket);
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
      upgrade.setup.reporter.overdue(names, handshake.timeout, upgrade.req);
    };
    handshake.whenCallsSettled(() => reservation.cancel(), overdue);
  }

  /** Writes the 101. From here on the connection owns the socket. */
  #open(upgrade: UpgradeRequest, agreement: Agreement): OpenedConn {
    const { socket } = upgrade;
    const { bound, context, subprotocol, extensions, deflate } = agreement;
    const { settings, highWaterMark, readBuffer } = bound.setup.plan;
    upgrade.prepareAnswer();
    socket.write(switchingProtocols(agreement), 'latin1');
    const head = upgrade.takeEarlyBytes();
    const conn = new Conn(
      socketTransport(socket, { head, highWaterMark, readBuffer }),
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
    this.work.openConn(conn, socket);
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

const noHeaders = (): readonly HeaderPair[] => NO_HEADERS;

function runHandler({ conn, agreement }: OpenedConn, req: AppRequest): void {
  agreement.bound.runner!.run(conn, req, agreement.context);
}

function releaseOnClose(reservation: Reservation, conn: Conn): void {
  void closedOf(conn).then(() => reservation.release());
}
