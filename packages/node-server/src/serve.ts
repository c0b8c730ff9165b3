import { once } from 'node:events';
import type { Server as HttpServer, RequestListener } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CloseCode, type Conn } from '@ws/conn';
import { checkOptionNames, duration } from '@ws/conn/internal';
import { assertOption, isThenable, typeName } from '@ws/http-shared';
import type { ConnHandler, UpgradeListener } from './conn-handler.ts';
import { ErrorReporter } from './error-reporter.ts';
import { HandshakeError } from './errors.ts';
import { isTaken } from './handshake.ts';
import { makeServer, urlOf } from './http-server.ts';
import { SocketLimits } from './limits.ts';
import { type AuthOf, pickUpgraderOptions } from './options.ts';
import { guardListener, PlainRequests, upgradeRequired } from './plain-requests.ts';
import { RouteTable } from './routes.ts';
import { checkServeOptions, type RoutedServeOptions, type ServeOptions } from './serve-options.ts';
import { platformOfServer } from './server-platform.ts';
import { Upgrader } from './upgrader.ts';

/** A running server, made by {@link serve}. */
export interface WebSocketServer {
  /**
   * The URL that the server listens on, for example `ws://127.0.0.1:8080`. It is `''` until your
   * own `server` listens, and for a socket without an address: a Unix socket that came as a file
   * descriptor.
   */
  readonly url: string;
  /** The connections that are not closed yet. The set is live. */
  readonly connections: ReadonlySet<Conn>;
  /**
   * Stops accepting and closes every connection with 1001 (`CloseCode.GoingAway`). Resolves when
   * all connections are closed, pending answers are sent and the promises of all handlers have
   * settled. After `timeout` ms (default 5,000) the remaining connections are terminated, and no
   * handler is waited for. Do not await `close` in a handler: each would wait for the other until
   * `timeout`.
   *
   * @throws (rejects with) TypeError or RangeError for an unknown option or a bad `timeout`.
   */
  close(options?: { timeout?: number | undefined }): Promise<void>;
}

/**
 * Starts a WebSocket server and resolves when it listens. With your own `server`, it resolves at
 * once unless `port`, `host` or `path` is given.
 *
 * @param handler - Runs each connection without a route. With `routes` it is optional: other paths
 *   get 404 without it.
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
export function serve<Result = undefined, Pattern extends string = string>(
  options: ServeOptions<Result, Pattern>,
  handler: ConnHandler<AuthOf<Result>>,
): Promise<WebSocketServer>;
export function serve<Result = undefined, Pattern extends string = string>(
  options: RoutedServeOptions<Result, Pattern>,
  handler?: ConnHandler<AuthOf<Result>>,
): Promise<WebSocketServer>;
export async function serve<Result>(
  options: ServeOptions<Result>,
  handler?: ConnHandler<AuthOf<Result>>,
): Promise<WebSocketServer> {
  checkServeOptions(options);
  if (options.routes === undefined || handler !== undefined) {
    assertOption('handler', handler, typeof handler === 'function', 'a function');
  }
  const running = new RunningServer(options, handler);
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

class RunningServer<Result> implements WebSocketServer {
  readonly connections: Set<Conn> = new Set();
  readonly #options: ServeOptions<Result>;
  readonly #http: HttpServer | HttpsServer;
  /**
   * TCP connections of our own server that are not in `connections`. Over TLS it also has the TCP
   * socket below each connection.
   */
  readonly #sockets = new Set<Duplex>();
  /** Sockets with an unanswered request, or with a refusal that the client is still reading. */
  readonly #pending = new Set<Duplex>();
  readonly #reporter: ErrorReporter;
  #url = '';
  /** Whether this one is in {@link answering}. */
  #answersAll = false;
  /** Handlers whose promise has not settled. */
  #handlers = 0;
  readonly #onHandlerSettled = (): void => {
    this.#handlers--;
    this.#onProgress?.();
  };
  /** One listener for all sockets, to save memory per connection. */
  readonly #onClose: (this: Duplex) => void;
  readonly #onRequest: RequestListener;
  readonly #onUpgrade: UpgradeListener;
  /** For a server of the user: answers only while no other listener for 'request' exists. */
  readonly #unlessOtherListeners: RequestListener = (req, res) => {
    if (this.#http.listenerCount('request') === 1) upgradeRequired(req, res);
  };
  /** Set by `close`; called when a connection, a request or a socket has ended. */
  #onProgress: (() => void) | undefined;
  /** Only for our own server. */
  readonly #plain: PlainRequests | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: ServeOptions<Result>, handler: ConnHandler<AuthOf<Result>> | undefined) {
    this.#options = options;
    const platform = platformOfServer((conn) => {
      this.connections.delete(conn as Conn);
      this.#onProgress?.();
    });
    // First, because it checks options that the HTTP server is made with.
    const upgrader = new Upgrader<Result>(pickUpgraderOptions(options), platform);
    this.#reporter = new ErrorReporter(options.report);
    this.#http =
      options.server ??
      makeServer(options, (error, where) => this.#reporter.failed(error, { where }));
    const request = options.request && guardListener(options.request, this.#reporter);
    if (options.server === undefined) {
      this.#plain = new PlainRequests(request ?? upgradeRequired, () => this.#onProgress?.());
      this.#onRequest = this.#plain.onRequest;
    } else this.#onRequest = request ?? this.#unlessOtherListeners;
    const forget = (socket: Duplex): void => this.#forget(socket);
    this.#onClose = function () {
      forget(this);
    };
    const upgrade = this.#listener(options, upgrader, handler);
    const { routes, unmatched, server } = options;
    const table = routes && unmatched === 'leave' ? new RouteTable(routes, handler) : undefined;
    this.#onUpgrade = (req, socket, head) => {
      if (table?.has(req.url ?? '') === false) return;
      // Another server of ours has answered, and has left other paths to this one.
      if (server !== undefined && isTaken(socket)) return;
      this.#pending.add(socket);
      // Sockets of our own server without TLS have this listener since 'connection'.
      if (!this.#sockets.has(socket)) socket.on('close', this.#onClose);
      if (this.#closed === undefined) upgrade(req, socket, head);
      else
        void upgrader.refuse(req, socket, head, new HandshakeError(503, 'the server is closing'));
    };
  }

  #listener(
    { routes }: ServeOptions<Result>,
    upgrader: Upgrader<Result>,
    handler: ConnHandler<AuthOf<Result>> | undefined,
  ): UpgradeListener {
    const rest = handler && this.#tracked(handler);
    if (routes === undefined) return upgrader.handler(rest!);
    const counted = Object.entries(routes).map(([path, run]) => [path, this.#tracked(run)]);
    return upgrader.routes(Object.fromEntries(counted), rest);
  }

  /** Wraps a handler so that the server knows its connections. */
  #tracked<Params>(
    handler: ConnHandler<AuthOf<Result>, Params>,
  ): ConnHandler<AuthOf<Result>, Params> {
    return (conn, req, context) => {
      // From here on the platform reports the end of the connection.
      req.socket.off('close', this.#onClose);
      this.#sockets.delete(req.socket);
      this.#pending.delete(req.socket);
      if (conn.state !== 'closed') this.connections.add(conn);
      // The handshake was pending when the server began to close.
      if (this.#closed !== undefined) return conn.close(CloseCode.GoingAway);
      return this.#countHandler(handler(conn, req, context));
    };
  }

  /** Counts a handler as running until its promise settles. */
  #countHandler(result: unknown): unknown {
    if (!isThenable(result)) return result;
    const running = Promise.resolve(result);
    this.#handlers++;
    running.then(this.#onHandlerSettled, this.#onHandlerSettled);
    return running;
  }

  get url(): string {
    return this.#url;
  }

  readonly #onListening = (): void => {
    this.#url = urlOf(this.#http, this.#options.host);
  };

  async listen(): Promise<void> {
    const { port, host, path, server } = this.#options;
    const http = this.#http;
    this.#claimUpgrades();
    if (http.listenerCount('request') === 0) http.on('request', this.#onRequest);
    if (server === undefined) this.#listenToOwnServer();
    http.on('upgrade', this.#onUpgrade);
    http.on('listening', this.#onListening);
    if (http.listening) this.#onListening();
    const listens = server === undefined || (port ?? host ?? path) !== undefined;
    if (listens && !http.listening) {
      if (path !== undefined) http.listen(path);
      else http.listen(port ?? 0, host);
      await once(http, 'listening');
    }
    // Node emits 'error' when it cannot accept a connection, for example without free file
    // descriptors.
    if (server === undefined) {
      http.on('error', (error) => this.#reporter.failed(error, { where: 'server' }));
    }
  }

  /** @throws TypeError when another server of ours answers every path. */
  #claimUpgrades(): void {
    if (answering.has(this.#http)) {
      throw new TypeError(
        "server: another serve() answers all its upgrades; give that one routes and unmatched: 'leave'",
      );
    }
    if (this.#options.unmatched === 'leave') return;
    answering.add(this.#http);
    this.#answersAll = true;
  }

  /** Removes our listeners from the HTTP server. */
  detach(): void {
    this.#http.off('listening', this.#onListening);
    if (this.#answersAll) answering.delete(this.#http);
    this.#http.off('upgrade', this.#onUpgrade).off('request', this.#onRequest);
  }

  async close(options: { timeout?: number | undefined } = {}): Promise<void> {
    if (typeof options !== 'object' || options === null || options instanceof Event) {
      throw new TypeError(
        `close: expected an object of options, got ${typeName(options)}; as a listener, use () => server.close()`,
      );
    }
    checkOptionNames('close', options, ['timeout'], 'ignore');
    const ms = duration('timeout', options.timeout, 5_000, false);
    this.#closed ??= this.#close(ms);
    await this.#closed;
  }

  async #close(ms: number): Promise<void> {
    const http = this.#http;
    const own = this.#options.server === undefined;
    const httpClosed = own ? once(http, 'close') : undefined;
    if (own) {
      http.close();
      this.#plain!.drain();
    } else this.detach();
    for (const conn of this.connections) void conn.close(CloseCode.GoingAway, '', { timeout: ms });
    await this.#waitUntilIdle(ms);
    for (const conn of this.connections) conn.terminate();
    for (const socket of this.#pending) socket.destroy();
    // Sockets without a request, and kept-alive sockets whose requests are finished.
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([httpClosed, ...[...this.connections].map((conn) => conn.closed)]);
  }

  /** Resolves when every connection, request and handler has ended, or after `ms`. */
  #waitUntilIdle(ms: number): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(done, ms);
      this.#onProgress = () => {
        const requests = this.#plain?.pending ?? 0;
        const open = this.connections.size + this.#pending.size + requests + this.#handlers;
        if (open > 0) return;
        clearTimeout(timer);
        done();
      };
      this.#onProgress();
    });
  }

  #forget(socket: Duplex): void {
    this.#sockets.delete(socket);
    this.#pending.delete(socket);
    this.#onProgress?.();
  }

  #listenToOwnServer(): void {
    // Without a listener for 'connect', http.Server destroys the socket of a CONNECT request
    // without an answer.
    this.#http.on('connect', this.#onUpgrade);
    this.#http.on('checkExpectation', this.#plain!.onExpectation);
    const { clientAddress, maxConnectionsPerAddress } = this.#options;
    // With `clientAddress`, only a request shows the client, so sockets are not counted.
    const limits = new SocketLimits((!clientAddress && maxConnectionsPerAddress) || Infinity);
    this.#http.on('connection', (socket: Socket) => {
      // Node caches the address. The system forgets it at a reset.
      void socket.remoteAddress;
      if (!limits.add(socket)) return void socket.destroy();
      this.#sockets.add(socket);
      socket.on('close', this.#onClose);
    });
  }
}
