import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { formatExtensions } from '@ws/codec';
import { Conn, type Host } from '@ws/conn';
import { nodeHost, socketTransport } from '@ws/node-io';
import { readAuth } from './authenticate.ts';
import { checkKey, checkOneOrigin, checkRequest } from './check-request.ts';
import type { ConnHandler, Routes, UpgradeListener } from './conn-handler.ts';
import { HandshakeError, type HeaderPair, serverFault } from './errors.ts';
import { answered, Handshake, isThenable } from './handshake.ts';
import { type HeadersInput, headerOf, headerPairs, RequestHeaders } from './headers.ts';
import { isAnswered, isRead } from './http-socket.ts';
import { isHttp2, refuseHttp2 } from './http2.ts';
import { Limits, type Slot } from './limits.ts';
import { negotiateCompression, selectSubprotocol } from './negotiate.ts';
import {
  type AuthOf,
  checkUpgraderOptions,
  type UpgraderOptions,
  type UpgraderPlan,
} from './options.ts';
import { endFailed } from './refuse.ts';
import { Reports } from './reports.ts';
import { switchingProtocols } from './respond.ts';
import { anyPath, type Found, type Router, RouteTable } from './routes.ts';

interface Accepted<Auth> {
  readonly conn: Conn;
  readonly auth: Auth;
  /** Where the path leads to, when that was asked. */
  readonly found: Found<ConnHandler<Auth>> | undefined;
}

/**
 * Makes WebSocket connections of the requests of any node:http or node:https server.
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
export class Upgrader<Result = undefined> {
  readonly #plan: UpgraderPlan<Result>;
  readonly #limits: Limits;
  readonly #reports: Reports;
  readonly #host: Host;

  /** @throws TypeError, RangeError that names the option, also one that does not exist. */
  constructor(options?: UpgraderOptions<Result>);
  /** @internal On a platform that tells a server of its connections. */
  constructor(options: UpgraderOptions<Result>, host: Host);
  constructor(options: UpgraderOptions<Result> = {}, host: Host = nodeHost) {
    this.#host = host;
    this.#plan = checkUpgraderOptions(options);
    this.#limits = new Limits(this.#plan.limits);
    this.#reports = new Reports(this.#plan.report);
  }

  /**
   * Answers an upgrade request, by a 101 and a connection or by a refusal, and takes the socket over in both cases. Call
   * it at once in the listener for 'upgrade'; the first frames may be in `head`.
   *
   * @param headers - For the 101, `Set-Cookie` for example.
   * @throws (rejects with) {@link HandshakeError} after the refusal was written; TransportError when the client is gone,
   *   or has ended its half; TypeError, with nothing written and the socket destroyed, for a missing head, or headers
   *   that cannot be sent; Error, with nothing written, when it was called before for this socket or something else has
   *   answered the request.
   */
  async upgrade(
    req: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    headers?: HeadersInput,
  ): Promise<Conn> {
    return (await this.#accept(req, socket, head, headers)).conn;
  }

  /** Makes a listener for 'upgrade'. Refusals are answered, nothing rejects; `report` is told what `handler` throws. */
  handler(handler: ConnHandler<AuthOf<Result>>): UpgradeListener {
    if (typeof handler !== 'function') throw new TypeError('handler: expected a function');
    return this.#listener(anyPath(handler));
  }

  /**
   * Makes a listener for 'upgrade' that hands each path to its own handler, and otherwise does as that of `handler`.
   *
   * @param handler - Takes the paths that no route names. Without it they are refused with 404.
   * @throws TypeError that names the route: for a pattern that is malformed or matches the same paths as another, and for
   *   what is no function.
   *
   * @example
   * ```ts
   * import { createServer } from 'node:http';
   * import { Upgrader } from '@ws/node-server';
   *
   * const upgrader = new Upgrader();
   * const server = createServer();
   * const listener = upgrader.routes({
   *   '/chat': (conn) => conn.receive((message) => conn.send(message)),
   *   '/feed/:id': (conn, _req, { params }) => conn.send(`the feed ${params.id}`),
   * });
   * server.on('upgrade', listener);
   * ```
   */
  routes<Pattern extends string>(
    routes: Routes<Pattern, AuthOf<Result>>,
    handler?: ConnHandler<AuthOf<Result>>,
  ): UpgradeListener {
    // That each handler gets the parameters of its own pattern is the table's doing, not to be seen in its type.
    const table = routes as unknown as { readonly [pattern: string]: ConnHandler<AuthOf<Result>> };
    return this.#listener(new RouteTable(table, handler));
  }

  #listener(router: Router<ConnHandler<AuthOf<Result>>>): UpgradeListener {
    return (req, socket, head) => {
      this.#accept(req, socket, head, undefined, router).then(
        ({ conn, auth, found }) => this.#run(found!, conn, req, auth),
        (error: unknown) => this.#reports.handshake(error),
      );
    };
  }

  /** No `async` function: its frame would hold the request for as long as the connection lasts. */
  #run(
    { handler, params }: Found<ConnHandler<AuthOf<Result>>>,
    conn: Conn,
    req: IncomingMessage,
    auth: AuthOf<Result>,
  ): void {
    const failed = this.#failureOf(conn);
    try {
      const result = handler(conn, req, { auth, params });
      if (isThenable(result)) result.then(undefined, failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Apart, so that what it makes closes over the connection alone. */
  #failureOf(conn: Conn): (error: unknown) => void {
    return (error) => this.#reports.handler(conn, error);
  }

  async #accept(
    req: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
    input: HeadersInput | undefined,
    router?: Router<ConnHandler<AuthOf<Result>>>,
  ): Promise<Accepted<AuthOf<Result>>> {
    if (isHttp2(req)) throw refuseHttp2(req);
    const handshake = new Handshake(socket, head, this.#plan.handshakeTimeout);
    let slot: Slot | undefined;
    try {
      const extra = headerPairs(input);
      slot = this.#limits.take(req);
      handshake.onGone = () => slot?.leave();
      const accepted = await this.#negotiate(handshake, req, socket, extra, router);
      this.#keep(slot, accepted.conn);
      return accepted;
    } catch (error) {
      try {
        await endFailed(handshake, req, socket, error, this.#plan.error);
      } finally {
        slot?.free();
      }
      throw error;
    } finally {
      slot?.settled();
    }
  }

  /** A connection keeps its place where connections are counted. */
  #keep(slot: Slot, conn: Conn): void {
    if (this.#limits.countConnections) void conn.closed.then(() => slot.free());
    else slot.free();
  }

  /** The story, in the order in which faults are answered. */
  async #negotiate(
    handshake: Handshake,
    req: IncomingMessage,
    socket: Duplex,
    extra: readonly HeaderPair[],
    router: Router<ConnHandler<AuthOf<Result>>> | undefined,
  ): Promise<Accepted<AuthOf<Result>>> {
    await handshake.turn(req);
    if (isAnswered(req, socket)) throw answered();
    const headers = new RequestHeaders(req);
    checkRequest(headers, req);
    if (isRead(socket)) throw outsideUpgrade();
    const found = router?.find(req.url!);
    checkExtra(extra);
    this.#checkHost(headers);
    checkOneOrigin(headers);
    await this.#checkOrigin(handshake, headers, req);
    const key = checkKey(headers);
    const auth = await this.#authenticate(handshake, req);
    const subprotocol = selectSubprotocol(headers, req, this.#plan.subprotocols, extra);
    const { compression, highWaterMark } = this.#plan;
    const agreed = negotiateCompression(headers, compression);
    const extensions = agreed === undefined ? '' : formatExtensions([agreed.answer]);
    handshake.end(req);
    socket.write(switchingProtocols(key, subprotocol, extensions, extra), 'latin1');
    const head = handshake.takeEarly();
    const conn = new Conn(socketTransport(socket, { head, highWaterMark }), {
      ...this.#plan.conn,
      role: 'server',
      host: this.#host,
      subprotocol,
      extensions,
      deflate: agreed?.parameters,
    });
    handshake.handOver();
    return { conn, auth, found };
  }

  #checkHost(headers: RequestHeaders): void {
    if (this.#plan.hosts.allows(headers)) return;
    throw new HandshakeError(421, 'request host not allowed by allowedHosts');
  }

  async #checkOrigin(
    handshake: Handshake,
    headers: RequestHeaders,
    req: IncomingMessage,
  ): Promise<void> {
    const allowed = await ask(handshake, 'checkOrigin', () =>
      this.#plan.origins.allows(headers, req),
    );
    if (allowed) return;
    throw new HandshakeError(403, 'request origin not allowed by Upgrader.CheckOrigin');
  }

  async #authenticate(handshake: Handshake, req: IncomingMessage): Promise<AuthOf<Result>> {
    const { authenticate } = this.#plan;
    if (authenticate === undefined) return undefined as AuthOf<Result>;
    const result: unknown = await ask(handshake, 'authenticate', () =>
      authenticate(req, { signal: handshake.signal }),
    );
    return readAuth<Result>(result);
  }
}

/** Asks a function of the application, in the time that the handshake has. */
async function ask<T>(
  handshake: Handshake,
  name: string,
  question: () => T | PromiseLike<T>,
): Promise<T> {
  handshake.checkClient();
  try {
    return await handshake.wait(question());
  } catch (error) {
    // The client is gone, or the time is up: that is why it failed.
    if (handshake.failure !== undefined) throw handshake.failure;
    throw serverFault(name, error);
  }
}

/** The frames that came with such a request are lost: Node has read them as requests. */
function outsideUpgrade(): HandshakeError {
  const message = "upgrade was called outside a listener for 'upgrade'";
  const cause = new Error(`websocket: ${message}`);
  return new HandshakeError(500, message, { body: 'Internal Server Error\n', cause });
}

/** gorilla/websocket's rule: what is negotiated is not for the application to say. */
function checkExtra(extra: readonly HeaderPair[]): void {
  if (headerOf(extra, 'sec-websocket-extensions') === undefined) return;
  throw new HandshakeError(
    500,
    "application specific 'Sec-WebSocket-Extensions' headers are unsupported",
  );
}
