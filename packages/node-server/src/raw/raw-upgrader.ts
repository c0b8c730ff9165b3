import { Server as HttpServer } from 'node:http';
import process from 'node:process';
import { Duplex } from 'node:stream';
import { types } from 'node:util';
import type { RequestFacts, RequestHead } from '@ws/codec';
import { checked, NO_BYTES } from '@ws/codec/internal';
import type { Conn, Transport } from '@ws/conn';
import { checkOptionNames, kind, optionHint } from '@ws/conn/internal';
import { addressOf, assertOption, TransportDuplex } from '@ws/node-io/internal';
import { Acceptor, type AnyHandlers, type ServerStats } from '../acceptor.ts';
import { destroyOnError, disconnectError, ignore, isTaken } from '../client-socket.ts';
import type { CloseOptions, CloseResult } from '../close-options.ts';
import { HandshakeError, tryLater } from '../errors.ts';
import {
  type AnyUpgraderOptions,
  pickUpgraderOptions,
  type UpgraderOptions,
  upgraderOptionNames,
} from '../options.ts';
import type { ServerPhase } from '../phase.ts';
import { plainRequestFault, plainRequestRefusal } from '../plain-requests.ts';
import type { AdmitOrRefuse, AuthOf } from '../policies/authenticate.ts';
import { notAnHttpRequest } from '../responder/client-error.ts';
import { Http1Responder } from '../responder/http1.ts';
import type { HandlerOrRoutes, HandlerRunner } from '../route.ts';
import type { Router } from '../route-table.ts';
import { UpgradeRequest } from '../upgrade-request.ts';
import { HeadCallbackRunner, type HeadCallbacks } from './head-callbacks.ts';
import { type HeadReading, isReadingHead, type OnHead, PendingHeads } from './head-reading.ts';

/** The names of {@link HeadCallbacks}. */
const headCallbackNames: readonly (keyof HeadCallbacks)[] = [
  'onRequest',
  'onHost',
  'onHeader',
  'onBeforeUpgrade',
];

/** Options of a raw upgrade, in addition to the options of an Upgrader. */
export interface RawOptions extends HeadCallbacks {
  /**
   * Gets each stream that asks for no WebSocket at first, with all its bytes unread: one port
   * serves both. A head that is malformed here goes there too, so that only one parser judges it.
   * Such a stream is this server's until it closes, with all its later requests; close the server
   * yourself. It may listen on another port too, or on none. Default: none, such requests get 426.
   */
  readonly fallback?: HttpServer | undefined;
}

/** Options of a {@link RawUpgrader}. Their functions get the head as {@link RequestFacts}. */
export interface RawUpgraderOptions<Result extends AdmitOrRefuse = undefined>
  extends UpgraderOptions<Result, RequestFacts>,
    RawOptions {}

/** The names of {@link RawOptions}. */
export const rawOptionNames: readonly (keyof RawOptions)[] = [...headCallbackNames, 'fallback'];

const NAMES = [...upgraderOptionNames, ...rawOptionNames];

/**
 * Checks the options of a RawUpgrader that an Upgrader does not have.
 *
 * @throws TypeError that names the option.
 */
function checkRawOptions(options: RawUpgraderOptions<AdmitOrRefuse>): void {
  checkOptionNames('RawUpgrader', options, NAMES, 'ignore', optionHint);
  for (const name of headCallbackNames) {
    const value = options[name];
    if (value !== undefined) assertOption(name, value, typeof value === 'function', 'a function');
  }
  const { fallback, unmatched } = options;
  if (fallback !== undefined && !(fallback instanceof HttpServer)) {
    throw new TypeError(
      `fallback: expected a server of node:http, also behind TLS, got ${kind(fallback)}; pass http.createServer(app)`,
    );
  }
  if (unmatched === 'leave' && fallback === undefined) {
    throw new TypeError(
      "unmatched: 'leave' needs the option fallback; otherwise nothing could answer",
    );
  }
}

/**
 * Upgrades byte streams to WebSocket connections without node:http: it reads the request head
 * itself, more strictly than node:http, with the options, checks and answers of an Upgrader.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:net';
 * import { RawUpgrader } from '@ws/node-server/raw';
 *
 * const upgrader = new RawUpgrader({ subprotocols: ['chat'] });
 * const listener = upgrader.listener((conn) => conn.receive((message) => conn.send(message)));
 * const server = createServer({ allowHalfOpen: true }, listener);
 * ```
 */
export class RawUpgrader<Result extends AdmitOrRefuse = undefined> implements AsyncDisposable {
  readonly #acceptor: Acceptor;
  readonly #heads: PendingHeads;
  readonly #fallback: HttpServer | undefined;
  /** `fallback` has listened or closed. From then on its timeouts run only while it listens. */
  #fallbackMustListen = false;

  /** @throws TypeError or RangeError that names the bad or unknown option. */
  constructor(options: RawUpgraderOptions<Result> = {}) {
    checked(
      () => checkRawOptions(options as unknown as RawUpgraderOptions<AdmitOrRefuse>),
      RawUpgrader,
    );
    const { onRequest, onHost, onHeader, onBeforeUpgrade, fallback } = options;
    const callbacks = { onRequest, onHost, onHeader, onBeforeUpgrade };
    const hasCallbacks = Object.values(callbacks).some((callback) => callback !== undefined);
    const ofUpgrader = pickUpgraderOptions(options) as unknown as AnyUpgraderOptions;
    this.#acceptor = checked(
      () => new Acceptor(ofUpgrader, hasCallbacks ? new HeadCallbackRunner(callbacks) : undefined),
      RawUpgrader,
    );
    this.#acceptor.work.refusalsHoldClose = false;
    this.#acceptor.phase.server = this;
    this.#heads = new PendingHeads(this.#acceptor.plan.handshakeTimeout, fallback !== undefined);
    this.#fallback = fallback;
    if (fallback === undefined) return;
    startTimeouts(fallback);
    this.#fallbackMustListen = fallback.listening;
    const mustListen = (): void => {
      this.#fallbackMustListen = true;
    };
    fallback.on('listening', mustListen).on('close', mustListen);
  }

  /** @internal The parts of an upgrader that `serveRaw` works with. */
  static partsOf(upgrader: RawUpgrader): { acceptor: Acceptor; heads: PendingHeads } {
    return { acceptor: upgrader.#acceptor, heads: upgrader.#heads };
  }

  /** The connections that are not closed yet. The set is live. */
  get connections(): ReadonlySet<Conn<AuthOf<Result>>> {
    return this.#acceptor.work.connections;
  }

  /** Counters, as they are now. */
  get stats(): ServerStats {
    return this.#acceptor.stats;
  }

  /** As that of an Upgrader. */
  get phase(): ServerPhase {
    return this.#acceptor.phase.now;
  }

  /**
   * Makes a listener for 'connection' of node:net and 'secureConnection' of node:tls that reads a
   * request from each socket and runs a handler for each connection. It answers refusals itself.
   * The option `report` gets the errors of handlers.
   *
   * @param handlerOrRoutes - As for an Upgrader. The handler gets the head as RequestFacts.
   * @throws TypeError as `Upgrader.handler`, and for `unmatched: 'leave'` without routes.
   */
  listener<Pattern extends string = string>(
    handlerOrRoutes: HandlerOrRoutes<Pattern, AuthOf<Result>, RequestFacts>,
  ): (stream: Duplex) => void {
    const router = this.#acceptor.routerOf(handlerOrRoutes as AnyHandlers);
    const { unmatched } = this.#acceptor.plan;
    if (unmatched === 'leave' && typeof handlerOrRoutes === 'function') {
      throw new TypeError("unmatched: 'leave' needs routes; a handler matches every path");
    }
    const onHead = this.#onHead((upgrade) => this.#acceptor.serve(upgrade), router);
    return (stream) => {
      if (stream.destroyed || isReadingHead(stream) || isTaken(stream)) return;
      this.#heads.begin(stream, onHead);
    };
  }

  /**
   * Reads a request from a stream and answers it with a 101 and a connection, or with a refusal.
   * The upgrader owns the stream from the call on.
   *
   * @param early - Bytes that were read from the stream before. Copied. Default: none.
   * @returns The open connection. Its `data` is what `authenticate` has admitted.
   * @throws (rejects with) {@link HandshakeError} after the refusal was written, and with its status
   *   426 when the stream went to `fallback`, 503 when that is closed; TransportError when the client has disconnected or has
   *   half-closed; Error when the stream is already upgraded; TypeError for another argument.
   * @see RFC 6455, section 4.2
   */
  upgrade(stream: Duplex, early: Uint8Array = NO_BYTES): Promise<Conn<AuthOf<Result>>> {
    return new Promise((resolve, reject) => {
      assertOption('stream', stream, stream instanceof Duplex, 'a Duplex');
      assertOption('early', early, types.isUint8Array(early), 'a Uint8Array');
      if (isReadingHead(stream) || isTaken(stream)) {
        throw new Error('websocket: upgrade was called before for this stream');
      }
      if (stream.destroyed || stream.readableEnded) throw disconnectError(stream);
      const onHead = this.#onHead(
        (upgrade) => resolve(this.#acceptor.accept(upgrade, undefined)),
        undefined,
        reject,
      );
      const reading = this.#heads.begin(stream, onHead);
      if (early.length > 0) reading.receive(new Uint8Array(early));
    });
  }

  /**
   * Answers a request that other code has parsed. The upgrader owns the stream from the call on.
   * The checks of an Upgrader run: the facts must describe the bytes that were received,
   * with every line of every field.
   *
   * @param head - A RequestHead, or the request of another HTTP parser.
   * @param stream - The rest of the stream, with no reader. The bytes of a Transport and of a Duplex
   *   that is no socket of Node are copied.
   * @param early - The bytes after the head that were read already. Copied. Default: none.
   * @throws (rejects with) as {@link upgrade}.
   */
  async accept(
    head: RequestFacts,
    stream: Duplex | Transport,
    early: Uint8Array = NO_BYTES,
  ): Promise<Conn<AuthOf<Result>>> {
    const isHead = typeof head === 'object' && head !== null && typeof head.once === 'function';
    assertOption('head', head, isHead, 'RequestFacts, a RequestHead for example');
    assertOption('early', early, types.isUint8Array(early), 'a Uint8Array');
    const socket = streamOf(stream);
    // The caller may use its memory again while a function of the application is awaited.
    const rest = new Uint8Array(early);
    return this.#acceptor.accept(this.#upgradeOf(head, socket, rest), undefined);
  }

  /**
   * As `Upgrader.close`. Afterwards the streams with an incomplete request are destroyed. Streams
   * that went to `fallback` are not touched.
   *
   * @param options - Default: the option `close`.
   * @throws (rejects with) TypeError or RangeError that names the bad option.
   */
  async close(options: CloseOptions = {}): Promise<CloseResult> {
    const result = await this.#acceptor.close(options, this);
    this.#heads.destroyAll();
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * @param accept - Gets the requests that ask for a WebSocket.
   * @param reject - Gets the error of every other request.
   */
  #onHead(
    accept: (upgrade: UpgradeRequest) => void,
    router: Router<HandlerRunner> | undefined,
    reject: (error: Error) => void = () => {},
  ): OnHead {
    const refuse = (reading: HeadReading, refusal: HandshakeError): void => {
      this.#refuse(reading, refusal);
      reject(refusal);
    };
    const read = (reading: HeadReading, rest: Uint8Array): void => {
      const { stream, startedAt } = reading;
      const head = reading.head!;
      if (this.#isForFallback(head, router)) {
        // `close` ends its timeouts at once, and 'close' comes after its last connection.
        const isClosed = this.#fallbackMustListen && !this.#fallback!.listening;
        if (isClosed) {
          const message = 'the server of the option fallback is closed';
          return refuse(reading, tryLater(503, message));
        }
        this.#giveToFallback(reading);
        const message = 'plain request; the server of the option fallback has the stream';
        return reject(new HandshakeError(426, message));
      }
      const refusal = headRefusal(head);
      if (refusal !== undefined) return refuse(reading, refusal);
      head.remoteAddress = addressOf(stream, 'remoteAddress');
      accept(this.#upgradeOf(head, stream, rest, router, startedAt));
    };
    return (reading, end, rest) => {
      const { stream, head } = reading;
      if (end === 'read') return read(reading, rest);
      if (end === 'timeout' || (end === 'end' && head !== undefined)) {
        return refuse(reading, incompleteRefusal(end));
      }
      // A client that has sent nothing asks for no answer.
      stream.destroy();
      reject(disconnectError(stream));
    };
  }

  /** The upgrade of a request that was read here or by other code. */
  #upgradeOf(
    facts: RequestFacts,
    stream: Duplex,
    rest: Uint8Array,
    router?: Router<HandlerRunner>,
    startedAt?: number,
  ): UpgradeRequest {
    const { plan } = this.#acceptor;
    return new UpgradeRequest(plan, facts, new Http1Responder(stream), rest, router, startedAt);
  }

  /** Only bytes of a request that asks for a WebSocket are read here. */
  #isForFallback(head: RequestHead, router: Router<HandlerRunner> | undefined): boolean {
    if (this.#fallback === undefined) return false;
    if (head.fault !== undefined || !wantsWebSocket(head)) return true;
    const leaves = this.#acceptor.plan.unmatched === 'leave';
    return leaves && router !== undefined && !router.has(head.target);
  }

  #giveToFallback({ stream, bytes }: HeadReading): void {
    stream.off('error', destroyOnError);
    stream.unshift(bytes!.take());
    this.#fallback!.emit('connection', stream);
    // node:http has taken the handle. This listener makes it read the stream instead: with TLS over a
    // Duplex, the handle could give later bytes before the unshifted ones.
    stream.on('data', ignore).resume();
  }

  #refuse({ stream, head }: HeadReading, refusal: HandshakeError): void {
    const isRead = head?.fault === undefined && head?.method;
    const request = isRead ? this.#upgradeOf(head, stream, NO_BYTES) : undefined;
    this.#acceptor.recordRefusal(refusal, stream, request);
    if (!stream.writable) return void stream.destroy();
    this.#acceptor.work.addSocket(stream);
    new Http1Responder(stream).refuse(refusal, head?.method);
    if (stream.readableEnded) stream.destroy();
  }
}

/** @throws TypeError for another value; the error of `transport.start`. */
function streamOf(stream: Duplex | Transport): Duplex {
  if (stream instanceof Duplex) return stream;
  const given: Partial<Transport> | null = stream;
  const isTransport = typeof given?.start === 'function' && typeof given.write === 'function';
  assertOption('stream', stream, isTransport, 'a Duplex or a Transport');
  const duplex = new TransportDuplex(stream);
  duplex.on('error', destroyOnError);
  duplex.start();
  return duplex;
}

/**
 * Starts the timeouts of a server that does not listen. Node starts them, and the list for
 * `closeAllConnections`, in its own listener for 'listening' (`_http_server.js`).
 */
function startTimeouts(server: HttpServer): void {
  if (server.listening) return;
  const start = server
    .listeners('listening')
    .find(({ name }) => name === 'setupConnectionsTracking');
  start?.call(server);
}

/** Node's own parser in this process, which `serve` and `fallback` use, does not take a tab. */
const TAB_HIDES = isOldParser(process.versions['llhttp']);

function isOldParser(version: string | undefined): boolean {
  const [major = 0, minor = 0] = (version ?? '9.4').split('.').map(Number);
  return major < 9 || (major === 9 && minor < 4);
}

/** Whether node:http would emit 'upgrade' for the head: an answer must not depend on the parser. */
function wantsWebSocket(head: RequestHead): boolean {
  return head.wantsWebSocket && !(TAB_HIDES && head.hidesUpgrade);
}

/**
 * Returns the refusal of a head that is malformed, or that asks for no upgrade. Other faults are
 * found by the rules of an Upgrader.
 */
function headRefusal(head: RequestHead): HandshakeError | undefined {
  const { fault } = head;
  if (fault?.status === 431) return notAnHttpRequest('HPE_HEADER_OVERFLOW', fault.message);
  if (fault !== undefined) return notAnHttpRequest('HPE_INVALID', fault.message);
  if (wantsWebSocket(head)) return undefined;
  return plainRequestFault(head) ?? plainRequestRefusal(head);
}

/** Returns the refusal of a head that has not arrived. */
function incompleteRefusal(cause: 'end' | 'timeout'): HandshakeError {
  return cause === 'end'
    ? notAnHttpRequest('HPE_INVALID_EOF_STATE', 'the connection ended within the head')
    : notAnHttpRequest('ERR_HTTP_REQUEST_TIMEOUT', '');
}
