import type { IncomingMessage } from 'node:http';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { checked } from '@ws/codec/internal';
import type { Conn } from '@ws/conn';
import { checkOptionNames } from '@ws/conn/internal';
import { assertOption } from '@ws/node-io/internal';
import { Acceptor, type AnyHandlers, type ServerStats } from './acceptor.ts';
import type { CloseOptions, CloseResult } from './close-options.ts';
import type { UpgradeListener } from './conn-handler.ts';
import type { HeaderPair } from './errors.ts';
import { type HeadersInput, headerPairs } from './headers.ts';
import type { StreamListener } from './http2/http2-server.ts';
import { webSocketStreams } from './http2/on-demand.ts';
import type { AnyUpgraderOptions, UpgraderOptions } from './options.ts';
import type { ServerPhase } from './phase.ts';
import type { AdmitOrRefuse, AuthOf } from './policies/authenticate.ts';
import type { HandlerOrRoutes } from './route.ts';
import {
  streamListener,
  upgradeListener,
  upgradeOfNode,
  upgradeOfStream,
} from './upgrade-listeners.ts';

/** Options of {@link Upgrader.upgrade}. */
export interface UpgradeOptions {
  /**
   * Headers of the accepting answer, in addition to the option `headers` of the Upgrader; of a name
   * that both have, these win.
   */
  readonly headers?: HeadersInput | undefined;
}

/**
 * Upgrades requests of any node:http or node:https server to WebSocket connections.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { Upgrader } from '@ws/node-server';
 *
 * const upgrader = new Upgrader({ subprotocols: ['chat'] });
 * const server = createServer((_req, res) => res.end('a page'));
 * server.on('upgrade', upgrader.handler((conn) => conn.receive((message) => conn.send(message))));
 * ```
 */
export class Upgrader<Result extends AdmitOrRefuse = undefined> implements AsyncDisposable {
  readonly #acceptor: Acceptor;

  /** @throws TypeError or RangeError that names the bad or unknown option. */
  constructor(options: UpgraderOptions<Result> = {}) {
    this.#acceptor = checked(
      () => new Acceptor(options as unknown as AnyUpgraderOptions),
      Upgrader,
    );
    this.#acceptor.work.refusalsHoldClose = false;
    this.#acceptor.phase.server = this;
  }

  /** The connections that are not closed yet. The set is live. */
  get connections(): ReadonlySet<Conn<AuthOf<Result>>> {
    return this.#acceptor.work.connections;
  }

  /** Counters, as they are now. */
  get stats(): ServerStats {
    return this.#acceptor.stats;
  }

  /** As that of a server of `serve`, for a readiness probe. */
  get phase(): ServerPhase {
    return this.#acceptor.phase.now;
  }

  /**
   * Answers an upgrade request with a 101 and a connection, or with a refusal. The upgrader owns
   * the socket in both cases. Call it synchronously in the listener for 'upgrade'.
   *
   * @param head - The bytes after the request head, which may contain the first frames. Pass the
   *   listener's argument.
   * @returns The open connection. Its `data` is what `authenticate` has admitted.
   * @throws (rejects with) {@link HandshakeError} after the refusal was written; TransportError
   *   when the client has disconnected or has half-closed; TypeError, with nothing written and the
   *   socket destroyed, for a missing `socket` or `head`, for an unknown option and for headers that
   *   cannot be sent; Error, with nothing written, when the socket is already upgraded or the request
   *   answered.
   * @see RFC 6455, section 4.2
   */
  async upgrade(
    req: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    options: UpgradeOptions = {},
  ): Promise<Conn<AuthOf<Result>>> {
    if (!(#acceptor in (Object(this) as object))) {
      throw new TypeError(
        'upgrade: lost its Upgrader; add upgrader.handler(handler) as the listener',
      );
    }
    const upgrade = upgradeOfNode(this.#acceptor.plan, req, socket, head);
    return this.#acceptor.accept(upgrade, () => upgradeHeaders('upgrade', options));
  }

  /**
   * Makes a listener for 'upgrade' that runs a handler for each connection. The listener answers
   * refusals itself. The option `report` gets the errors of handlers. A request whose Upgrade does not
   * name `websocket`, such as `h2c`, goes to the server's listeners for 'request'.
   *
   * The handler starts within the 'upgrade' event, unless `checkOrigin`, `authenticate` or a function
   * `headers` returns a promise, or an earlier response on the socket is pending.
   *
   * @param handlerOrRoutes - One handler for all connections, or handlers by path. With routes,
   *   other paths are refused with 404; see the option `unmatched`.
   * @throws TypeError that names the route, for a malformed pattern, for two patterns that match
   *   the same paths and for a handler that is not a function.
   *
   * @example
   * ```ts
   * import { createServer } from 'node:http';
   * import { Upgrader } from '@ws/node-server';
   *
   * const upgrader = new Upgrader();
   * const server = createServer();
   * const listener = upgrader.handler({
   *   '/chat': (conn) => conn.receive((message) => conn.send(message)),
   *   '/feed/:id': (conn, _req, { params }) => conn.send(`the feed ${params.id}`),
   * });
   * server.on('upgrade', listener);
   * ```
   */
  handler<Pattern extends string = string>(
    handlerOrRoutes: HandlerOrRoutes<Pattern, AuthOf<Result>>,
  ): UpgradeListener {
    const handlers = handlerOrRoutes as AnyHandlers;
    return checked(() => upgradeListener(this.#acceptor, handlers, false), this, 'handler');
  }

  /**
   * Makes a listener for 'stream' of a server of node:http2 that runs a handler for each WebSocket
   * over HTTP/2 (RFC 8441). It answers refusals itself, and leaves all other streams to you. The server
   * needs the setting `enableConnectProtocol`. Add the listener before the first one for 'request': with
   * that one, Node adds a listener that answers CONNECT with 405.
   *
   * @param handlerOrRoutes - As for {@link handler}. With `unmatched: 'leave'`, streams of other
   *   paths are left to you too.
   * @throws TypeError as {@link handler}.
   *
   * @example
   * ```ts
   * import { createServer } from 'node:http2';
   * import { Upgrader } from '@ws/node-server';
   *
   * const upgrader = new Upgrader();
   * const server = createServer({ settings: { enableConnectProtocol: true } });
   * server.on('stream', upgrader.streams((conn) => conn.receive((message) => conn.send(message))));
   * ```
   */
  streams<Pattern extends string = string>(
    handlerOrRoutes: HandlerOrRoutes<Pattern, AuthOf<Result>>,
  ): StreamListener {
    return checked(() => this.#streams(handlerOrRoutes as AnyHandlers), this, 'streams');
  }

  #streams(handlers: AnyHandlers): StreamListener {
    const leaves = this.#acceptor.plan.unmatched === 'leave';
    const router = leaves ? this.#acceptor.routerOf(handlers) : undefined;
    return webSocketStreams(
      streamListener(this.#acceptor, handlers),
      (headers) => router?.has(headers[':path'] ?? '') === false,
    );
  }

  /**
   * Answers a request for a WebSocket over HTTP/2 (RFC 8441) with a 200 and a connection, or with a
   * refusal. The upgrader owns the stream in both cases.
   *
   * @param stream - A stream of a server of node:http2 that is not answered.
   * @param headers - The headers of its request, from the event 'stream' or another parser.
   * @throws (rejects with) as {@link upgrade}; TypeError when `stream` is no stream of a server, or
   *   `headers` no object.
   */
  async upgradeStream(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    options: UpgradeOptions = {},
  ): Promise<Conn<AuthOf<Result>>> {
    const given: Partial<ServerHttp2Stream> | null | undefined = stream;
    const isStream = typeof given?.respond === 'function';
    assertOption('stream', stream, isStream, 'a stream of a server of node:http2');
    const isHeaders = typeof headers === 'object' && headers !== null;
    assertOption('headers', headers, isHeaders, "an object, as the event 'stream' gives it");
    const upgrade = upgradeOfStream(this.#acceptor.plan, stream, headers);
    return this.#acceptor.accept(upgrade, () => upgradeHeaders('upgradeStream', options));
  }

  /**
   * After the time `drain`, refuses new requests with 503 and sends every connection a close frame. Resolves when all
   * connections are closed and the promises of all handlers have settled, at the latest `timeout`
   * ms after the last close frame; the remaining connections are terminated then. A second call
   * returns the same promise. Do not await it in a handler: each would wait for the other until
   * `timeout`.
   *
   * @param options - Default: the option `close`.
   * @throws (rejects with) TypeError or RangeError that names the bad option.
   */
  close(options: CloseOptions = {}): Promise<CloseResult> {
    return this.#acceptor.close(options, this);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** @throws TypeError for options other than `headers`, and for headers that cannot be sent. */
function upgradeHeaders(owner: string, options: UpgradeOptions): HeaderPair[] {
  checkOptionNames(owner, options, ['headers'], 'ignore');
  const isHeaders = Symbol.iterator in options;
  assertOption(owner, options, !isHeaders, 'an object { headers } as the last argument');
  return headerPairs(options.headers);
}
