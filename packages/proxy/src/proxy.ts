import type { IncomingMessage } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, isValidCloseCode } from '@ws/codec';
import { TransportError } from '@ws/conn';
import { duration } from '@ws/conn/internal';
import { isInstance } from '@ws/http-shared';
import { HandshakeError, type UpgradeListener } from '@ws/node-server';
import {
  ErrorHook,
  ErrorReporter,
  endFailedHandshake,
  Handshake,
  Limits,
  Refusals,
  type Reservation,
  refusalOf,
  requestOfNode,
  type ServerRequest,
  takeSocket,
} from '@ws/node-server/internal';
import { ProxyError } from './errors.ts';
import { admit } from './handshake/admit.ts';
import { askTarget } from './handshake/ask-target.ts';
import type { Answer } from './handshake/connect.ts';
import type { HeaderLine } from './handshake/header-lines.ts';
import { answerLines, formatSwitch, offerFor, openingOf } from './handshake/open-link.ts';
import { relayRefusal } from './handshake/relay-refusal.ts';
import { type CheckedOptions, checkProxyOptions, type ProxyOptions } from './options.ts';
import { type Proxied, ProxiedConnection } from './proxied.ts';
import { Sweeper } from './sweeper.ts';
import type { Backend, Target, TargetState } from './targets/target.ts';
import { type TargetFunction, TargetPool } from './targets/target-pool.ts';
import type { Link } from './tunnel/link.ts';

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
 */
export class Proxy {
  readonly #plan: CheckedOptions;
  readonly #pool: TargetPool;
  readonly #limits: Limits;
  readonly #refusals = new Refusals();
  readonly #reporter: ErrorReporter;
  readonly #errorHook = new ErrorHook(undefined, { pending: 0, max: 0 });
  readonly #proxied = new Set<ProxiedConnection>();
  readonly #sweeper: Sweeper;
  #closing: Promise<void> | undefined;

  /** Listens for 'upgrade' of a node:http or node:https server. */
  readonly handler: UpgradeListener = (req, socket, head) => void this.upgrade(req, socket, head);

  /** @throws TypeError, RangeError or SyntaxError that names the fault. */
  constructor(
    target: string | URL | readonly Target[] | TargetFunction,
    options: ProxyOptions = {},
  ) {
    this.#plan = checkProxyOptions(options);
    this.#pool = new TargetPool(target, this.#plan);
    this.#limits = new Limits(this.#plan.upgrader.limits);
    this.#reporter = new ErrorReporter(this.#plan.upgrader.report);
    this.#sweeper = new Sweeper(this.#plan.tunnel, this.#proxied);
  }

  /** The requests and connections that have not ended. The set is live. */
  get proxied(): ReadonlySet<Proxied> {
    return this.#proxied;
  }

  /**
   * The targets, as they are now. Assign a list to replace them: new requests go to the new ones, and
   * open connections stay. Of a function: the targets that have connections.
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
    const startedAt = performance.now();
    const request = requestOfNode(req, socket);
    const proxied = new ProxiedConnection(() => socket.destroy());
    try {
      takeSocket(socket, head);
    } catch (error) {
      this.#reporter.failed(error, { where: 'upgrade', request: request.req });
      proxied.settle(unopened(0, error));
      return proxied;
    }
    const handshake = new Handshake(socket, head, this.#plan.upgrader.handshakeTimeout, startedAt);
    this.#proxied.add(proxied);
    let reservation: Reservation | undefined;
    try {
      const address = this.#limits.addressOf(request);
      if (this.#closing !== undefined) throw new HandshakeError(503, 'the proxy is closing');
      reservation = this.#limits.reserve(address);
      await this.#open(proxied, handshake, request, address);
      reservation.endHandshake();
      void proxied.closed.then(() => reservation!.release());
    } catch (error) {
      await this.#refuse(proxied, handshake, request, error);
      reservation?.cancel();
    }
    return proxied;
  }

  /**
   * Refuses new requests with 503 and closes every connection: with a close frame to both sides in
   * the modes `frames` and `messages`, with a FIN in `bytes`. Resolves when all have ended. A second
   * call returns the same promise.
   *
   * @throws (rejects with) TypeError or RangeError that names the bad option.
   */
  close(options: ProxyCloseOptions = {}): Promise<void> {
    try {
      const timeout = duration('timeout', options.timeout, 30_000, true);
      const { code = CloseCode.GoingAway } = options;
      if (!isValidCloseCode(code)) throw new RangeError(`code: ${code} must not be sent`);
      this.#closing ??= this.#close(timeout, code);
      return this.#closing;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #close(timeout: number, code: number): Promise<void> {
    const all = [...this.#proxied];
    for (const { link } of all) link?.close(code);
    const terminate = (): void => {
      for (const each of this.#proxied) each.terminate();
    };
    const timer = timeout === Infinity ? undefined : setTimeout(terminate, timeout);
    await Promise.all(all.map(({ closed }) => closed));
    clearTimeout(timer);
  }

  async #open(
    proxied: ProxiedConnection,
    handshake: Handshake,
    request: ServerRequest,
    address: string | undefined,
  ): Promise<void> {
    const plan = this.#plan;
    const { req, facts, socket } = request;
    // Watches the client and the time from here on.
    handshake.wait(new Promise<never>(() => {})).catch(() => {});
    await admit(plan, handshake, request, address);
    const key = facts.once('sec-websocket-key')!;
    const offer = offerFor(plan, facts);
    const answer = await askTarget({
      plan,
      pool: this.#pool,
      handshake,
      req,
      offer,
      onTarget: (backend) => this.#enter(proxied, backend),
    });
    try {
      if (this.#closing !== undefined) throw new HandshakeError(503, 'the proxy is closing');
      const lines = answerLines(plan, answer, req);
      if (answer.head.status !== 101)
        return await this.#relay(proxied, handshake, request, answer, lines);
      const report = (error: unknown): void => this.#reporter.failed(error, { where: 'transform' });
      const opening = openingOf(plan, facts, socket, answer, report);
      handshake.prepareAnswer(req);
      socket.write(formatSwitch(key, opening, lines), 'latin1');
      const link = opening.open(handshake.takeEarlyBytes());
      handshake.handOver();
      answer.stream.release();
      this.#opened(proxied, link);
    } catch (error) {
      answer.stream.destroy();
      throw error;
    }
  }

  #enter(proxied: ProxiedConnection, backend: Backend): void {
    this.#leave(proxied);
    proxied.backend = backend;
    this.#pool.enter(backend);
    proxied.entered = true;
  }

  #leave(proxied: ProxiedConnection): void {
    if (proxied.entered) this.#pool.leave(proxied.backend!);
    proxied.entered = false;
  }

  #opened(proxied: ProxiedConnection, link: Link): void {
    proxied.link = link;
    this.#sweeper.start();
    void link.ended.then(({ error, ...end }) => {
      this.#end(proxied);
      proxied.settle({ status: 101, ...end, ...(error !== undefined && { error }) });
    });
  }

  #end(proxied: ProxiedConnection): void {
    this.#proxied.delete(proxied);
    this.#leave(proxied);
  }

  /** Passes a target's refusal on. */
  async #relay(
    proxied: ProxiedConnection,
    handshake: Handshake,
    { req, socket }: ServerRequest,
    answer: Answer,
    lines: readonly HeaderLine[],
  ): Promise<void> {
    const { status } = answer.head;
    handshake.prepareAnswer(req);
    await relayRefusal(socket, answer, lines, handshake.timeout);
    const message = `${proxied.backend!.url} refused the handshake with ${status}`;
    const error = new ProxyError('WS_ERR_PROXY_REFUSED', status, message);
    this.#reporter.failed(error, { where: 'upgrade', request: req, status });
    this.#end(proxied);
    proxied.settle({ ...unopened(status, error), endedBy: 'target' });
  }

  /** Answers a request that has failed. Never rejects. */
  async #refuse(
    proxied: ProxiedConnection,
    handshake: Handshake,
    request: ServerRequest,
    error: unknown,
  ): Promise<void> {
    const { req, socket } = request;
    const refusal = isInstance(error, ProxyError) ? refusalFor(error) : refusalOf(error, socket);
    if (refusal !== undefined) {
      this.#refusals.record(refusal, request, this.#limits.addressOrNone(request));
    }
    this.#reporter.handshakeFailed(error, req, undefined);
    await endFailedHandshake(handshake, req, socket, refusal, this.#errorHook);
    const isGone = isInstance(error, TransportError);
    this.#end(proxied);
    const end = unopened(isGone ? 0 : (refusal?.status ?? 0), error);
    proxied.settle(isGone ? { ...end, endedBy: 'client' } : end);
  }
}

/** The client learns the status only: the message names the target. */
function refusalFor(error: ProxyError): HandshakeError {
  const { status, message } = error;
  const text = message.replace(/^websocket: /, '');
  return new HandshakeError(status, text, { body: `${STATUS_CODES[status]}\n`, cause: error });
}

function unopened(status: number, error: unknown) {
  return { status, endedBy: 'proxy', code: CloseCode.AbnormalClosure, reason: '', error } as const;
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
export function createProxy(
  target: string | URL | readonly Target[] | TargetFunction,
  options: ProxyOptions = {},
): Proxy {
  return new Proxy(target, options);
}
