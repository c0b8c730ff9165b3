import type { Duplex, Writable } from 'node:stream';
import { checked } from '@ws/codec/internal';
import { type CloseInfo, Conn, formatCloseMessage, type Observer, type Platform } from '@ws/conn';
import { internalsOf, limitRate, ResolvedOptions, WriteBudget } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { addressOf, inScope, prepareReadBuffer } from '@ws/node-io/internal';
import { takeSocket } from './client-socket.ts';
import {
  type CloseOptions,
  type ClosePlan,
  type CloseResult,
  checkCloseOptions,
} from './close-options.ts';
import type { AppRequest, ConnHandler } from './conn-handler.ts';
import { type HandshakeError, type HeaderPair, tryLater } from './errors.ts';
import { NO_HEADERS } from './headers.ts';
import {
  type AnyUpgraderOptions,
  checkUpgraderOptions,
  type HeadChecks,
  pickUpgraderOptions,
  type UpgraderPlan,
} from './options.ts';
import { PendingWork } from './pending-work.ts';
import { Phase } from './phase.ts';
import { limitLifetime } from './policies/lifetime.ts';
import { Limits } from './policies/limits.ts';
import { Pace } from './policies/pace.ts';
import { Refusals } from './responder/refusals.ts';
import { checkHandler, type HandlerOrRoutes, HandlerRunner, planRoute, Route } from './route.ts';
import { anyPath, type NoParams, type Router, RouteTable } from './route-table.ts';
import type { UpgradeRequest } from './upgrade-request.ts';

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
   * Handshakes that wait for their turn now: see the option `handshakes`. With `tls`, also sockets before
   * their TLS handshake.
   */
  readonly handshakesWaiting: number;
  /** Handshakes, and sockets before their TLS handshake, that the pace of `handshakes` refused. */
  readonly paced: number;
  /** Handshakes that `limits` refused. */
  readonly limited: number;
  /**
   * Requests refused, by HTTP status: also bytes that are no HTTP request, and plain requests that
   * get 426.
   */
  readonly refused: { readonly [status: number]: number };
}

/**
 * Accepts or refuses requests, whatever has parsed them, and counts the open connections. Each
 * Upgrader and each RawUpgrader has one.
 */
export class Acceptor {
  /** The work that a close waits for. */
  readonly work: PendingWork = new PendingWork();
  /** For every request, except where its route has its own options. */
  readonly plan: UpgraderPlan;
  readonly #options: AnyUpgraderOptions;
  readonly phase: Phase;
  readonly #limits: Limits;
  /** That of the handshakes, and that of the sockets before TLS. */
  readonly #paces: Pace[] = [];
  readonly #refusals = new Refusals();
  readonly #platform: Platform;
  #closed: Promise<CloseResult> | undefined;

  /**
   * @param options - Options of an Upgrader; others are an error.
   * @param callbacks - Undefined for requests of node:http.
   * @throws TypeError or RangeError that names the bad or unknown option.
   */
  constructor(options: AnyUpgraderOptions, callbacks?: HeadChecks) {
    const plan = checkUpgraderOptions(options, { callbacks });
    if (plan.readBuffer) void prepareReadBuffer();
    this.plan = plan;
    this.#options = pickUpgraderOptions(options);
    this.#platform = platformOfServer((conn) => {
      if (!this.work.removeConn(conn as Conn)) return;
      this.#limits.closed(conn);
      this.phase.rest();
    }, plan.maxTotalBufferedAmount);
    this.#limits = new Limits(plan.limits, closeOldest);
    if (this.#limits.pace !== undefined) this.#addPace(this.#limits.pace);
    this.phase = new Phase(this.work.connections, this.#paces);
    this.work.onWait = (count) => plan.reporter.closeWaits(count);
  }

  /** Counters, as they are now. */
  get stats(): ServerStats {
    return {
      opened: this.work.opened,
      open: this.work.connections.size,
      handshakesPending: this.#limits.handshakes,
      handlersPending: this.work.handlers,
      handshakesWaiting: this.#paces.reduce((sum, { waiting }) => sum + waiting, 0),
      paced: this.#paces.reduce((sum, { refused }) => sum + refused, 0),
      limited: this.#limits.limited,
      refused: this.#refusals.byStatus,
    };
  }

  /** The pace of new sockets, before their TLS handshake: a refusal after it costs much more. */
  paceOfSockets(): Pace | undefined {
    const { pace } = this.plan.limits;
    if (pace === undefined) return undefined;
    const { perMs, size, wait, places } = pace;
    return this.#addPace(new Pace({ perMs: 2 * perMs, size: 2 * size, wait, places: 2 * places }));
  }

  #addPace(pace: Pace): Pace {
    this.#paces.push(pace);
    pace.onWait = () => this.phase.watch();
    return pace;
  }

  /**
   * A second call returns the promise of the first.
   *
   * @param owner - Its method `close` was called.
   * @param run - Closes the connections, and what else the owner has.
   * @throws (rejects with) TypeError or RangeError that names the bad option.
   */
  close(
    options: CloseOptions,
    owner: object,
    run = (plan: ClosePlan): Promise<CloseResult> => this.work.close(plan),
  ): Promise<CloseResult> {
    try {
      const plan = checked(() => checkCloseOptions(options, this.plan.close), owner, 'close');
      this.#closed ??= this.#close(plan, run);
      return this.#closed;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #close(
    plan: ClosePlan,
    run: (plan: ClosePlan) => Promise<CloseResult>,
  ): Promise<CloseResult> {
    this.phase.become('draining');
    if (plan.drain > 0) await new Promise((over) => setTimeout(over, plan.drain));
    for (const pace of this.#paces) pace.refuseAll(isClosing());
    const result = await run(plan);
    this.phase.become('closed');
    return result;
  }

  /**
   * Records a refusal.
   *
   * @param request - Undefined for one that was not parsed.
   */
  recordRefusal(error: HandshakeError, stream: Duplex, request: UpgradeRequest | undefined): void {
    const address = request === undefined ? addressOf(stream, 'remoteAddress') : request.address;
    this.#refusals.record(error, request, address);
  }

  /** @throws TypeError that names the route or the argument. */
  routerOf(handlerOrRoutes: AnyHandlers): Router<HandlerRunner> {
    if (typeof handlerOrRoutes === 'function') {
      return anyPath(new HandlerRunner(handlerOrRoutes, this.work, this.plan, undefined));
    }
    const isTable =
      typeof handlerOrRoutes === 'object' &&
      handlerOrRoutes !== null &&
      !(Symbol.iterator in handlerOrRoutes) &&
      !('then' in handlerOrRoutes || 'handler' in handlerOrRoutes);
    if (!isTable) checkHandler('handler', handlerOrRoutes, 'a function, or routes by path');
    const runners = Object.entries(handlerOrRoutes).map(
      ([pattern, target]) => [pattern, this.#runnerOf(pattern, target)] as const,
    );
    return new RouteTable(Object.fromEntries(runners));
  }

  #runnerOf(pattern: string, target: unknown): HandlerRunner {
    if (target instanceof Route) {
      const plan = planRoute(this.#options, this.plan, target.options);
      return new HandlerRunner(target.handler, this.work, plan, pattern);
    }
    const name = `routes: ${JSON.stringify(pattern)}`;
    checkHandler(name, target, 'a function or route(...)');
    return new HandlerRunner(target as AnyHandler, this.work, this.plan, pattern);
  }

  /** Accepts a request and runs its handler, or refuses it. Never throws. */
  serve(upgrade: UpgradeRequest): void {
    // The application's functions may call `enterWith`, which then changes no other request.
    inScope(() => {
      try {
        const opened = this.#accept(upgrade, undefined);
        if (!(opened instanceof Promise)) return runHandler(upgrade, opened);
        const failed = (error: unknown): void => reportFailure(upgrade, error);
        opened.then((conn) => runHandler(upgrade, conn), failed);
      } catch (error) {
        reportFailure(upgrade, error);
      }
    });
  }

  /**
   * Accepts a request without a handler.
   *
   * @param extra - Returns headers of the application for this answer.
   * @throws (rejects with) the error of the handshake, after the refusal was written.
   */
  async accept(
    upgrade: UpgradeRequest,
    extra: (() => readonly HeaderPair[]) | undefined,
  ): Promise<Conn> {
    // As in `serve`.
    return inScope(() => this.#accept(upgrade, extra));
  }

  /**
   * The story of an upgrade; the table in `upgrade-request.ts` lists its faults. The connection opens within
   * this call, unless the handshake has to wait.
   *
   * @throws (or rejects with) the error of the handshake, after the refusal was written.
   */
  #accept(
    upgrade: UpgradeRequest,
    extra: (() => readonly HeaderPair[]) | undefined,
  ): Conn | Promise<Conn> {
    const { head, responder } = upgrade;
    const { stream } = responder;
    // Only a request of node:http2's compatibility API has a fault here: its stream is no socket of ours.
    if (responder.fault === undefined) takeSocket(stream, head);
    try {
      const address = this.plan.needsAddress ? upgrade.findAddress() : undefined;
      if (this.work.isClosing) throw isClosing();
      upgrade.reservation = this.#limits.reserve(address);
      const agreed = upgrade.negotiate(extra?.() ?? NO_HEADERS);
      // A request that is answered within the event needs no count.
      if (agreed === undefined) return this.#open(upgrade);
      this.work.addSocket(stream);
      return this.#openLater(upgrade, agreed);
    } catch (error) {
      this.work.addSocket(stream);
      return this.#fail(upgrade, error);
    }
  }

  async #openLater(upgrade: UpgradeRequest, agreed: Promise<void>): Promise<Conn> {
    try {
      await agreed;
      const conn = this.#open(upgrade);
      this.work.removeSocket(upgrade.responder.stream);
      return conn;
    } catch (error) {
      return this.#fail(upgrade, error);
    }
  }

  /** Writes the accepting answer. From here on the connection owns the socket. */
  #open(upgrade: UpgradeRequest): Conn {
    const { responder, admission, facts, plan, subprotocol = '', extensions, deflate } = upgrade;
    const early = upgrade.prepareAnswer();
    responder.writeAccepted(facts, subprotocol, extensions, upgrade.headers);
    const agreed = { subprotocol, extensions, deflate };
    const options = new ResolvedOptions('server', this.#platform, plan.settings, agreed);
    const conn = new Conn(responder.transport(early, plan), options);
    if (plan.rate !== undefined) limitRate(conn, plan.rate);
    if (plan.maxLifetime !== undefined) limitLifetime(conn, plan.maxLifetime);
    if (admission?.expires !== undefined) conn.renew(admission.expires);
    conn.data = upgrade.context!.auth;
    upgrade.forgetSocket();
    const reservation = upgrade.reservation!;
    reservation.limitRate(conn);
    // Before the close of a server, which closes the connection at once.
    if (conn.state === 'closed') reservation.giveBack();
    else reservation.opened(conn);
    this.work.addConn(conn);
    this.phase.watch();
    return conn;
  }

  /**
   * Ends a handshake that has failed: with a refusal, or without an answer.
   *
   * @throws (rejects with) `error`, or the error of the hook.
   */
  async #fail(upgrade: UpgradeRequest, error: unknown): Promise<never> {
    const { responder, plan } = upgrade;
    const refusal = upgrade.refusalOf(error);
    const { answer } = responder;
    if (refusal !== undefined) this.recordRefusal(refusal, responder.stream, upgrade);
    try {
      await upgrade.answerFailure(refusal, plan.error);
    } catch (fault) {
      // The caller gets the error of the hook instead.
      reportFailure(upgrade, error);
      throw fault;
    } finally {
      if (responder.isReadByServer) this.work.removeSocket(responder.stream);
      giveBackWhenSettled(upgrade, answer);
    }
    throw error;
  }
}

/**
 * Gives a reservation back after the application's calls, and after its answer. The limits would not
 * bound these otherwise: a client that resets and connects again would start any number of calls, and
 * one that takes no bytes would hold any number of answers.
 *
 * @param answer - The answer of the application; undefined without one.
 */
function giveBackWhenSettled(upgrade: UpgradeRequest, answer: Writable | undefined): void {
  const waits = upgrade.acquireWaits();
  const { reservation } = upgrade;
  const { stream } = upgrade.responder;
  const giveBack = (): void => reservation?.giveBack();
  waits.whenCallsSettled(
    () => {
      if (answer === undefined || answer.writableFinished || stream.destroyed) return giveBack();
      reservation?.settled();
      answer.once('finish', giveBack);
      stream.once('close', giveBack);
    },
    (names) => upgrade.plan.reporter.overdue(names, waits.timeout, upgrade.req),
  );
}

/** The close code for the oldest connection of a key, see {@link Limit}. A ReconnectingConn ends with it. */
const REPLACED = 4409;
/** Ms until a connection that does not answer it is terminated. */
const REPLACED_MS = 1_000;

function closeOldest(conn: object): void {
  const payload = formatCloseMessage(REPLACED, 'replaced by a newer connection');
  internalsOf(conn as Conn).startClose(payload, REPLACED_MS, true);
}

function isClosing(): HandshakeError {
  return tryLater(503, 'the server is closing');
}

function reportFailure({ plan, req, route }: UpgradeRequest, error: unknown): void {
  plan.reporter.handshakeFailed(error, req, route);
}

function runHandler({ runner, req, context }: UpgradeRequest, conn: Conn): void {
  runner!.run(conn, req, context!);
}

/**
 * Makes the platform of one server's connections: Node, with an observer that also reports to the
 * server when a connection has closed. The server then needs no listener on each connection.
 *
 * @param maxTotalBufferedAmount - Most bytes that wait in all connections together; Infinity for no
 *   bound.
 */
export function platformOfServer(
  onClosed: (conn: object) => void,
  maxTotalBufferedAmount: number,
): Platform {
  const inner = nodePlatform.observer;
  const observer: Observer = Object.create(inner ?? null, {
    closed: {
      value: (conn: object, info: CloseInfo): void => {
        onClosed(conn);
        inner?.closed?.(conn, info);
      },
    },
  });
  // A prototype, not a copy: settings of the process that change later apply here too.
  return Object.create(nodePlatform, {
    observer: { value: observer },
    base: { value: nodePlatform },
    writeBudget: {
      value:
        maxTotalBufferedAmount === Infinity ? undefined : new WriteBudget(maxTotalBufferedAmount),
    },
  });
}
