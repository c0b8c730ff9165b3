import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, isValidCloseCode } from '@ws/codec';
import { checked } from '@ws/codec/internal';
import { TransportError } from '@ws/conn';
import { checkOptionNames, duration, optionHint } from '@ws/conn/internal';
import { isAccepted } from '@ws/node-client/internal';
import { cutStream, isInstance } from '@ws/node-io/internal';
import {
  type AdmitOrRefuse,
  HandshakeError,
  type StreamListener,
  type UpgradeListener,
} from '@ws/node-server';
import {
  giveBackPlainRequest,
  Limits,
  PendingWork,
  Refusals,
  takeSocket,
  tryLater,
  type UpgradeRequest,
  upgradeOfNode,
  upgradeOfStream,
  webSocketStreams,
} from '@ws/node-server/internal';
import { ProxyError } from './errors.ts';
import type { TargetAnswer } from './handshake/answer.ts';
import { askTarget } from './handshake/ask-target.ts';
import type { HeaderLine } from './handshake/end-to-end.ts';
import {
  acceptedDeflate,
  answerLines,
  offerFor,
  openLink,
  openMessageLink,
} from './handshake/open-link.ts';
import { relayRefusal } from './handshake/relay-refusal.ts';
import { type CheckedOptions, checkProxyOptions, type ProxyOptions } from './options.ts';
import { type Proxied, ProxiedConnection } from './proxied.ts';
import type { Backend, Target, TargetState } from './targets/target.ts';
import { type TargetFunction, TargetPool } from './targets/target-pool.ts';
import type { EndedBy } from './tunnel/link.ts';

/** Milliseconds between two sweeps over the connections, at most and at least. */
const SLOWEST_SWEEP = 1_000;
const FASTEST_SWEEP = 10;
/** The close code for the oldest connection of a key, as of a server. */
const REPLACED = 4409;
/** The longest delay of a timer, in ms. */
const MAX_DELAY = 2_147_483_647;

/** Options of {@link Proxy.close}. */
export interface ProxyCloseOptions {
  /** Milliseconds until the remaining connections are terminated. Default: 30 s. */
  readonly timeout?: number | false | undefined;
  /** The close code that both sides get. Default: 1001. */
  readonly code?: number | undefined;
}

/**
 * A reverse proxy for WebSocket connections. It answers requests to upgrade; plain requests are not
 * its business.
 *
 * {@link createProxy} makes it, and has an example.
 */
export class Proxy {
  readonly #plan: CheckedOptions;
  readonly #pool: TargetPool;
  /** Its name in Via. */
  readonly #via = `ws-${randomBytes(8).toString('hex')}`;
  readonly #limits: Limits;
  readonly #refusals = new Refusals();
  readonly #reporter: CheckedOptions['upgrader']['reporter'];
  readonly #proxied = new Set<ProxiedConnection>();
  /** The sockets of requests that wait for an answer or their turn, or have a refusal. */
  readonly #work = new PendingWork();
  /** Milliseconds between two sweeps. */
  readonly #interval: number;
  #timer: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Listens for 'upgrade' of a node:http or node:https server. A request whose Upgrade does not name
   * `websocket`, such as `h2c`, goes to the server's listeners for 'request'.
   */
  readonly handler: UpgradeListener = (req, socket, head) => {
    const { handshakeTimeout } = this.#plan.upgrader;
    if (giveBackPlainRequest(req, socket, head, this.#work, handshakeTimeout)) return;
    void this.upgrade(req, socket, head);
  };

  /**
   * Listens for 'stream' of a server of node:http2, for WebSockets over HTTP/2 (RFC 8441). It leaves
   * streams without a `:protocol` alone. The server needs the setting `enableConnectProtocol`. Add the
   * listener before one for 'request'.
   */
  readonly stream: StreamListener = webSocketStreams((stream, headers, _flags, rawHeaders) => {
    const request = upgradeOfStream(this.#plan.upgrader, stream, headers, rawHeaders);
    if (!stream.closed) void this.#take(request);
  });

  /** @throws TypeError, RangeError or SyntaxError that names the fault. */
  constructor(
    target: string | URL | readonly Target[] | TargetFunction,
    options: ProxyOptions = {},
  ) {
    this.#plan = checkProxyOptions(options);
    this.#work.refusalsHoldClose = false;
    this.#pool = new TargetPool(target, this.#plan);
    const { upgrader: plan, idleTimeout, client } = this.#plan;
    this.#limits = new Limits(plan.limits, (proxied) => {
      (proxied as ProxiedConnection).link!.expire(REPLACED);
    });
    this.#reporter = plan.reporter;
    const { interval, timeout } = client.heartbeat || { interval: Infinity, timeout: Infinity };
    const shortest = Math.min(idleTimeout, interval, timeout) / 4;
    this.#interval = Math.max(FASTEST_SWEEP, Math.min(SLOWEST_SWEEP, shortest));
  }

  /** The requests and connections that have not ended. The set is live. */
  get proxied(): ReadonlySet<Proxied> {
    return this.#proxied;
  }

  /**
   * The targets, as they are now. Assign a list to replace them: new requests go to the new ones, and
   * open connections stay. The list may contain objects of this one, which keep their options. Of a
   * function: the targets that have connections.
   *
   * @throws TypeError, RangeError or SyntaxError for a list that is empty or has a malformed target.
   *   Nothing has changed then.
   */
  get targets(): readonly TargetState[] {
    return this.#pool.backends;
  }

  set targets(targets: readonly Target[]) {
    this.#pool.replace(targets);
  }

  /**
   * Connects a request to a target, or refuses it. The proxy owns the socket in both cases. Call it
   * synchronously in the listener for 'upgrade'.
   *
   * @param head - The bytes after the request head: the listener's argument.
   * @returns Never rejects. Resolves when the connection is open, or with a `closed` that says why
   *   there is none.
   */
  async upgrade(req: IncomingMessage, socket: Duplex, head: Uint8Array): Promise<Proxied> {
    return this.#take(upgradeOfNode(this.#plan.upgrader, req, socket, head));
  }

  async #take(upgrade: UpgradeRequest): Promise<Proxied> {
    const { stream } = upgrade.responder;
    const proxied = new ProxiedConnection(stream, performance.now(), this.#over);
    try {
      takeSocket(stream, upgrade.head);
    } catch (error) {
      this.#reporter.failed(error, { where: 'upgrade', request: upgrade.req });
      proxied.settle(unopened(0, error, 'proxy'));
      return proxied;
    }
    this.#proxied.add(proxied);
    // A refused client may keep its socket: the end of `close` cuts it.
    this.#work.addSocket(stream);
    proxied.pending = upgrade;
    try {
      await this.#open(proxied, upgrade);
      if (proxied.link !== undefined) this.#work.removeSocket(stream);
    } catch (error) {
      proxied.pending = undefined;
      await this.#refuse(proxied, upgrade, error);
    }
    return proxied;
  }

  /**
   * Refuses new requests, and those that wait for a target, with 503. Closes every connection: with a close frame to both sides in
   * the modes `frames` and `messages`, with a FIN in `bytes`. Resolves when all have ended. A second
   * call returns the same promise.
   *
   * @throws (rejects with) TypeError or RangeError that names the bad option.
   */
  close(options: ProxyCloseOptions = {}): Promise<void> {
    try {
      const { timeout, code } = checked(() => checkCloseOptions(options), this, 'close');
      this.#closing ??= this.#close(timeout, code);
      return this.#closing;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #close(timeout: number, code: number): Promise<void> {
    const all = [...this.#proxied];
    for (const { link, pending } of all) {
      link?.close(code);
      pending?.acquireWaits().abort(isClosing());
    }
    const terminate = (): void => {
      for (const each of this.#proxied) each.terminate();
    };
    const timer = timeout === Infinity ? undefined : setTimeout(terminate, timeout);
    const ms = Math.min(timeout, MAX_DELAY);
    const plan = { timeout: ms, code, reason: '', drain: 0, over: 0, discard: false };
    await Promise.all([...all.map(({ closed }) => closed), this.#work.close(plan)]);
    clearTimeout(timer);
  }

  async #open(proxied: ProxiedConnection, request: UpgradeRequest): Promise<void> {
    const plan = this.#plan;
    const { req, facts, responder } = request;
    const address = plan.upgrader.needsAddress ? request.findAddress() : undefined;
    this.#checkOpen();
    request.reservation = this.#limits.reserve(address);
    await request.negotiate([]);
    const handshake = request.acquireWaits();
    const answer = await askTarget({
      plan,
      pool: this.#pool,
      handshake,
      context: { auth: request.context?.auth, signal: handshake.signal },
      req,
      host: facts.list('host'),
      via: this.#via,
      offer: offerFor(plan, facts),
      onTarget: (backend) => this.#enter(proxied, backend),
    });
    proxied.pending = undefined;
    try {
      this.#checkOpen();
      const headers = answerLines(plan, answer, req);
      const isRefusal = !isAccepted(answer.head.version, answer.head.status);
      const isMessages = plan.mode === 'messages';
      const deflate = isMessages && !isRefusal ? acceptedDeflate(plan, answer) : undefined;
      const early = request.prepareAnswer();
      if (isRefusal) return await this.#relay(proxied, request, answer, headers);
      const subprotocol = answer.head.list('sec-websocket-protocol');
      const extensions = isMessages
        ? request.extensions
        : answer.head.list('sec-websocket-extensions');
      responder.writeAccepted(facts, subprotocol, extensions, headers);
      handshake.forgetSocket();
      proxied.link = isMessages
        ? openMessageLink(
            plan,
            proxied,
            responder.stream,
            early,
            answer,
            request.deflate,
            deflate,
            this.#transformFailed,
          )
        : openLink(plan, proxied, responder.stream, early, answer);
      request.reservation.opened(proxied);
    } catch (error) {
      cutStream(answer.stream);
      throw error;
    }
    const expires = request.admission?.expires;
    const { heartbeat } = plan.client;
    if (expires !== undefined) {
      proxied.setExpiry(
        proxied.link,
        expires,
        heartbeat === false ? undefined : heartbeat.interval,
      );
    }
    this.#timer ??= setInterval(this.#sweep, this.#interval).unref();
  }

  /** @throws HandshakeError 503 while the proxy is closing. */
  #checkOpen(): void {
    if (this.#closing !== undefined) throw isClosing();
  }

  readonly #transformFailed = (error: unknown): void => {
    this.#reporter.failed(error, { where: 'transform' });
  };

  #enter(proxied: ProxiedConnection, backend: Backend): void {
    if (proxied.backend !== undefined) this.#pool.leave(proxied.backend);
    proxied.backend = backend;
    this.#pool.enter(backend);
  }

  readonly #over = (proxied: ProxiedConnection): void => {
    this.#proxied.delete(proxied);
    if (proxied.backend !== undefined) this.#pool.leave(proxied.backend);
    if (proxied.link !== undefined) this.#limits.closed(proxied);
  };

  /** Drives the idle timeouts and heartbeats of all connections: none has a timer of its own. */
  readonly #sweep = (): void => {
    if (this.#proxied.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    const now = performance.now();
    for (const { link } of this.#proxied) link?.tick(now);
  };

  /** Passes a target's refusal on. */
  async #relay(
    proxied: ProxiedConnection,
    request: UpgradeRequest,
    answer: TargetAnswer,
    lines: readonly HeaderLine[],
  ): Promise<void> {
    const { status } = answer.head;
    const message = `${proxied.backend!.url} refused the handshake with ${status}`;
    // A 2xx for a page would accept on a stream.
    if (isAccepted(request.facts.version, status)) {
      throw new ProxyError('WS_ERR_PROXY_REFUSED', 502, message);
    }
    await relayRefusal(request.responder, answer, lines, this.#plan.upgrader.handshakeTimeout);
    const error = new ProxyError('WS_ERR_PROXY_REFUSED', status, message);
    this.#reporter.failed(error, { where: 'upgrade', request: request.req, status });
    request.reservation!.giveBack();
    proxied.settle(unopened(status, error, 'target'));
  }

  /** Answers a request that has failed. Never rejects. */
  async #refuse(
    proxied: ProxiedConnection,
    request: UpgradeRequest,
    error: unknown,
  ): Promise<void> {
    const { req } = request;
    const handshake = request.acquireWaits();
    const refusal = isInstance(error, ProxyError) ? refusalFor(error) : request.refusalOf(error);
    if (refusal !== undefined) this.#refusals.record(refusal, request, request.address);
    this.#reporter.handshakeFailed(error, req, undefined);
    await request.answerFailure(refusal);
    // A call of the application may outlive its client.
    handshake.whenCallsSettled(
      () => request.reservation?.giveBack(),
      (names) => this.#reporter.overdue(names, handshake.timeout, req),
    );
    const endedBy = isInstance(error, TransportError) ? 'client' : 'proxy';
    proxied.settle(unopened(refusal?.status ?? 0, error, endedBy));
  }
}

/** @throws TypeError or RangeError that names the option. */
function checkCloseOptions(options: ProxyCloseOptions): { timeout: number; code: number } {
  checkOptionNames('close', options, ['timeout', 'code'], 'ignore', optionHint);
  const timeout = duration('timeout', options.timeout, 30_000, true);
  const { code = CloseCode.GoingAway } = options;
  if (!isValidCloseCode(code)) throw new RangeError(`code: ${code} must not be sent`);
  return { timeout, code };
}

function isClosing(): HandshakeError {
  return tryLater(503, 'the proxy is closing');
}

/** The client learns the status only: the message names the target. */
function refusalFor(error: ProxyError): HandshakeError {
  const { status, message } = error;
  const text = message.replace(/^websocket: /, '');
  const options = { body: `${STATUS_CODES[status]}\n`, cause: error };
  return status === 503 ? tryLater(503, text, options) : new HandshakeError(status, text, options);
}

function unopened(status: number, error: unknown, endedBy: EndedBy) {
  return { status, endedBy, code: CloseCode.AbnormalClosure, reason: '', error };
}

/**
 * Makes a reverse proxy.
 *
 * @param target - One target, a list of them, or a function that chooses one for each request. The
 *   path and query of a request are appended to those of the target. Nothing else is dialed.
 * @throws TypeError, RangeError or SyntaxError that names the fault.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { createProxy } from '@ws/proxy';
 *
 * const proxy = createProxy('ws://127.0.0.1:9000');
 * const server = createServer((_req, res) => res.end('a page'));
 * server.on('upgrade', proxy.handler);
 * ```
 */
export function createProxy<Result extends AdmitOrRefuse = AdmitOrRefuse>(
  target: string | URL | readonly Target[] | TargetFunction,
  options: ProxyOptions<Result> = {},
): Proxy {
  return checked(() => new Proxy(target, options as unknown as ProxyOptions), createProxy);
}
