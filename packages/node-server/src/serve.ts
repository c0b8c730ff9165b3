import { once } from 'node:events';
import type { Server as HttpServer, RequestListener } from 'node:http';
import { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import type { Conn } from '@ws/conn';
import {
  type CloseOptions,
  type ClosePlan,
  type CloseResult,
  checkCloseOptions,
} from './close-options.ts';
import type { UpgradeListener } from './conn-handler.ts';
import { ErrorReporter } from './error-reporter.ts';
import { isTaken } from './handshake.ts';
import { listenError, makeServer, urlOf } from './http-server.ts';
import { SocketLimits } from './limits.ts';
import { type AuthOf, pickUpgraderOptions } from './options.ts';
import { guardListener, PlainRequests, upgradeRequired } from './plain-requests.ts';
import type { OnRefused } from './refusal/refusals.ts';
import type { HandlerOrRoutes } from './route.ts';
import { checkServeOptions, checkTls, namesAddress, type ServeOptions } from './serve-options.ts';
import type { ServerStats } from './stats.ts';
import { pendingWorkOf, recordRefusal, Upgrader } from './upgrader.ts';

/**
 * A running server, made by {@link serve}.
 *
 * @typeParam Auth - The type of `data` of its connections.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- code that ignores `data` names no type
export interface WebSocketServer<Auth = any> extends AsyncDisposable {
  /**
   * The URL that the server listens on, for example `ws://127.0.0.1:8080`. It is `''` until your
   * own `server` listens, and for a socket without an address: a Unix socket that came as a file
   * descriptor.
   */
  readonly url: string;
  /** The HTTP server: the option `server`, or the one that `serve` has created. */
  readonly http: HttpServer | HttpsServer;
  /** The connections that are not closed yet. The set is live. */
  readonly connections: ReadonlySet<Conn<Auth>>;
  /** Counters, as they are now. */
  readonly stats: ServerStats;
  /**
   * Replaces the certificate for new connections. Options that are left out keep their values. Open
   * connections keep theirs.
   *
   * @throws TypeError on a server without TLS, and for options without a certificate; the error of
   *   node:tls for one that is invalid. The server then keeps its certificate.
   */
  reload(tls: SecureContextOptions): void;
  /**
   * Stops accepting and sends every connection a close frame. Resolves when all connections are
   * closed, pending answers are sent and the promises of all handlers have settled, at the latest
   * `timeout` ms after the last close frame; the remaining connections are terminated then. A
   * second call returns the same promise. Do not await `close` in a handler: each would wait for
   * the other until `timeout`.
   *
   * @param options - Default: the option `close` of `serve`.
   * @throws (rejects with) TypeError or RangeError that names the bad option.
   */
  close(options?: CloseOptions): Promise<CloseResult>;
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
): Promise<WebSocketServer<AuthOf<Result>>> {
  checkServeOptions(options as ServeOptions<unknown>, typeof handlerOrRoutes !== 'function');
  const running = new RunningServer(options, handlerOrRoutes);
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
class RunningServer<Result, Pattern extends string> implements WebSocketServer<AuthOf<Result>> {
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
  /** For a server of the user: answers only while no other listener for 'request' exists. */
  readonly #unlessOtherListeners: RequestListener = (req, res) => {
    if (this.http.listenerCount('request') === 1) this.#answer426(req, res);
  };
  readonly #answer426: RequestListener;
  /** Only for our own server. */
  readonly #plain: PlainRequests | undefined;
  #closed: Promise<CloseResult> | undefined;

  constructor(
    options: ServeOptions<Result>,
    handlerOrRoutes: HandlerOrRoutes<Pattern, AuthOf<Result>>,
  ) {
    const { server, tls = {} } = options;
    this.#options = options;
    this.#tls = tls;
    // First, because it checks options that the HTTP server is made with.
    this.#upgrader = new Upgrader<Result>(pickUpgraderOptions(options));
    const upgrade = this.#upgrader.handler(handlerOrRoutes);
    this.#closePlan = checkCloseOptions(options.close);
    this.#reporter = new ErrorReporter(options.report);
    const refused: OnRefused = (...refusal) => recordRefusal(this.#upgrader, ...refusal);
    this.#answer426 = upgradeRequired(refused);
    const failed = (error: unknown, where: string): void => this.#reporter.failed(error, { where });
    this.http = server ?? makeServer(options, failed, refused);
    const request = options.request && guardListener(options.request, this.#reporter);
    if (server === undefined) {
      const work = pendingWorkOf(this.#upgrader);
      const plain = new PlainRequests(request ?? this.#answer426, () => work.progress(), refused);
      work.pendingResponses = () => plain.pending;
      this.#plain = plain;
      this.#onRequest = plain.onRequest;
    } else this.#onRequest = request ?? this.#unlessOtherListeners;
    this.#onUpgrade = (req, socket, head) => {
      // Another server of ours has answered, and has left other paths to this one.
      if (server !== undefined && isTaken(socket)) return;
      upgrade(req, socket, head);
    };
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
    const { host, listen } = this.#options;
    this.#url = urlOf(this.http, host ?? listen?.host);
  };

  async listen(): Promise<void> {
    const { port = 0, host, socketPath, listen, server } = this.#options;
    const path = socketPath ?? listen?.path;
    const { http } = this;
    this.#claimUpgrades();
    if (http.listenerCount('request') === 0) http.on('request', this.#onRequest);
    if (server === undefined) this.#listenToOwnServer();
    http.on('upgrade', this.#onUpgrade);
    http.on('listening', this.#onListening);
    if (http.listening) this.#onListening();
    const listens = server === undefined || namesAddress(this.#options as ServeOptions<unknown>);
    if (listens && !http.listening) {
      // Node prefers a port to a path.
      http.listen(path === undefined ? { port, host, ...listen } : { ...listen, path });
      await once(http, 'listening').catch((error: unknown) => {
        throw listenError(error);
      });
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
    if (!(this.http instanceof HttpsServer)) {
      throw new TypeError('reload: the server has no TLS; pass the option tls to serve');
    }
    checkTls(tls);
    const { key: _key, cert: _cert, pfx: _pfx, passphrase: _passphrase, ...others } = this.#tls;
    const all = { ...others, ...tls };
    this.http.setSecureContext(all);
    this.#tls = all;
  }

  close(options: CloseOptions = {}): Promise<CloseResult> {
    try {
      const plan = checkCloseOptions(options, this.#closePlan);
      this.#closed ??= this.#close(plan);
      return this.#closed;
    } catch (error) {
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
    const result = await pendingWorkOf(this.#upgrader).close(plan);
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
      void socket.remoteAddress;
      if (!limits.add(socket)) socket.destroy();
    });
    if (this.http instanceof HttpsServer) this.http.on('connection', this.#onRawSocket);
  }

  readonly #onRawSocket = (socket: Duplex): void => {
    this.#rawSockets.add(socket);
    socket.on('close', () => this.#rawSockets.delete(socket));
  };
}
