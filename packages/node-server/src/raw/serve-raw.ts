import { createServer, type Server as NetServer, type Socket } from 'node:net';
import {
  createServer as createTlsServer,
  type SecureContextOptions,
  type TlsOptions,
  Server as TlsServer,
} from 'node:tls';
import type { RequestFacts } from '@ws/codec';
import { checked, fromCaller, isMistake } from '@ws/codec/internal';
import type { Conn } from '@ws/conn';
import { checkOptionNames } from '@ws/conn/internal';
import {
  prepareReadBuffer,
  remoteAddressOf,
  wantsReadBuffer,
  withReadableKeys,
} from '@ws/node-io/internal';
import {
  type CloseOptions,
  type ClosePlan,
  type CloseResult,
  checkCloseOptions,
} from '../close-options.ts';
import { ErrorReporter } from '../error-reporter.ts';
import { listenOn, maxSockets, urlOf } from '../http-server.ts';
import { type AuthOf, serverHints, upgraderOptionNames } from '../options.ts';
import { SocketLimits } from '../policies/limits.ts';
import type { HandlerOrRoutes } from '../routes/route.ts';
import type { RunningServer } from '../running-server.ts';
import {
  checkAddress,
  checkIsOptions,
  checkTls,
  type ListenAddress,
  serveHints,
  withCertificate,
} from '../serve-options.ts';
import type { ServerStats } from '../stats.ts';
import { guardedTls } from '../tls-callbacks.ts';
import { type RawUpgraderOptions, rawOptionNames } from './raw-options.ts';
import { holdByRefusals, RawUpgrader } from './raw-upgrader.ts';

/** Options of {@link serveRaw}, together with those of a {@link RawUpgrader}. */
export interface RawServeOptions<Result = undefined>
  extends RawUpgraderOptions<Result>,
    ListenAddress {
  /**
   * Options of `tls.createServer`: `key` and `cert`, or `pfx`, `SNICallback` or `pskCallback`. Serves
   * wss. `ALPNProtocols` is `['http/1.1']` unless you set it. Default: ws, without TLS.
   */
  readonly tls?: TlsOptions | undefined;
}

/**
 * A running server, made by {@link serveRaw}.
 *
 * @typeParam Auth - The type of `data` of its connections.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- code that ignores `data` names no type
export interface RawServer<Auth = any> extends RunningServer<Auth> {
  /** The server of node:net or node:tls. */
  readonly net: NetServer;
}

const NAMES = [
  ...upgraderOptionNames,
  ...rawOptionNames,
  'port',
  'host',
  'socketPath',
  'listen',
  'tls',
];
const HINTS: Readonly<Record<string, string>> = {
  ...serverHints(NAMES),
  ...serveHints,
  request: 'use fallback, a server of node:http',
  server: 'use fallback, a server of node:http; or RawUpgrader for your own server of node:net',
};

/**
 * Starts a WebSocket server without node:http and resolves when it listens. Its options, checks and
 * answers are those of `serve`; its functions get the request's head as RequestFacts.
 *
 * @param handlerOrRoutes - One handler for all connections, or handlers by path.
 * @throws (rejects with) TypeError or RangeError that names a bad option; the error of `listen`,
 *   EADDRINUSE for example.
 *
 * @example
 * ```ts
 * import { serveRaw } from '@ws/node-server/raw';
 *
 * const server = await serveRaw({ port: 0 }, (conn) => conn.receive((message) => conn.send(message)));
 * console.log(server.url);
 * await server.close();
 * ```
 */
export async function serveRaw<Result = undefined, Pattern extends string = string>(
  options: RawServeOptions<Result>,
  handlerOrRoutes: HandlerOrRoutes<Pattern, AuthOf<Result>, RequestFacts>,
): Promise<RawServer<AuthOf<Result>>> {
  const running = checked(() => {
    checkIsOptions('serveRaw', options);
    checkOptionNames('serveRaw', options, NAMES, 'ignore', HINTS);
    checkAddress(options);
    if (options.tls !== undefined) checkTls(options.tls);
    return new StreamServer(options, handlerOrRoutes);
  }, serveRaw);
  await running.listen();
  return running;
}

/** A RawUpgrader and its server of node:net or node:tls. */
class StreamServer<Result, Pattern extends string> implements RawServer<AuthOf<Result>> {
  readonly net: NetServer;
  readonly #options: RawServeOptions<Result>;
  readonly #upgrader: RawUpgrader<Result>;
  readonly #reporter: ErrorReporter;
  readonly #closePlan: ClosePlan;
  /** TCP connections under TLS, also those whose TLS handshake is pending. */
  readonly #underTls = new Set<Socket>();
  #url = '';
  /** The options of the certificate in use. */
  #tls: SecureContextOptions;
  #closed: Promise<CloseResult> | undefined;

  constructor(
    options: RawServeOptions<Result>,
    handlerOrRoutes: HandlerOrRoutes<Pattern, AuthOf<Result>, RequestFacts>,
  ) {
    const { port: _port, host: _host, socketPath: _path, listen: _listen, tls, ...own } = options;
    this.#options = options;
    this.#tls = tls ?? {};
    this.#upgrader = new RawUpgrader<Result>(own);
    holdByRefusals(this.#upgrader);
    this.#closePlan = checkCloseOptions(options.close);
    this.#reporter = new ErrorReporter(options.report);
    const listener = this.#upgrader.listener(handlerOrRoutes);
    this.net = tls === undefined ? createServer({ allowHalfOpen: true }) : this.#makeTls(tls);
    this.net.maxConnections = maxSockets(options);
    this.net.on('connection', this.#limited());
    this.net.on(tls === undefined ? 'connection' : 'secureConnection', listener);
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

  async listen(): Promise<void> {
    if (wantsReadBuffer(this.#options.readBuffer)) await prepareReadBuffer();
    await listenOn(this.net, this.#options);
    this.#url = urlOf(this.net, this.#options);
    // Node emits 'error' when it cannot accept a connection, for example without free file
    // descriptors.
    this.net.on('error', (error) => this.#reporter.failed(error, { where: 'server' }));
  }

  reload(tls: SecureContextOptions): void {
    checked(() => this.#reload(tls), this, 'reload');
  }

  #reload(tls: SecureContextOptions): void {
    const { net } = this;
    if (!(net instanceof TlsServer)) {
      throw new TypeError('reload: the server has no TLS; pass the option tls to serveRaw');
    }
    const renewed = withCertificate(this.#tls, tls);
    withReadableKeys('reload', () => net.setSecureContext(renewed));
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
    // `once` of node:events would reject at an 'error' of the server.
    const netClosed = new Promise((done) => this.net.once('close', done));
    this.net.close();
    const result = await this.#upgrader.close(plan);
    // The sockets of the fallback stay open, and the server emits no 'close' until they end.
    if (this.#options.fallback !== undefined) return result;
    for (const socket of this.#underTls) socket.destroy();
    await netClosed;
    return result;
  }

  #makeTls(tls: TlsOptions): TlsServer {
    const { handshakeTimeout = 10_000 } = this.#options;
    const bound = handshakeTimeout === false ? {} : { handshakeTimeout };
    const alpn = tls.ALPNCallback === undefined ? { ALPNProtocols: ['http/1.1'] } : {};
    const failed = (error: unknown, where: string): void => this.#reporter.failed(error, { where });
    const options = { allowHalfOpen: true, ...bound, ...alpn, ...tls, ...guardedTls(tls, failed) };
    const server = withReadableKeys('tls', () => createTlsServer(options));
    // The TLS handshake has failed, so no client can read an answer.
    return server.on('tlsClientError', (_error, socket) => void socket.destroy());
  }

  /** Bounds the sockets of each client. */
  #limited(): (socket: Socket) => void {
    const { clientAddress, trustProxy, maxConnectionsPerAddress, tls } = this.#options;
    // With either option, only a request shows the client. Sockets are not counted then.
    const isClientPeer = !clientAddress && !trustProxy;
    const limits = new SocketLimits(
      isClientPeer && maxConnectionsPerAddress ? maxConnectionsPerAddress : Infinity,
    );
    return (socket) => {
      // Node caches the address. The system forgets it at a reset.
      void remoteAddressOf(socket);
      if (!limits.add(socket)) socket.destroy();
      else if (tls !== undefined) this.#keepForClose(socket);
    };
  }

  #keepForClose(socket: Socket): void {
    this.#underTls.add(socket);
    socket.on('close', () => this.#underTls.delete(socket));
  }
}
