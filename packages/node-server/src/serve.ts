import { once } from 'node:events';
import type { Server as HttpServer, RequestListener } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { CloseCode, type Conn, duration } from '@ws/conn';
import type { ConnHandler, UpgradeListener } from './conn-handler.ts';
import { HandshakeError } from './errors.ts';
import { Handshake } from './handshake.ts';
import { hostOf } from './host.ts';
import { makeServer, urlOf } from './http-server.ts';
import { type AuthOf, expect, pickUpgraderOptions, warn } from './options.ts';
import { PlainRequests, upgradeRequired } from './plain-requests.ts';
import { endFailed } from './refuse.ts';
import { Reports } from './reports.ts';
import { checkServeOptions, type RoutedServeOptions, type ServeOptions } from './serve-options.ts';
import { Upgrader } from './upgrader.ts';

/** A server that {@link serve} has started. */
export interface WebSocketServer {
  /** Where it listens, for example `ws://127.0.0.1:8080`. */
  readonly url: string;
  /** The connections that are open. */
  readonly connections: ReadonlySet<Conn>;
  /**
   * Accepts nothing more, closes every connection with 1001 and waits for that, and for answers that are on their way;
   * what is left after `timeout` ms (default 5 s) is dropped. Resolves when all is gone.
   */
  close(options?: { timeout?: number | undefined }): Promise<void>;
}

/**
 * Starts a WebSocket server and resolves when it listens.
 *
 * @param handler - Runs each connection that has no route. With `routes` it may be left out: other paths get 404 then.
 * @throws (rejects with) TypeError or RangeError for bad options; the error of `listen`, EADDRINUSE for example.
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
    expect('handler', handler, typeof handler === 'function', 'a function');
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

class RunningServer<Result> implements WebSocketServer {
  url = '';
  readonly connections: Set<Conn> = new Set();
  readonly #options: ServeOptions<Result>;
  readonly #http: HttpServer | HttpsServer;
  /** Every TCP connection of a server of ours that is none of `connections`, or is below one that is over TLS. */
  readonly #sockets = new Set<Duplex>();
  /** Sockets whose request is not answered yet, and those whose refusal is being read. */
  readonly #pending = new Set<Duplex>();
  /** One for all sockets, so that a connection keeps none of its own. */
  readonly #onClose: (this: Duplex) => void;
  readonly #onRequest: RequestListener;
  readonly #onUpgrade: UpgradeListener;
  /** On a server of the user's, who may add a listener later: that one answers alone then. */
  readonly #unlessOthers: RequestListener = (req, res) => {
    if (this.#http.listenerCount('request') === 1) upgradeRequired(req, res);
  };
  /** Set by `close`; called whenever something has ended. */
  #progress: (() => void) | undefined;
  /** Of a server of ours. */
  readonly #plain: PlainRequests | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: ServeOptions<Result>, handler: ConnHandler<AuthOf<Result>> | undefined) {
    this.#options = options;
    const host = hostOf((conn) => {
      this.connections.delete(conn as Conn);
      this.#progress?.();
    });
    // First of all, since it checks options that the HTTP server is made with.
    const upgrader = new Upgrader<Result>(pickUpgraderOptions(options), host);
    this.#http = options.server ?? makeServer(options);
    if (options.server === undefined) {
      this.#plain = new PlainRequests(options.request ?? upgradeRequired, () => this.#progress?.());
      this.#onRequest = this.#plain.onRequest;
    } else this.#onRequest = options.request ?? this.#unlessOthers;
    const forget = (socket: Duplex): void => this.#forget(socket);
    this.#onClose = function () {
      forget(this);
    };
    const upgrade = this.#listener(options, upgrader, handler);
    this.#onUpgrade = (req, socket, head) => {
      this.#pending.add(socket);
      // Those of a plain server of ours are listened to since they came.
      if (!this.#sockets.has(socket)) socket.on('close', this.#onClose);
      if (this.#closed === undefined) upgrade(req, socket, head);
      else void this.#refuse(req, socket, head);
    };
  }

  #listener(
    { routes }: ServeOptions<Result>,
    upgrader: Upgrader<Result>,
    handler: ConnHandler<AuthOf<Result>> | undefined,
  ): UpgradeListener {
    const rest = handler && this.#counted(handler);
    if (routes === undefined) return upgrader.handler(rest!);
    const counted = Object.entries(routes).map(([path, run]) => [path, this.#counted(run)]);
    return upgrader.routes(Object.fromEntries(counted), rest);
  }

  /** The same handler, whose connections are known to the server. */
  #counted<Params>(
    handler: ConnHandler<AuthOf<Result>, Params>,
  ): ConnHandler<AuthOf<Result>, Params> {
    return (conn, req, context) => {
      // From here on the connection's own end is what counts.
      req.socket.off('close', this.#onClose);
      this.#sockets.delete(req.socket);
      this.#pending.delete(req.socket);
      if (conn.state !== 'closed') this.connections.add(conn);
      // It was on its way when the server began to close.
      if (this.#closed !== undefined) return conn.close(CloseCode.GoingAway);
      return handler(conn, req, context);
    };
  }

  async listen(): Promise<void> {
    const { port, host, path, server } = this.#options;
    const http = this.#http;
    if (http.listenerCount('request') === 0) http.on('request', this.#onRequest);
    if (server === undefined) this.#watch();
    http.on('upgrade', this.#onUpgrade);
    if (!http.listening) {
      if (server === undefined || (port ?? host ?? path) !== undefined) {
        if (path !== undefined) http.listen(path);
        else http.listen(port ?? 0, host);
      }
      await once(http, 'listening');
    }
    this.url = urlOf(http, host);
    // Node tells of connections that could not be accepted, for want of file descriptors for example.
    if (server === undefined) http.on('error', (error) => process.emitWarning(error));
  }

  /** Leaves the server to its owner. */
  detach(): void {
    this.#http.off('upgrade', this.#onUpgrade).off('request', this.#onRequest);
  }

  async close({ timeout }: { timeout?: number | undefined } = {}): Promise<void> {
    const ms = duration('timeout', timeout, 5_000, false);
    this.#closed ??= this.#close(ms);
    await this.#closed;
  }

  async #close(ms: number): Promise<void> {
    const http = this.#http;
    const own = this.#options.server === undefined;
    const gone = own ? once(http, 'close') : undefined;
    if (own) {
      http.close();
      this.#plain!.drain();
    } else this.detach();
    for (const conn of this.connections) void conn.close(CloseCode.GoingAway, '', { timeout: ms });
    await this.#quiet(ms);
    for (const conn of this.connections) conn.terminate();
    for (const socket of this.#pending) socket.destroy();
    // Those that never asked for anything, or keep a finished request's connection alive.
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([gone, ...[...this.connections].map((conn) => conn.closed)]);
  }

  /** Resolves when every connection and request has ended, at the latest after `ms`. */
  #quiet(ms: number): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(done, ms);
      this.#progress = () => {
        const requests = this.#plain?.pending ?? 0;
        if (this.connections.size + this.#pending.size + requests > 0) return;
        clearTimeout(timer);
        done();
      };
      this.#progress();
    });
  }

  /** Answers an upgrade that comes on a connection while the server closes: nobody is asked about it any more. */
  async #refuse(...[req, socket, head]: Parameters<UpgradeListener>): Promise<void> {
    const { handshakeTimeout = 10_000, error: hook, report = warn } = this.#options;
    const handshake = new Handshake(socket, head, handshakeTimeout || Infinity);
    const refusal = new HandshakeError(503, 'the server is closing');
    try {
      await endFailed(handshake, req, socket, refusal, hook);
    } catch (error) {
      new Reports(report).handshake(error);
    }
  }

  #forget(socket: Duplex): void {
    this.#sockets.delete(socket);
    this.#pending.delete(socket);
    this.#progress?.();
  }

  #watch(): void {
    // Node would drop the connection without a word.
    this.#http.on('connect', this.#onUpgrade);
    this.#http.on('checkExpectation', this.#plain!.onExpectation);
    this.#http.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', this.#onClose);
    });
  }
}
