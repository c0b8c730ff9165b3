import type { Server as HttpServer, RequestListener } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import { checked, NO_BYTES } from '@ws/codec/internal';
import { Acceptor, type AnyHandlers } from './acceptor.ts';
import type { UpgradeListener } from './conn-handler.ts';
import { makeServer } from './http-server.ts';
import type { StreamListener } from './http2/http2-server.ts';
import { Http2Sessions, heartbeatOf } from './http2/on-demand.ts';
import { type AnyUpgraderOptions, pickUpgraderOptions } from './options.ts';
import {
  defaultListeners,
  guardListener,
  hasRequestListener,
  PlainRequests,
  upgradeRequired,
} from './plain-requests.ts';
import type { AdmitOrRefuse, AuthOf } from './policies/authenticate.ts';
import type { OnRefused } from './responder/refusals.ts';
import type { HandlerOrRoutes } from './route.ts';
import { checkServeOptions, namesAddress, type ServeOptions } from './serve-options.ts';
import { type RunningServer, ServerBase } from './server-base.ts';
import { streamListener, upgradeListener, upgradeOfNode } from './upgrade-listeners.ts';

/**
 * A running server, made by {@link serve}.
 *
 * @typeParam Auth - The type of `data` of its connections.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- code that ignores `data` names no type
export interface WsServer<Auth = any> extends RunningServer<Auth> {
  /**
   * The HTTP server: the option `server`, or created by `serve`. With the option `http2` it
   * is a server of node:http2.
   */
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
export async function serve<
  Result extends AdmitOrRefuse = undefined,
  Pattern extends string = string,
>(
  options: ServeOptions<Result>,
  handlerOrRoutes: HandlerOrRoutes<Pattern, AuthOf<Result>>,
): Promise<WsServer<AuthOf<Result>>> {
  const running = checked(() => {
    const own = options as unknown as ServeOptions<AdmitOrRefuse>;
    checkServeOptions(own, typeof handlerOrRoutes !== 'function');
    return new HttpWsServer<AuthOf<Result>>(own, handlerOrRoutes as AnyHandlers);
  }, serve);
  try {
    await running.listenForClients();
  } catch (error) {
    running.detach();
    throw error;
  }
  return running;
}

/** HTTP servers on which a `serve` answers every upgrade. A second `serve` would get none. */
const answering = new WeakSet<HttpServer | HttpsServer>();

/** An Upgrader and its HTTP server. */
class HttpWsServer<Auth> extends ServerBase<Auth> implements WsServer<Auth> {
  readonly http: HttpServer | HttpsServer;
  readonly #options: ServeOptions<AdmitOrRefuse>;
  /** Whether {@link answering} contains `http`. */
  #answersAll = false;
  readonly #onRequest: RequestListener;
  readonly #onUpgrade: UpgradeListener;
  /** Only for our own server. */
  readonly #plain: PlainRequests | undefined;
  /** Undefined without the option `http2`. */
  #sessions: Http2Sessions | undefined;
  /** Gets the streams with the method CONNECT. */
  readonly #onStream: StreamListener;

  constructor(options: ServeOptions<AdmitOrRefuse>, handlers: AnyHandlers) {
    const { server } = options;
    // First, because it checks options that the HTTP server is made with.
    const acceptor = new Acceptor(pickUpgraderOptions(options) as AnyUpgraderOptions);
    const onUpgrade = upgradeListener(acceptor, handlers, server !== undefined);
    const { reporter } = acceptor.plan;
    const refused: OnRefused = (error, socket, req) => {
      const request = req && upgradeOfNode(acceptor.plan, req, socket, NO_BYTES);
      acceptor.recordRefusal(error, socket, request);
    };
    const http = server ?? makeServer(options, reporter, refused);
    super('serve', http, acceptor, options, options.tls ?? contextOf(server));
    this.http = http;
    this.#onUpgrade = onUpgrade;
    this.#onStream = streamListener(acceptor, handlers);
    this.#options = options;
    const request = options.request && guardListener(options.request, reporter, acceptor.work);
    const answer426 = upgradeRequired(refused);
    if (server === undefined) {
      this.#plain = new PlainRequests(request ?? answer426, acceptor.work, refused);
      this.#onRequest = this.#plain.onRequest;
    } else {
      acceptor.work.refusalsHoldClose = false;
      this.#onRequest = request ?? this.#unlessOtherListeners(answer426);
    }
  }

  /** For a server of the user: answers only while no other code has a listener for 'request'. */
  #unlessOtherListeners(answer426: RequestListener): RequestListener {
    const listener: RequestListener = (req, res) => {
      // socket.io replaces all listeners by its own, which calls this one for other paths.
      const { http } = this;
      const isLast = http.listenerCount('request') === 1 || !hasRequestListener(http);
      if (isLast && !res.headersSent) answer426(req, res);
    };
    defaultListeners.add(listener);
    return listener;
  }

  async listenForClients(): Promise<void> {
    const { http } = this;
    const own = this.#options.server === undefined;
    this.#claimUpgrades();
    if (!hasRequestListener(http)) http.on('request', this.#onRequest);
    if (own) this.#listenToOwnServer();
    http.on('upgrade', this.#onUpgrade).on('listening', this.#onListening);
    if (own) await this.listenOnOwn();
    else if (http.listening) this.noteUrl();
    else if (namesAddress(this.#options)) await this.listenOnAddress();
  }

  readonly #onListening = (): void => this.noteUrl();

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

  #listenToOwnServer(): void {
    // Without a listener for 'connect', http.Server destroys the socket of a CONNECT request
    // without an answer.
    this.http.on('connect', this.#onUpgrade);
    this.http.on('checkExpectation', this.#plain!.onExpectation);
    if (this.#options.http2) {
      const { settings, handshakeTimeout } = this.acceptor.plan;
      this.#sessions = new Http2Sessions(
        this.http,
        heartbeatOf(settings),
        handshakeTimeout,
        this.#onStream,
      );
    }
    this.limitSockets();
  }

  /** Removes our listeners from the HTTP server. */
  detach(): void {
    this.http.off('listening', this.#onListening);
    if (this.#answersAll) answering.delete(this.http);
    this.http.off('upgrade', this.#onUpgrade).off('request', this.#onRequest);
  }

  protected override stopAccepting(): void {
    if (this.#plain === undefined) return this.detach();
    this.http.close();
    this.#sessions?.refuseStreams();
    this.#plain.drain();
  }

  protected override destroyIdleSockets(): void | Promise<void> {
    if (this.#sessions !== undefined) return this.#sessions.destroy();
    // Also kept-alive sockets with finished requests.
    if (this.closesAllSockets) this.http.closeAllConnections();
  }

  protected override get keepsSockets(): boolean {
    return super.keepsSockets || this.#sessions !== undefined;
  }

  protected override get closesAllSockets(): boolean {
    return this.#plain !== undefined;
  }
}

/**
 * The TLS options of a server of the user. Node keeps them in fields of the server, and
 * `setSecureContext` drops every option that it is not given.
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
