import { createServer, type Server as NetServer } from 'node:net';
import {
  createServer as createTlsServer,
  type TlsOptions,
  type Server as TlsServer,
} from 'node:tls';
import type { RequestFacts } from '@ws/codec';
import { checked } from '@ws/codec/internal';
import { checkOptionNames, optionHint } from '@ws/conn/internal';
import { withReadableKeys } from '@ws/node-io/internal';
import type { AnyHandlers } from '../acceptor.ts';
import type { ErrorReporter } from '../error-reporter.ts';
import { upgraderOptionNames } from '../options.ts';
import type { AdmitOrRefuse, AuthOf } from '../policies/authenticate.ts';
import type { HandlerOrRoutes } from '../route.ts';
import { checkAddress, checkIsOptions, checkTls, type ListenAddress } from '../serve-options.ts';
import { type BaseOptions, type RunningServer, ServerBase } from '../server-base.ts';
import { guardedTls } from '../tls-callbacks.ts';
import type { PendingHeads } from './head-reading.ts';
import { RawUpgrader, type RawUpgraderOptions, rawOptionNames } from './raw-upgrader.ts';

/** Options of {@link serveRaw}, together with the options of a {@link RawUpgrader}. */
export interface RawServeOptions<Result extends AdmitOrRefuse = undefined>
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
  'replaceStale',
  'listen',
  'tls',
];

/**
 * Starts a WebSocket server without node:http and resolves when it listens. Its options, checks and
 * answers are as for `serve`; its functions get the request's head as RequestFacts.
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
export async function serveRaw<
  Result extends AdmitOrRefuse = undefined,
  Pattern extends string = string,
>(
  options: RawServeOptions<Result>,
  handlerOrRoutes: HandlerOrRoutes<Pattern, AuthOf<Result>, RequestFacts>,
): Promise<RawServer<AuthOf<Result>>> {
  const running = checked(() => {
    checkIsOptions('serveRaw', options);
    checkOptionNames('serveRaw', options, NAMES, 'ignore', optionHint);
    checkAddress(options);
    if (options.tls !== undefined) checkTls(options.tls);
    return new StreamServer<AuthOf<Result>>(
      options as unknown as RawServeOptions<AdmitOrRefuse>,
      handlerOrRoutes as AnyHandlers,
    );
  }, serveRaw);
  await running.listenForClients();
  return running;
}

/** A RawUpgrader and its server of node:net or node:tls. */
class StreamServer<Auth> extends ServerBase<Auth> implements RawServer<Auth> {
  readonly net: NetServer;
  readonly #heads: PendingHeads;
  readonly #hasFallback: boolean;

  constructor(options: RawServeOptions<AdmitOrRefuse>, handlers: AnyHandlers) {
    const {
      port: _port,
      host: _host,
      socketPath: _path,
      replaceStale: _replaceStale,
      listen: _listen,
      tls,
      ...own
    } = options;
    const upgrader = new RawUpgrader(own);
    const { acceptor, heads } = RawUpgrader.partsOf(upgrader as RawUpgrader);
    const listener = upgrader.listener(handlers as HandlerOrRoutes<string, unknown, RequestFacts>);
    const { reporter } = acceptor.plan;
    const net =
      tls === undefined
        ? createServer({ allowHalfOpen: true })
        : tlsServer(tls, options.handshakeTimeout, reporter);
    super('serveRaw', net, acceptor, options as BaseOptions, tls ?? {});
    this.net = net;
    this.#heads = heads;
    this.#hasFallback = options.fallback !== undefined;
    // The server has closed when a client could try again.
    acceptor.work.refusalsHoldClose = true;
    this.limitSockets();
    net.on(tls === undefined ? 'connection' : 'secureConnection', listener);
  }

  listenForClients(): Promise<void> {
    return this.listenOnOwn();
  }

  protected override stopAccepting(): void {
    this.net.close();
  }

  protected override destroyIdleSockets(): void {
    this.#heads.destroyAll();
  }

  /** The sockets of a fallback stay open, and the server emits no 'close' until they end. */
  protected override get closesAllSockets(): boolean {
    return !this.#hasFallback;
  }
}

function tlsServer(
  tls: TlsOptions,
  handshakeTimeout: number | false | undefined,
  reporter: ErrorReporter,
): TlsServer {
  const bound = handshakeTimeout === false ? {} : { handshakeTimeout: handshakeTimeout ?? 10_000 };
  const alpn = tls.ALPNCallback === undefined ? { ALPNProtocols: ['http/1.1'] } : {};
  // Without allowHalfOpen: Node would not see a FIN within the TLS handshake. `HeadReading` sets it then.
  const options = { ...bound, ...alpn, ...tls, ...guardedTls(tls, reporter) };
  const server = withReadableKeys('tls', () => createTlsServer(options));
  // The TLS handshake has failed, so no client can read an answer.
  return server.on('tlsClientError', (_error, socket) => void socket.destroy());
}
