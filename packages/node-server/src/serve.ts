import type { Server as HttpServer, RequestListener } from 'node:http';
import { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import { checked, fromCaller, isMistake } from '@ws/codec/internal';
import type { Conn } from '@ws/conn';
import { prepareReadBuffer, remoteAddressOf, withReadableKeys } from '@ws/node-io/internal';
import type { AnyHandlers } from './acceptor.ts';
import {
  type CloseOptions,
  type ClosePlan,
  type CloseResult,
  checkCloseOptions,
} from './close-options.ts';
import type { UpgradeListener } from './conn-handler.ts';
import { ErrorReporter } from './error-reporter.ts';
import { listenOn, makeServer, urlOf } from './http-server.ts';
import { isLastLeaving, noteLeaving } from './leaving-listeners.ts';
import { type AuthOf, pickUpgraderOptions } from './options.ts';
import {
  defaultListeners,
  guardListener,
  hasRequestListener,
  PlainRequests,
  upgradeRequired,
} from './plain-requests.ts';
import { giveBackPlainRequest } from './plain-upgrade.ts';
import { SocketLimits } from './policies/limits.ts';
import { requestOfNode } from './request.ts';
import type { OnRefused } from './responder/refusals.ts';
import type { HandlerOrRoutes } from './routes/route.ts';
import type { RunningServer } from './running-server.ts';
import {
  checkServeOptions,
  namesAddress,
  type ServeOptions,
  withCertificate,
} from './serve-options.ts';
import type { ServerStats } from './stats.ts';
import { UpgradeRequest } from './upgrade-request.ts';
import { acceptorOf, Upgrader } from './upgrader.ts';
import { isTaken } from './wait.ts';

/**
 * A running server, made by {@link serve}.
 *
 * @typeParam Auth - The type of `data` of its connections.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- code that ignores `data` names no type
export interface WsServer<Auth = any> extends RunningServer<Auth> {
  /** The HTTP server: the option `server`, or the one that `serve` has created. */
  readonly http: HttpServer | HttpsServer;
}

/**
 * Starts a WebSocket server and resolves when it listens. With your own `server`, it resolves at
 * once unless `port`, `host`, `socketPath` or `listen` is given.
 *
 * @param handlerOrRoutes - One handler for all connections, or handlers by path. With routes, other
 *   paths are refused with 404; see the option `unmatched`.
 * @throws (rejects with) TypeError or RangeError that names a bad option; the error of `listen`,
 *   EADDRINUSE for example.
 *
 * @example
 * ```ts
 * import { serve } from '@ws/node-server';
 *
 * const server = await serve({ port: 0 }, (conn) => conn.receive((message) => conn.send(message)));
 * console.log(server.url);
 * await server.close();
 * ```
 */
export async function serve<Result = undefined, Pattern extends string = string>(
  options: ServeOptions<Result>,
  handlerOrRoutes: HandlerOrRoutes<Pattern, AuthOf<Result>>,
): Promise<WsServer<AuthOf<Result>>> {
  const running = checked(() => {
    checkServeOptions(options as ServeOptions<unknown>, typeof handlerOrRoutes !== 'function');
    return new HttpWsServer(options, handlerOrRoutes);
  }, serve);
  try {
    await running.listen();
  } catch (error) {
    running.detach();
    throw error;
  }
  return running;
}

/** HTTP servers whose upgrades are all answered, so that no other listener gets one. */
const answering = new WeakSet<HttpServer | HttpsServer>();

/** An Upgrader and its HTTP server. */
class HttpWsServer<Result, Pattern extends string> implements WsServer<AuthOf<Result>> {
  readonly http: HttpServer | HttpsServer;
  readonly #options: ServeOptions<Result>;
  readonly #upgrader: Upgrader<Result>;
  /** TCP connections under TLS. Node knows the others: see `closeAllConnections`. */
  readonly #rawSockets = new Set<Duplex>();
  readonly #reporter: ErrorReporter;
  /** The option `close`. */
  readonly #closePlan: ClosePlan;
  #url = '';
  /** The options of the certificate in use. */
  #tls: SecureContextOptions;
  /** Whether {@link answering} contains `http`. */
  #answersAll = false;
  readonly #onRequest: RequestListener;
  readonly #onUpgrade: UpgradeListener;
  /** For a server of the user: answers only while every listener for 'request' is such a one. */
  readonly #unlessOtherListeners: RequestListener = (req, res) => {
    // A single listener of somebody else calls this one for what it leaves, as socket.io does.
    const { http } = this;
    const isLast = http.listenerCount('request') === 1 || !hasRequestListener(http);
    if (isLast && !res.headersSent) this.#answer426(req, res);
  };
  readonly #answer426: RequestListener;
  /** Only for our own server. */
  readonly #plain: PlainRequests | undefined;
  #closed: Promise<CloseResult> | undefined;

  constructor(
    options: ServeOptions<Result>,
    handlerOrRoutes: HandlerOrRoutes<Pattern, AuthOf<Result>>,
  ) {
    const { server, tls = contextOf(server) } = options;
    this.#options = options;
    this.#tls = tls;
    // First, because it checks options that the HTTP server is made with.
    this.#upgrader = new Upgrader<Result>(pickUpgraderOptions(options));
    const upgrade = this.#upgrader.handler(handlerOrRoutes);
    this.#closePlan = checkCloseOptions(options.close);
    this.#reporter = new ErrorReporter(options.report);
    const acceptor = acceptorOf(this.#upgrader);
    const refused: OnRefused = (error, socket, req) => {
      acceptor.recordRefusal(error, remoteAddressOf(socket), req && requestOfNode(req, socket));
    };
    this.#answer426 = upgradeRequired(refused);
    const failed = (error: unknown, where: string): void => this.#reporter.failed(error, { where });
    this.http = server ?? makeServer(options, failed, refused);
    const request = options.request && guardListener(options.request, this.#reporter);
    if (server === undefined) {
      const { work } = acceptor;
      const plain = new PlainRequests(request ?? this.#answer426, () => work.progress(), refused);
      work.pendingResponses = () => plain.pending;
      work.refusalsHoldClose = true;
      this.#plain = plain;
      this.#onRequest = plain.onRequest;
    } else {
      this.#onRequest = request ?? this.#unlessOtherListeners;
      if (request === undefined) defaultListeners.add(this.#onRequest);
    }
    this.#onUpgrade = (req, socket, head) => {
      // Another server of ours has answered, and has left other paths to this one.
      if (server !== undefined && isTaken(socket)) return;
      upgrade(req, socket, head);
      if (
        routes === undefined ||
        routes.has(req.url ?? '') ||
        !isLastLeaving(this.http, this.#onUpgrade)
      ) {
        return;
      }
      if (giveBackPlainRequest(req, socket, head)) return;
      const request = requestOfNode(req, socket);
      acceptor.serve(new UpgradeRequest(acceptor.setup, request, head, routes, performance.now()));
    };
    const leaves = options.unmatched === 'leave';
    const routes = leaves ? acceptor.routerOf(handlerOrRoutes as AnyHandlers) : undefined;
    if (leaves) noteLeaving(this.#onUpgrade);
  }

  get url(): string {
    return this.#url;
  }

  get connections(): ReadonlySet<Conn<AuthOf<Result>>> {
    return this.#upgrader.connections;
  }

  get stats(): ServerStats {
    return this.#upgrader.stats;
  }

  readonly #onListening = (): void => {
    this.#url = urlOf(this.http, this.#options);
  };

  async listen(): Promise<void> {
    const { server } = this.#options;
    const { http } = this;
    this.#claimUpgrades();
    if (!hasRequestListener(http)) http.on('request', this.#onRequest);
    if (server === undefined) this.#listenToOwnServer();
    http.on('upgrade', this.#onUpgrade);
    http.on('listening', this.#onListening);
    if (http.listening) this.#onListening();
    const listens = server === undefined || namesAddress(this.#options as ServeOptions<unknown>);
    if (listens && !http.listening) {
      // So that the first connections use it too. The promise never rejects.
      if (acceptorOf(this.#upgrader).setup.plan.readBuffer) await prepareReadBuffer();
      await listenOn(http, this.#options);
    }
    // Node emits 'error' when it cannot accept a connection, for example without free file
    // descriptors.
    if (server === undefined) {
      http.on('error', (error) => this.#reporter.failed(error, { where: 'server' }));
    }
  }

  /** @throws TypeError when another server of ours answers every path. */
  #claimUpgrades(): void {
    if (answering.has(this.http)) {
      throw new TypeError(
        "server: another serve() answers all its upgrades; give that one routes and unmatched: 'leave'",
      );
    }
    if (this.#options.unmatched === 'leave') return;
    answering.add(this.http);
    this.#answersAll = true;
  }

  /** Removes our listeners from the HTTP server. */
  detach(): void {
    this.http.off('listening', this.#onListening);
    if (this.#answersAll) answering.delete(this.http);
    this.http.off('upgrade', this.#onUpgrade).off('request', this.#onRequest);
  }

  reload(tls: SecureContextOptions): void {
    checked(() => this.#reload(tls), this, 'reload');
  }

  #reload(tls: SecureContextOptions): void {
    if (!(this.http instanceof HttpsServer)) {
      throw new TypeError('reload: the server has no TLS; pass the option tls to serve');
    }
    const renewed = withCertificate(this.#tls, tls);
    const { http } = this;
    withReadableKeys('reload', () => http.setSecureContext(renewed));
    this.#tls = renewed;
  }

  close(options: CloseOptions = {}): Promise<CloseResult> {
    try {
      const plan = checkCloseOptions(options, this.#closePlan);
      this.#closed ??= this.#close(plan);
      return this.#closed;
    } catch (error) {
      if (isMistake(error)) fromCaller(error, this, 'close');
      return Promise.reject(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(plan: ClosePlan): Promise<CloseResult> {
    const { http } = this;
    const own = this.#plain !== undefined;
    // `once` of node:events would reject at an 'error' of the server.
    const httpClosed = own ? new Promise((done) => http.once('close', done)) : undefined;
    if (this.#plain !== undefined) {
      http.close();
      this.#plain.drain();
    } else this.detach();
    const result = await acceptorOf(this.#upgrader).work.close(plan);
    // Sockets without a request, and kept-alive sockets whose requests are finished.
    if (own) http.closeAllConnections();
    // Node does not know those whose TLS handshake is pending.
    for (const socket of this.#rawSockets) socket.destroy();
    await httpClosed;
    return result;
  }

  #listenToOwnServer(): void {
    // Without a listener for 'connect', http.Server destroys the socket of a CONNECT request
    // without an answer.
    this.http.on('connect', this.#onUpgrade);
    this.http.on('checkExpectation', this.#plain!.onExpectation);
    const { clientAddress, trustProxy, maxConnectionsPerAddress } = this.#options;
    // With either option, only a request shows the client. Sockets are not counted then.
    const isClientPeer = !clientAddress && !trustProxy;
    const limits = new SocketLimits(
      isClientPeer && maxConnectionsPerAddress ? maxConnectionsPerAddress : Infinity,
    );
    this.http.on('connection', (socket: Socket) => {
      // Node caches the address. The system forgets it at a reset.
      void remoteAddressOf(socket);
      if (!limits.add(socket)) socket.destroy();
    });
    if (this.http instanceof HttpsServer) this.http.on('connection', this.#onRawSocket);
  }

  readonly #onRawSocket = (socket: Duplex): void => {
    this.#rawSockets.add(socket);
    socket.on('close', () => this.#rawSockets.delete(socket));
  };
}

/**
 * The TLS options of a server of the user: `setSecureContext` drops what it is not given. Node keeps
 * them in fields of the server.
 */
function contextOf(server: object | undefined): SecureContextOptions {
  const fields: Partial<Record<string, unknown>> = { ...server };
  return Object.fromEntries(CONTEXT_FIELDS.map((name) => [name, fields[name]]));
}

const CONTEXT_FIELDS: readonly (keyof SecureContextOptions)[] = [
  'ca',
  'ciphers',
  'crl',
  'dhparam',
  'ecdhCurve',
  'honorCipherOrder',
  'maxVersion',
  'minVersion',
  'secureOptions',
  'secureProtocol',
  'sessionIdContext',
  'sigalgs',
];
