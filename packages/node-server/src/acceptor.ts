import { fromCaller, isMistake } from '@ws/codec/internal';
import { Conn, type Platform, TransportError } from '@ws/conn';
import { internalsOf, limitRate, ResolvedOptions, setAutoResponse } from '@ws/conn/internal';
import { inScope, isInstance, prepareReadBuffer } from '@ws/node-io/internal';
import { type CloseOptions, type CloseResult, checkCloseOptions } from './close-options.ts';
import type { AppRequest, ConnHandler } from './conn-handler.ts';
import { ErrorReporter } from './error-reporter.ts';
import { HandshakeError, type HeaderPair } from './errors.ts';
import { HandlerRunner } from './handler-runner.ts';
import { takeSocket } from './handshake-waits.ts';
import { NO_HEADERS } from './headers.ts';
import {
  type AnyUpgraderOptions,
  checkUpgraderOptions,
  pickUpgraderOptions,
  type UpgraderPlan,
} from './options.ts';
import { PendingWork } from './pending-work.ts';
import type { ErrorHook } from './policies/error-hook.ts';
import { limitLifetime } from './policies/lifetime.ts';
import { Limits } from './policies/limits.ts';
import type { HeadCallbacks } from './policies/head-callbacks.ts';
import { isCompatRequest, rejectCompatRequest } from './responder/http2.ts';
import { Refusals } from './responder/refusals.ts';
import type { Responder, ServerRequest } from './responder/responder.ts';
import { checkHandler, type HandlerOrRoutes, planRoute, Route } from './route.ts';
import { anyPath, type NoParams, type Router, RouteTable } from './route-table.ts';
import { platformOfServer } from './server-platform.ts';
import type { Agreement, BoundHandler, Setup, UpgradeRequest } from './upgrade-request.ts';

/** A handler for requests from anywhere. */
type AnyHandler = ConnHandler<unknown, NoParams, AppRequest>;

/** One handler for all connections, or handlers by path, for requests from anywhere. */
export type AnyHandlers = HandlerOrRoutes<string, unknown, AppRequest>;

/** Counters of a server, since its start unless stated otherwise. */
export interface ServerStats {
  /** Connections opened. */
  readonly opened: number;
  /** Connections open now. */
  readonly open: number;
  /** Handshakes pending now. */
  readonly handshakesPending: number;
  /** Handlers running now. */
  readonly handlersPending: number;
  /**
   * Requests refused, by HTTP status: also bytes that are no HTTP request, and plain requests that
   * get 426.
   */
  readonly refused: { readonly [status: number]: number };
  /**
   * Calls of your functions (`authenticate`, `checkOrigin`, `headers`, `error`) that had not settled
   * when the time of their handshake was up. They no longer count against the limits.
   */
  readonly overdue: number;
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
  readonly #limits: Limits;
  readonly #refusals = new Refusals();
  #overdue = 0;
  /** Pending calls of the option `error` of the server and its routes. */
  #pendingHooks = 0;
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
    this.#platform = platformOfServer(
      (conn) => this.work.closeConn(conn as Conn),
      plan.limits.maxTotalBufferedAmount ?? Infinity,
    );
    this.#limits = new Limits(plan.limits);
    this.setup = this.#setupOf(plan, callbacks);
    this.work.onWait = (count) => this.setup.reporter.closeWaits(count);
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

  /**
   * Records a refusal that is written outside a handshake.
   *
   * @param peer - The address of the other end.
   */
  recordRefusal(
    error: HandshakeError,
    peer: string | undefined,
    request: ServerRequest | undefined,
  ): void {
    const address = request === undefined ? peer : this.#limits.addressOrNone(request);
    this.#refusals.record(error, request, address);
  }

  #setupOf(plan: UpgraderPlan, callbacks: HeadCallbacks | undefined): Setup {
    return {
      plan,
      reporter: new ErrorReporter(plan.report),
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
      !('then' in handlerOrRoutes || 'handler' in handlerOrRoutes);
    if (!isTable) checkHandler('handler', handlerOrRoutes, 'a function, or routes by path');
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
    checkHandler(name, target, 'a function or route(...)');
    return this.#boundTo(target as AnyHandler, this.setup, pattern);
  }

  #boundTo(handler: AnyHandler, setup: Setup, route: string | undefined): BoundHandler {
    return { setup, runner: new HandlerRunner(handler, this.work, setup.reporter, route) };
  }

  /** Accepts a request and runs its handler, or refuses it. Never throws. */
  serve(upgrade: UpgradeRequest): void {
    inScope(() => this.#serve(upgrade));
  }

  #serve(upgrade: UpgradeRequest): void {
    const failed = (error: unknown): void =>
      upgrade.setup.reporter.handshakeFailed(error, upgrade.req, upgrade.route);
    try {
      const opened = this.#accept(upgrade, noHeaders);
      if (opened instanceof Promise) opened.then((conn) => runHandler(upgrade, conn), failed);
      else runHandler(upgrade, opened);
    } catch (error) {
      failed(error);
    }
  }

  /**
   * Accepts a request without a handler.
   *
   * @param extra - Returns headers of the application for this answer.
   * @throws (rejects with) the error of the handshake, after the refusal was written.
   */
  async accept(upgrade: UpgradeRequest, extra: () => readonly HeaderPair[]): Promise<Conn> {
    return inScope(() => this.#accept(upgrade, extra));
  }

  /**
   * The story of an upgrade; `UpgradeRequest` lists the order of the checks. The connection opens
   * within this call, unless the handshake has to wait.
   *
   * @throws (or rejects with) the error of the handshake, after the refusal was written.
   */
  #accept(upgrade: UpgradeRequest, extra: () => readonly HeaderPair[]): Conn | Promise<Conn> {
    const { incoming, facts, head, responder } = upgrade;
    if (incoming !== undefined && facts.version !== '2' && isCompatRequest(incoming)) {
      const refusal = rejectCompatRequest(incoming);
      this.#refusals.record(refusal, upgrade, undefined);
      throw refusal;
    }
    takeSocket(responder.stream, head);
    try {
      this.#reserve(upgrade);
      const agreement = upgrade.negotiate(extra());
      if (!(agreement instanceof Promise)) return this.#open(upgrade, agreement);
      this.work.beginRequest(responder.stream);
      return this.#openLater(upgrade, agreement);
    } catch (error) {
      this.work.beginRequest(responder.stream);
      return this.#refuse(upgrade, error);
    }
  }

  /** Counts the request. @throws HandshakeError at a limit, and while the server closes. */
  #reserve(upgrade: UpgradeRequest): void {
    upgrade.address = this.#limits.addressOf(upgrade);
    if (this.work.isClosing) throw new HandshakeError(503, 'the server is closing');
    upgrade.reservation = this.#limits.reserve(upgrade.address);
  }

  async #openLater(upgrade: UpgradeRequest, agreement: Promise<Agreement>): Promise<Conn> {
    try {
      return this.#open(upgrade, await agreement);
    } catch (error) {
      return this.#refuse(upgrade, error);
    }
  }

  /** Writes the accepting answer. From here on the connection owns the socket. */
  #open(upgrade: UpgradeRequest, agreement: Agreement): Conn {
    const { responder } = upgrade;
    const { bound, context } = agreement;
    const { plan } = bound.setup;
    upgrade.prepareAnswer();
    responder.accept(agreement);
    const conn = new Conn(
      responder.transport(upgrade.takeEarlyBytes(), plan),
      new ResolvedOptions('server', this.#platform, plan.settings, agreement),
    );
    if (plan.autoResponse !== undefined) setAutoResponse(conn, plan.autoResponse);
    if (plan.rate !== undefined) limitRate(conn, plan.rate);
    if (plan.maxLifetime !== undefined) limitLifetime(conn, plan.maxLifetime);
    if (upgrade.expires !== undefined) conn.renew(upgrade.expires);
    conn.data = context.auth;
    upgrade.agreement = agreement;
    upgrade.handOver();
    this.work.openConn(conn, responder.stream);
    const reservation = upgrade.reservation!;
    reservation.endHandshake();
    if (this.#limits.countConnections)
      void internalsOf(conn).closed.then(() => reservation.release());
    else reservation.release();
    return conn;
  }

  /** Writes the refusal of a handshake that has failed. @throws (rejects with) `error`, or the error of the hook. */
  async #refuse(upgrade: UpgradeRequest, error: unknown): Promise<never> {
    const { req, responder, setup } = upgrade;
    const refusal = refusalOf(error, responder);
    if (refusal !== undefined) this.#refusals.record(refusal, upgrade, upgrade.address);
    const { maxHandshakes } = this.setup.plan.limits;
    const { error: hook } = setup.plan;
    let isAsked = false;
    // The hook may be asked much later, after the answers to earlier requests.
    const ask: ErrorHook = (...args) => {
      if (this.#pendingHooks >= maxHandshakes) return undefined;
      this.#pendingHooks++;
      isAsked = true;
      return hook!(...args);
    };
    try {
      await upgrade.refuse(refusal, hook === undefined ? undefined : ask);
    } catch (fault) {
      // The caller gets the error of the hook instead.
      setup.reporter.handshakeFailed(error, req, upgrade.route);
      throw fault;
    } finally {
      if (responder.isReadByServer) this.work.leaveSocket(responder.stream);
      this.#endWhenSettled(upgrade, isAsked);
    }
    throw error;
  }

  /**
   * Ends a reservation after the application's calls. The limits would not bound these calls
   * otherwise: a client that resets and connects again would start any number of them.
   */
  #endWhenSettled(upgrade: UpgradeRequest, hasHook: boolean): void {
    const handshake = upgrade.acquireHandshake();
    const end = (): void => {
      upgrade.reservation?.cancel();
      if (hasHook) this.#pendingHooks--;
    };
    const overdue = (names: readonly string[]): void => {
      this.#overdue += names.length;
      upgrade.setup.reporter.overdue(names, handshake.timeout, upgrade.req);
    };
    handshake.whenCallsSettled(end, overdue);
  }
}

const noHeaders = (): readonly HeaderPair[] => NO_HEADERS;

function runHandler({ req, agreement }: UpgradeRequest, conn: Conn): void {
  const { bound, context } = agreement!;
  bound.runner!.run(conn, req, context);
}

/**
 * Returns the refusal for the error of a handshake; undefined for an error that is not answered.
 */
export function refusalOf(error: unknown, { stream }: Responder): HandshakeError | undefined {
  if (isInstance(error, HandshakeError)) return error;
  if (!isInstance(error, TransportError) || !stream.writable) return undefined;
  // A client that has half-closed may still read this refusal.
  const message = 'the client has ended its half of the connection before the answer';
  return new HandshakeError(400, message, { cause: error });
}
