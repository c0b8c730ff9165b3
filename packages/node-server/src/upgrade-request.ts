import type { IncomingMessage } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  type DeflateAgreement,
  type DeflateParameters,
  formatExtensions,
  negotiateDeflate,
  parseExtensions,
  type RequestFacts,
} from '@ws/codec';
import { deflateLimits, isThenable } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { cutStream, isHttp2Stream } from '@ws/node-io/internal';
import type { AppRequest, HandlerContext } from './conn-handler.ts';
import type { ErrorReporter } from './error-reporter.ts';
import { HandshakeError, type HeaderPair, serverFault, unexpectedResult } from './errors.ts';
import type { HandlerRunner } from './handler-runner.ts';
import { assertOpen, disconnectError, HandshakeWaits, releaseSocket } from './handshake-waits.ts';
import {
  type HeadersInput,
  headerOf,
  mergeHeaders,
  NO_HEADERS,
  optionHeaderPairs,
} from './headers.ts';
import { isResponse } from './is-response.ts';
import type { UpgraderPlan } from './options.ts';
import { admissionOf } from './policies/admit.ts';
import { readAuth, thrownByAuthenticate } from './policies/authenticate.ts';
import { answerOf, type ErrorHook, wroteItself } from './policies/error-hook.ts';
import type { Reservation } from './policies/limits.ts';
import { responseRefusal } from './policies/response-refusal.ts';
import { selectSubprotocol } from './policies/select-subprotocol.ts';
import { beforeUpgrade, checkHead, type HeadCallbacks } from './policies/head-callbacks.ts';
import { applyRules, checkNoHeaderDropped, headSizeFault } from './request.ts';
import type { Answer, Responder, ServerRequest } from './responder/responder.ts';
import {
  anyPath,
  decodePath,
  pathForm,
  queryOf,
  type RouteMatch,
  type Router,
  rawPath,
} from './route-table.ts';

/** The checked options of a server or of one of its routes, and the objects made from them. */
export interface Setup {
  readonly plan: UpgraderPlan;
  readonly reporter: ErrorReporter;
  /** Undefined for requests of node:http. */
  readonly callbacks: HeadCallbacks | undefined;
}

/** A handler and the setup that its route has. */
export interface BoundHandler {
  readonly setup: Setup;
  /** Undefined for `upgrade`, which returns the connection instead. */
  readonly runner: HandlerRunner | undefined;
}

/** What a handshake has agreed on. */
export interface Agreement {
  readonly bound: BoundHandler;
  readonly context: HandlerContext<unknown>;
  readonly key: string;
  readonly subprotocol: string;
  readonly extensions: string;
  readonly deflate: DeflateParameters | undefined;
  /** The application's headers for the accepting answer. */
  headers: readonly HeaderPair[];
}

/**
 * One upgrade request, from its checks to its answer. Faults are answered in this order:
 *
 * 1. by the acceptor: a request of node:http2's compatibility API, a socket in use, a server that closes, the limits
 * 2. an answered request, dropped header lines, the rules of the request (their order is that of
 *    `requestRules` in the codec), a request outside an upgrade, the callbacks of `serveRaw`, the
 *    route, the caller's headers, the host
 * 3. repeated Origin lines, the origin, the rules of the offers
 * 4. `authenticate`, the subprotocol, the application's headers, `onBeforeUpgrade`
 */
export class UpgradeRequest implements ServerRequest {
  /** That of the server, until a route has matched. */
  setup: Setup;
  /** The address of the client. Undefined before the limits are checked, or without an address. */
  address: string | undefined;
  /** Undefined before the limits are checked. */
  reservation: Reservation | undefined;
  /** The pattern of the route that has matched. */
  route: string | undefined;
  /** Undefined until the connection is open. */
  agreement: Agreement | undefined;
  /** When the login expires, if it does. */
  expires: Date | number | undefined;
  readonly req: AppRequest;
  readonly facts: RequestFacts;
  readonly incoming: IncomingMessage | undefined;
  readonly responder: Responder;
  /** The bytes after the request head. */
  readonly head: Uint8Array;
  /** The request target in origin form. */
  #target = '';
  readonly #startedAt: number;
  readonly #router: Router<BoundHandler> | undefined;
  /** Headers for the accepting answer that are given with this request. */
  #extra: readonly HeaderPair[] = NO_HEADERS;
  #handshake: HandshakeWaits | undefined;

  /**
   * @param router - Undefined for a connection without a handler.
   * @param startedAt - The time from which the handshake timeout counts, by `performance.now()`.
   */
  constructor(
    setup: Setup,
    { req, facts, incoming, responder }: ServerRequest,
    head: Uint8Array,
    router: Router<BoundHandler> | undefined,
    startedAt: number,
  ) {
    this.setup = setup;
    this.req = req;
    this.facts = facts;
    this.incoming = incoming;
    this.responder = responder;
    this.head = head;
    this.#router = router;
    this.#startedAt = startedAt;
  }

  /** Returns the waits of the handshake, for a wait or a refusal. Created at the first call. */
  acquireHandshake(): HandshakeWaits {
    const { handshakeTimeout } = this.setup.plan;
    this.#handshake ??= new HandshakeWaits(
      this.responder,
      this.head,
      handshakeTimeout,
      this.#startedAt,
    );
    return this.#handshake;
  }

  /**
   * Checks the request and agrees with the client. It is synchronous, unless a function of the
   * application has a say, or earlier requests on the stream wait for their answers.
   *
   * @param extra - Headers of the application for the accepting answer.
   * @throws the fault, or rejects with it.
   */
  negotiate(extra: readonly HeaderPair[]): Agreement | Promise<Agreement> {
    this.#extra = extra;
    // Responses that a destroyed socket still carries never emit 'close'.
    if (this.responder.stream.destroyed) throw disconnectError(this.responder.stream);
    return this.responder.isQueued ? this.#negotiateInTurn() : this.#checkAndAgree();
  }

  async #negotiateInTurn(): Promise<Agreement> {
    const handshake = this.acquireHandshake();
    await this.responder.takeTurn((work) => handshake.wait(work));
    handshake.checkEarlyBytes();
    return this.#checkAndAgree();
  }

  #checkAndAgree(): Agreement | Promise<Agreement> {
    const match = this.#checkRequest();
    const { plan } = this.setup;
    if (asksApplication(plan)) return this.#askApplication(match);
    if (!plan.origins.allows(this.facts)) throw plan.origins.refusal(this.facts);
    applyRules(this.facts, 'offers');
    const agreement = this.#agree(match, this.#contextOf(match));
    for (const pairs of plan.headers) addHeaders(agreement, pairs as readonly HeaderPair[]);
    return this.#addLastHeaders(agreement);
  }

  /**
   * The checks before the one of the origin. No function of the application runs here, except the
   * callbacks of `serveRaw`.
   */
  #checkRequest(): RouteMatch<BoundHandler> {
    const { facts, incoming, responder } = this;
    if (responder.isAnswered) throw alreadyAnswered();
    if (incoming !== undefined) {
      checkNoHeaderDropped(incoming);
      const fault = headSizeFault(incoming);
      if (fault !== undefined) throw fault;
    }
    applyRules(facts, 'request');
    if (responder.isReadByServer) throw outsideUpgrade();
    if (this.setup.callbacks !== undefined) checkHead(this.setup.callbacks, facts);
    const match = this.#findRoute();
    rejectExtensionsHeader(this.#extra);
    const { hosts } = this.setup.plan;
    if (!hosts.allows(facts)) throw hosts.refusal(facts);
    applyRules(facts, 'origin');
    return match;
  }

  /** Takes the setup of the route that matches. */
  #findRoute(): RouteMatch<BoundHandler> {
    this.#target = pathForm(this.facts.target);
    // An application that compares `req.url` with a path would otherwise miss the path of an
    // absolute URI, and the router would not.
    if (this.incoming !== undefined) this.incoming.url = this.#target;
    const routes = this.#router ?? anyPath<BoundHandler>({ setup: this.setup, runner: undefined });
    const match = routes.match(this.#target);
    this.setup = match.handler.setup;
    this.route = match.route;
    if (this.#handshake !== undefined) {
      this.#handshake.timeout = this.setup.plan.handshakeTimeout;
    }
    return match;
  }

  /** The rest of {@link negotiate} where functions of the application have a say. */
  async #askApplication(match: RouteMatch<BoundHandler>): Promise<Agreement> {
    const { origins, authenticate, headers } = this.setup.plan;
    const { req, facts } = this;
    // Not as methods: `this` of the functions is undefined.
    const { check } = origins;
    const allowed: unknown =
      check === undefined
        ? origins.allows(facts)
        : await this.#call('checkOrigin', () => check(req));
    // An Error or an object does not allow the request.
    if (allowed && typeof allowed !== 'boolean') {
      throw serverFault('checkOrigin', unexpectedResult('checkOrigin', 'true or false', allowed));
    }
    if (!allowed) throw origins.refusal(facts);
    applyRules(facts, 'offers');
    let context = this.#contextOf(match);
    if (authenticate !== undefined) {
      const { auth: _auth, ...known } = context;
      const { signal } = this.acquireHandshake();
      const result = await this.#call(
        'authenticate',
        () => authenticate(req, { signal, ...known }),
        thrownByAuthenticate,
      );
      const admission = admissionOf(result);
      const returned = admission === undefined ? result : admission.auth;
      if (returned === undefined) {
        const place = admission === undefined ? '' : ' in admit';
        this.setup.reporter.nothingReturned(req, this.route, place);
      }
      if (isResponse(returned)) throw await this.#refusalOf(returned);
      context = { auth: readAuth(returned), ...known };
      this.expires = admission?.expires;
      if (admission?.plan !== undefined) {
        this.setup = { ...this.setup, plan: admission.plan as UpgraderPlan };
      }
    }
    const handler = { ...match.handler, setup: this.setup };
    const agreement = this.#agree({ ...match, handler }, context);
    for (const source of headers) {
      const pairs =
        typeof source === 'function'
          ? returnedHeaders(await this.#call('headers', () => source(req, context)))
          : source;
      addHeaders(agreement, pairs);
    }
    return this.#addLastHeaders(agreement);
  }

  /** The error for a Response that `authenticate` has returned. */
  async #refusalOf(response: object): Promise<Error> {
    const handshake = this.acquireHandshake();
    const refusal = await responseRefusal(response, (work) => handshake.wait(work));
    const { stream } = this.responder;
    return stream.writable ? refusal : disconnectError(stream);
  }

  /** Calls a function of the application, and waits for its result within the handshake timeout. */
  async #call<T>(
    name: string,
    call: () => T | PromiseLike<T>,
    refusalOf = (error: unknown): HandshakeError => serverFault(name, error),
  ): Promise<T> {
    const handshake = this.acquireHandshake();
    handshake.checkClient();
    try {
      return await handshake.waitForCall(name, call());
    } catch (error) {
      // The client has disconnected, or the time is up. Report that as the cause.
      throw handshake.failure ?? refusalOf(error);
    }
  }

  /** The context of a request without authentication. */
  #contextOf({ params, route }: RouteMatch<BoundHandler>): HandlerContext<unknown> {
    const target = this.#target;
    return {
      auth: undefined,
      params,
      path: decodePath(rawPath(target)),
      query: queryOf(target),
      route,
      address: this.address,
    };
  }

  /** Chooses the subprotocol and the parameters of the compression. */
  #agree(
    { handler: bound }: RouteMatch<BoundHandler>,
    context: HandlerContext<unknown>,
  ): Agreement {
    const { facts } = this;
    const { subprotocols, settings } = this.setup.plan;
    const subprotocol = selectSubprotocol(facts, this.req, subprotocols, this.#extra);
    const agreed = facts.has('sec-websocket-extensions')
      ? agreeOnDeflate(facts, settings.compression)
      : undefined;
    const extensions = agreed === undefined ? '' : formatExtensions([agreed.answer]);
    const deflate = agreed?.parameters;
    // Over HTTP/2 a request needs none.
    const key = facts.once('sec-websocket-key') ?? '';
    return { bound, context, key, subprotocol, extensions, deflate, headers: NO_HEADERS };
  }

  /** Adds the headers of `onBeforeUpgrade`, and then those that are given with this request. */
  #addLastHeaders(agreement: Agreement): Agreement {
    const { callbacks } = this.setup;
    if (callbacks !== undefined) addHeaders(agreement, beforeUpgrade(callbacks, this.facts));
    if (this.#extra.length > 0) addHeaders(agreement, this.#extra.filter(isNoSubprotocol));
    return agreement;
  }

  /**
   * Ends the waits before the answer is written.
   *
   * @throws TransportError when the client has disconnected, Error when the request is answered
   *   already.
   */
  prepareAnswer(): void {
    const handshake = this.#handshake;
    handshake?.release();
    if (handshake?.failure !== undefined) throw handshake.failure;
    if (this.responder.isAnswered) throw alreadyAnswered();
    assertOpen(this.responder.stream);
  }

  /** Returns the bytes that the client has sent after its request so far, and forgets them. */
  takeEarlyBytes(): Uint8Array {
    return this.#handshake === undefined ? this.head : this.#handshake.takeEarlyBytes();
  }

  /** Gives the socket to a connection, which catches its errors from here on. */
  handOver(): void {
    releaseSocket(this.responder.stream);
    this.#handshake?.handOver();
  }

  /**
   * Answers a request whose handshake has failed, after the answers to earlier requests, and ends
   * its stream.
   *
   * @param refusal - Undefined destroys the stream without an answer.
   * @param hook - Asks the option `error`.
   * @throws the error of `hook`. The refusal is sent all the same.
   */
  async refuse(refusal: HandshakeError | undefined, hook?: ErrorHook): Promise<void> {
    const { responder } = this;
    const handshake = this.acquireHandshake();
    handshake.release();
    if (responder.isAnswered) return responder.endAnswered(handshake.timeout);
    if (refusal === undefined || !(await this.#canAnswer(handshake))) {
      cutStream(responder.stream);
    } else if (hook === undefined) {
      responder.refuse(refusal, this.req.method);
    } else {
      await this.#askHook(handshake, refusal, hook);
    }
  }

  /** @returns false when earlier answers do not end in time, or when the client has disconnected. */
  async #canAnswer(handshake: HandshakeWaits): Promise<boolean> {
    const { responder } = this;
    if (!responder.isQueued) return responder.stream.writable;
    // The handshake failed while it waited for these answers.
    if (handshake.failure !== undefined) return false;
    try {
      await responder.takeTurn((work) => handshake.wait(work));
      return true;
    } catch {
      return false;
    } finally {
      handshake.release();
    }
  }

  async #askHook(
    handshake: HandshakeWaits,
    refusal: HandshakeError,
    hook: ErrorHook,
  ): Promise<void> {
    const { responder, req } = this;
    const { stream } = responder;
    const before = bytesWritten(stream);
    const hasWritten = (): boolean =>
      // A stream of HTTP/2 that its client has reset is ended too.
      (stream.writableEnded && !stream.destroyed) || bytesWritten(stream) !== before;
    let answer: Answer = refusal;
    let isOver = false;
    try {
      const given = hook(req, responder.client, refusal.status, refusal);
      const call = isThenable(given) ? Promise.resolve(given) : given;
      if (isThenable(call)) {
        call.then(undefined, (error: unknown) => {
          if (isOver) this.setup.reporter.failed(error, { where: 'error', request: req });
        });
      }
      const result = await answerInTime(handshake, call);
      if (!hasWritten()) answer = answerOf(refusal, result);
    } catch (error) {
      // The client has disconnected, or the time is up: the hook has not failed.
      const { failure } = handshake;
      if (failure === undefined || error !== failure) throw error;
    } finally {
      isOver = true;
      handshake.release();
      if (hasWritten()) {
        this.setup.reporter.failed(wroteItself(), { where: 'error', request: req });
        stream.end();
        responder.endAnswered(handshake.timeout);
      } else {
        responder.refuse(answer, req.method);
      }
    }
  }
}

/**
 * Waits for the answer of the hook. A handshake that has failed already, because its time was up,
 * gives it one turn.
 */
async function answerInTime(handshake: HandshakeWaits, call: unknown): Promise<unknown> {
  const result = handshake.waitForCall('error', call);
  if (handshake.failure === undefined) return result;
  result.catch(() => {});
  return Promise.race([call, new Promise((resolve) => setImmediate(resolve))]);
}

/** Whether a function of the application, which may be async, has a say. */
function asksApplication({ origins, authenticate, headers }: UpgraderPlan): boolean {
  return (
    origins.check !== undefined ||
    authenticate !== undefined ||
    headers.some((source) => typeof source === 'function')
  );
}

/**
 * Takes the first offer of permessage-deflate that is valid (RFC 7692, section 5). All other
 * extensions are declined.
 *
 * @returns Undefined when there is no valid offer, or when compression is off.
 */
function agreeOnDeflate(
  facts: RequestFacts,
  compression: UpgraderPlan['settings']['compression'],
): DeflateAgreement | undefined {
  const limits = deflateLimits(compression, 'server', nodePlatform);
  if (limits === undefined) return undefined;
  // A malformed header was refused before.
  const offers = parseExtensions(facts.list('sec-websocket-extensions')) ?? [];
  return negotiateDeflate(offers, limits);
}

/** Adds headers for the accepting answer. Of a name that both have, only the new lines stay. */
function addHeaders(agreement: Agreement, pairs: readonly HeaderPair[]): void {
  agreement.headers = mergeHeaders(agreement.headers, pairs);
}

/** The subprotocol of this request was agreed on, and has its own line. */
function isNoSubprotocol([name]: HeaderPair): boolean {
  return name.toLowerCase() !== 'sec-websocket-protocol';
}

/** @throws HandshakeError 500 for headers that cannot be sent. */
function returnedHeaders(input: HeadersInput): HeaderPair[] {
  try {
    return optionHeaderPairs(input);
  } catch (error) {
    throw serverFault('headers', error);
  }
}

/** Bytes that were written to a stream; undefined for one that does not count them. */
function bytesWritten(stream: Duplex): number | undefined {
  if (isHttp2Stream(stream)) return Number((stream as ServerHttp2Stream).headersSent);
  return (stream as Partial<Socket>).bytesWritten;
}

/** The error for a caller that upgrades a request which has an answer. */
function alreadyAnswered(): Error {
  return new Error('websocket: the request was already answered');
}

/**
 * The error for a call outside a listener for 'upgrade'. There Node parses the first frames as
 * requests, so the frames are lost.
 */
function outsideUpgrade(): HandshakeError {
  const message = "upgrade was called outside a listener for 'upgrade'";
  const cause = new Error(`websocket: ${message}`);
  return new HandshakeError(500, message, { body: 'Internal Server Error\n', cause });
}

/**
 * Rejects a Sec-WebSocket-Extensions header of the application: the upgrader negotiates extensions,
 * as in gorilla/websocket.
 */
function rejectExtensionsHeader(extra: readonly HeaderPair[]): void {
  if (headerOf(extra, 'sec-websocket-extensions') === undefined) return;
  throw new HandshakeError(
    500,
    "the application must not set 'Sec-WebSocket-Extensions'; use option compression",
  );
}
