import { once } from 'node:events';
import {
  createServer,
  Server as HttpServer,
  type IncomingMessage,
  type RequestListener,
} from 'node:http';
import {
  createServer as createTlsServer,
  Server as HttpsServer,
  type ServerOptions,
} from 'node:https';
import { type AddressInfo, isIPv6, type Socket } from 'node:net';
import { resolve } from 'node:path';
import type { Duplex } from 'node:stream';
import { CloseCode, type Conn, duration } from '@ws/conn';
import {
  type AuthOf,
  checkKeys,
  expect,
  pickUpgraderOptions,
  type UpgraderOptions,
  upgraderOptionNames,
} from './options.ts';
import { type ConnHandler, Upgrader } from './upgrader.ts';

/** What {@link serve} can be told, besides all that an {@link Upgrader} can. */
export interface ServeOptions<Result = undefined> extends UpgraderOptions<Result> {
  /** Default: 0, a port that is free. */
  readonly port?: number | undefined;
  /** Default: all interfaces. */
  readonly host?: string | undefined;
  /** A Unix socket to listen on in place of a port. */
  readonly path?: string | undefined;
  /** Certificate and key, as node:https takes them: serves wss. */
  readonly tls?: ServerOptions | undefined;
  /** A server of yours, which stays yours: it is not closed. It listens already, will, or is told to by `port`. */
  readonly server?: HttpServer | HttpsServer | undefined;
  /** Answers requests that are no upgrades, as node:http's 'request' does. Default: 426. */
  readonly request?: RequestListener | undefined;
}

/** A server that {@link serve} has started. */
export interface WebSocketServer {
  /** Where it listens, for example `ws://127.0.0.1:8080`. */
  readonly url: string;
  /** The connections that are open. */
  readonly connections: ReadonlySet<Conn>;
  /**
   * Accepts nothing more, closes every connection with 1001 and waits; what is left after `timeout` ms (default 5 s) is
   * dropped. Resolves when all is gone.
   */
  close(options?: { timeout?: number | undefined }): Promise<void>;
}

const SERVE_OPTION_NAMES: readonly (keyof ServeOptions)[] = [
  'port',
  'host',
  'path',
  'tls',
  'server',
  'request',
  ...upgraderOptionNames,
];

/**
 * Starts a WebSocket server and resolves when it listens.
 *
 * @param handler - Runs each connection.
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
export async function serve<Result = undefined>(
  options: ServeOptions<Result>,
  handler: ConnHandler<AuthOf<Result>>,
): Promise<WebSocketServer> {
  checkServeOptions(options);
  expect('handler', handler, typeof handler === 'function', 'a function');
  const upgrader = new Upgrader<Result>(pickUpgraderOptions(options));
  const running = new RunningServer(options, upgrader, handler);
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
  /** Every TCP connection of a server of ours. */
  readonly #sockets = new Set<Duplex>();
  /** Sockets whose request is not answered yet, and those whose refusal is being read. */
  readonly #pending = new Set<Duplex>();
  /** The connections by their sockets. */
  readonly #conns = new Map<unknown, Conn>();
  /** One for all sockets, so that a connection keeps none of its own. */
  readonly #onClose: (this: Duplex) => void;
  readonly #onRequest: RequestListener;
  readonly #onUpgrade: (req: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** Set by `close`; called whenever something has ended. */
  #progress: (() => void) | undefined;
  #requests = 0;
  #closed: Promise<void> | undefined;

  constructor(
    options: ServeOptions<Result>,
    upgrader: Upgrader<Result>,
    handler: ConnHandler<AuthOf<Result>>,
  ) {
    this.#options = options;
    this.#http = options.server ?? makeServer(options);
    this.#onRequest = options.request ?? upgradeRequired;
    const forget = (socket: Duplex): void => this.#forget(socket);
    this.#onClose = function () {
      forget(this);
    };
    const upgrade = upgrader.handler((conn, req, context) => {
      this.#pending.delete(req.socket);
      this.#conns.set(conn.underlyingConn, conn);
      this.connections.add(conn);
      // It was on its way when the server began to close.
      if (this.#closed !== undefined) return conn.close(CloseCode.GoingAway);
      return handler(conn, req, context);
    });
    this.#onUpgrade = (req, socket, head) => {
      this.#pending.add(socket);
      // Those of a plain server of ours are listened to since they came.
      if (!this.#sockets.has(socket)) socket.on('close', this.#onClose);
      upgrade(req, socket, head);
    };
  }

  async listen(): Promise<void> {
    const { port, host, path, server } = this.#options;
    const http = this.#http;
    if (http.listenerCount('request') === 0) http.on('request', this.#onRequest);
    if (server === undefined) this.#watch();
    http.on('upgrade', this.#onUpgrade);
    if (!http.listening) {
      if (server === undefined || port !== undefined || path !== undefined) {
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
    if (own) http.close();
    else this.detach();
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
        if (this.connections.size + this.#pending.size + this.#requests > 0) return;
        clearTimeout(timer);
        done();
      };
      this.#progress();
    });
  }

  #forget(socket: Duplex): void {
    this.#sockets.delete(socket);
    this.#pending.delete(socket);
    const conn = this.#conns.get(socket);
    if (conn !== undefined) this.connections.delete(conn);
    this.#conns.delete(socket);
    this.#progress?.();
  }

  #watch(): void {
    this.#http.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', this.#onClose);
    });
    this.#http.on('request', (_req, res) => {
      this.#requests++;
      res.once('close', () => {
        this.#requests--;
        this.#progress?.();
      });
    });
  }
}

/** A server whose connections have as long for their TLS handshake and their request's head as for the answer. */
function makeServer(options: ServeOptions<unknown>): HttpServer | HttpsServer {
  const { handshakeTimeout = 10_000, tls } = options;
  const bounds =
    handshakeTimeout === false
      ? {}
      : {
          headersTimeout: Math.ceil(handshakeTimeout),
          requestTimeout: Math.max(Math.ceil(handshakeTimeout), 300_000),
          connectionsCheckingInterval: Math.min(1_000, Math.ceil(handshakeTimeout / 4)),
        };
  const tlsBound = handshakeTimeout === false ? {} : { handshakeTimeout };
  // A flag of the process would let requests in whose head has two readings.
  const strict = { ...bounds, insecureHTTPParser: false };
  const http =
    tls === undefined ? createServer(strict) : createTlsServer({ ...strict, ...tlsBound, ...tls });
  // Every line is seen; the size of the head, 16 KiB, is bound enough.
  http.maxHeadersCount = 0;
  return http;
}

const upgradeRequired: RequestListener = (_req, res) => {
  res
    .writeHead(426, {
      Upgrade: 'websocket',
      Connection: 'close, Upgrade',
      'Content-Type': 'text/plain; charset=utf-8',
      'Sec-WebSocket-Version': '13',
    })
    .end('this is a WebSocket server\n');
};

/** @throws TypeError, RangeError that names the option. The Upgrader checks those that are its own. */
function checkServeOptions(options: ServeOptions<unknown>): void {
  checkKeys('serve', options, SERVE_OPTION_NAMES);
  const { port, host, path, tls, server, request } = options;
  if (port !== undefined) {
    expect('port', port, typeof port === 'number', 'a number');
    if (!(Number.isInteger(port) && port >= 0 && port <= 65_535)) {
      throw new RangeError(`port: expected 0 to 65535, got ${port}`);
    }
  }
  if (host !== undefined) expect('host', host, typeof host === 'string', 'a string');
  if (path !== undefined) expect('path', path, typeof path === 'string', 'a string');
  if (tls !== undefined) {
    expect('tls', tls, typeof tls === 'object' && tls !== null, 'an object');
  }
  if (request !== undefined) {
    expect('request', request, typeof request === 'function', 'a function');
  }
  if (path !== undefined && (port ?? host) !== undefined) {
    throw new TypeError('path: a Unix socket has neither port nor host');
  }
  if (server !== undefined) checkServer(options);
}

function checkServer({ port, host, path, tls, server, request }: ServeOptions<unknown>): void {
  const given: unknown = server;
  const known = given instanceof HttpServer || given instanceof HttpsServer;
  expect('server', server, known, 'a server of node:http or node:https');
  if (tls !== undefined) throw new TypeError('tls: the server given has its own');
  if (request !== undefined && server?.listenerCount('request') !== 0) {
    throw new TypeError('request: the server given has a listener of its own');
  }
  if (server?.listening && (port ?? host ?? path) !== undefined) {
    throw new TypeError('server: it listens already; leave port, host and path out');
  }
}

function urlOf(http: HttpServer | HttpsServer, host: string | undefined): string {
  const scheme = http instanceof HttpsServer ? 'wss' : 'ws';
  const address = http.address() as AddressInfo | string;
  if (typeof address === 'string') return `${scheme}+unix:${socketPath(address)}`;
  return `${scheme}://${reachable(host ?? address.address)}:${address.port}`;
}

/** The path of a Unix socket as it stands in a URL, where a colon would end it. */
function socketPath(path: string): string {
  return encodeURI(resolve(path)).replace(/[:?#]/g, encodeURIComponent);
}

/** The host by which this machine reaches what listens on `host`. */
function reachable(host: string): string {
  if (host === '' || host === '::' || host === '0.0.0.0') return '127.0.0.1';
  return isIPv6(host) ? `[${host}]` : host;
}
