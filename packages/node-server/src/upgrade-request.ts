import type { IncomingMessage } from 'node:http';
import {
  type DeflateAgreement,
  type DeflateParameters,
  formatExtensions,
  negotiateDeflate,
  parseExtensions,
  type RequestFacts,
} from '@ws/codec';
import { NO_BYTES } from '@ws/codec/internal';
import { TransportError } from '@ws/conn';
import { type Admission, deflateLimits, isThenable, verdictOf } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { cutStream, isInstance } from '@ws/node-io/internal';
import { assertOpen, disconnectError, forgetTaken } from './client-socket.ts';
import type { AppRequest, HandlerContext } from './conn-handler.ts';
import { HandshakeError, type HeaderPair, serverFault } from './errors.ts';
import { HandshakeWaits } from './handshake-waits.ts';
import {
  type AnyResponse,
  type HeadersSource,
  isResponse,
  mergeHeaders,
  NO_HEADERS,
  returnedHeaders,
} from './headers.ts';
import type { UpgraderPlan } from './options.ts';
import { readAuth, responseRefusal, thrownBy } from './policies/authenticate.ts';
import { type ErrorHook, refuseByHook } from './policies/error-hook.ts';
import type { Reservation } from './policies/limits.ts';
import { selectSubprotocol } from './policies/select-subprotocol.ts';
import { applyRules, headFault, IncomingFacts } from './request.ts';
import type { Responder } from './responder/responder.ts';
import type { HandlerRunner } from './route.ts';
import {
  anyPath,
  decodePath,
  type NoParams,
  pathForm,
  type Router,
  splitTarget,
} from './route-table.ts';

/** For `upgrade`, which returns the connection. */
const NO_ROUTER: Router<undefined> = anyPath(undefined);

/** Both ends have agreed; a promise if something has to be waited for. */
type Agreement = void | Promise<void>;

// Of several faults of an upgrade request, the first one of this table is answered. The acceptor takes the
// socket and counts the request. The others are methods of `UpgradeRequest`.
//
// | who | fault | answer |
// |---|---|---|
// | acceptor | the socket is in use | none |
// | | `clientAddress` has failed | 500 |
// | | the server is closing, or has too many handshakes or connections | 503 |
// | | the headers of a call of `upgrade` are no headers | 500 |
// | `negotiate` | the client disconnects, or answers to its earlier requests take too long | none |
// | at any time until the answer | the handshake takes too long; bytes after the head exceed their bound | 503; 400 |
// | `#checkHead` | a request of node:http2's compatibility API | 400 |
// | | the application has answered | none |
// | | dropped header lines, or a head that is too large | 400, 431 |
// | | the rules of the request, in the order of `requestRules` in the codec | 4xx, 501 |
// | | a call outside the event 'upgrade' | 500 |
// | | a callback of `serveRaw` refuses | its own |
// | | no route | 404, 400 |
// | | the caller's headers have `Sec-WebSocket-Extensions` | 500 |
// | | the host | 421 |
// | | repeated Origin lines | 400 |
// | `#checkOrigin`, ... | the origin; before the function `checkOrigin` runs, the next row | 403 |
// | | the entries of `limits` by address | 429 |
// | | the rules of the offers | 400 |
// | | the pace of `handshakes` | 503 |
// | | `authenticate` refuses | its own |
// | | the other entries of `limits` | 429, 500 |
// | | the subprotocol | 400, 500 |
// | | the option `headers`, then `onBeforeUpgrade` | 500 |
// | acceptor | the client has disconnected, or the application has answered | none; 400 after a FIN |

/**
 * One upgrade request, whatever has parsed it, from its checks to its answer. The acceptor takes the
 * socket and counts the request, `negotiate` checks it, and the acceptor opens the connection.
 */
export class UpgradeRequest {
  /**
   * The options of the server; of the route, once it has matched; of this connection, if the result
   * of `authenticate` has some.
   */
  plan: UpgraderPlan;
  /** The handler of the route. Undefined before it has matched, and for `upgrade`. */
  runner: HandlerRunner | undefined;
  /** The pattern of the route that has matched. */
  route: string | undefined;
  /** Undefined before the limits are checked. */
  reservation: Reservation | undefined;
  /** The third argument of the handler. Undefined before the route has matched. */
  context: HandlerContext<unknown> | undefined;
  /** What `authenticate` has decided. */
  admission: Admission<unknown> | undefined;
  /** The headers of the application for the accepting answer. */
  headers: readonly HeaderPair[] = NO_HEADERS;
  /** Undefined before it is chosen, `''` for none. */
  subprotocol: string | undefined;
  /** The agreed extensions, as in the answer. */
  extensions = '';
  deflate: DeflateParameters | undefined;
  /** For the application's functions. */
  readonly req: AppRequest;
  /** For the rules and the other steps of the handshake. */
  readonly facts: RequestFacts;
  /** The request of node:http, or one made of a stream; undefined when other code has parsed it. */
  readonly incoming: IncomingMessage | undefined;
  /** For the answer. */
  readonly responder: Responder;
  /** The bytes after the request head. */
  readonly head: Uint8Array;
  readonly #startedAt: number;
  readonly #router: Router<HandlerRunner | undefined>;
  /** Undefined before it is asked for, null without one. */
  #address: string | null | undefined;
  /** The headers that are given with this request. */
  #extra: readonly HeaderPair[] = NO_HEADERS;
  /** Created for a wait or a refusal. */
  #waits: HandshakeWaits | undefined;

  /**
   * @param router - Undefined for a connection without a handler.
   * @param startedAt - The time from which the handshake timeout counts, by `performance.now()`.
   */
  constructor(
    plan: UpgraderPlan,
    facts: RequestFacts,
    responder: Responder,
    head: Uint8Array,
    router: Router<HandlerRunner> | undefined,
    startedAt: number = performance.now(),
  ) {
    this.plan = plan;
    this.facts = facts;
    this.incoming = facts instanceof IncomingFacts ? facts.incoming : undefined;
    this.req = (this.incoming ?? facts) as AppRequest;
    this.responder = responder;
    // A listener for a request of node:http2 gets a response in place of a socket, and no head.
    this.head = responder.fault === undefined ? head : NO_BYTES;
    this.#router = router ?? NO_ROUTER;
    this.#startedAt = startedAt;
  }

  /** The address of the client; undefined without one, and when the system has forgotten it. */
  get address(): string | undefined {
    try {
      return this.findAddress();
    } catch {
      return undefined;
    }
  }

  /** @throws as {@link FindAddress}, at the first call. */
  findAddress(): string | undefined {
    if (this.#address === undefined) {
      this.#address = null;
      this.#address = this.plan.findAddress(this) ?? null;
    }
    return this.#address ?? undefined;
  }

  /** Returns the waits of the handshake. Created at the first call. */
  acquireWaits(): HandshakeWaits {
    const { handshakeTimeout } = this.plan;
    this.#waits ??= new HandshakeWaits(
      this.responder,
      this.head,
      handshakeTimeout,
      this.#startedAt,
    );
    return this.#waits;
  }

  /**
   * Checks the request and agrees with the client. {@link subprotocol}, {@link extensions} and
   * {@link headers} then have the answer. It is synchronous, unless a function of the application
   * returns a promise, or earlier requests on the stream wait for their answers.
   *
   * @param extra - Headers of the application for the accepting answer, given with this request. Of
   *   a name that others have too, these win.
   * @throws the fault, or rejects with it.
   */
  negotiate(extra: readonly HeaderPair[]): Agreement {
    const { responder } = this;
    // Responses that a destroyed socket still carries never emit 'close'.
    if (responder.stream.destroyed) throw disconnectError(responder.stream);
    if (responder.isQueued) {
      const waits = this.acquireWaits();
      return responder
        .untilEarlierAnswered((work) => waits.wait(work))
        .then(() => {
          waits.checkEarlyBytes();
          return this.negotiate(extra);
        });
    }
    this.#extra = extra;
    this.#checkHead();
    return this.#checkOrigin();
  }

  /**
   * The checks before the check of the origin. No function of the application runs here, except the
   * callbacks of `serveRaw`.
   *
   * @throws the first fault.
   */
  #checkHead(): void {
    const { facts, incoming, responder } = this;
    if (responder.fault !== undefined) throw responder.fault;
    if (responder.isAnswered) throw alreadyAnswered();
    const fault = incoming && headFault(incoming);
    if (fault !== undefined) throw fault;
    applyRules(facts, 'request');
    if (responder.isReadByServer) throw outsideUpgrade();
    this.plan.callbacks?.checkHead(facts);
    this.#takeRoute();
    this.#extra.forEach(rejectExtensionsHeader);
    const { hosts } = this.plan;
    if (!hosts.allows(facts)) throw hosts.refusal(facts);
    applyRules(facts, 'origin');
  }

  /** Finds the route. Its handler, its options and the context of its handler count from here on. */
  #takeRoute(): void {
    const target = pathForm(this.facts.target);
    // An application that compares `req.url` with a path would otherwise miss the path of an
    // absolute URI, and the router would not.
    if (this.incoming !== undefined) this.incoming.url = target;
    const [path, query] = splitTarget(target);
    const { handler, params, route } = this.#router.match(target);
    this.runner = handler;
    this.route = route;
    this.context = contextOf(this, params, decodePath(path), new URLSearchParams(query));
    if (handler === undefined) return;
    this.plan = handler.plan;
    if (this.#waits !== undefined) this.#waits.timeout = this.plan.handshakeTimeout;
  }

  // The steps of an agreement. Each calls the next one, by `#ask` if it needs the result of a function
  // of the application. These functions are no methods of the plan: their `this` is undefined.

  #checkOrigin(): Agreement {
    const { facts, plan, req } = this;
    const { check } = plan.origins;
    if (check !== undefined) {
      this.reservation!.countAddress();
      return this.#ask(
        'checkOrigin',
        () => check(req),
        (allowed) => this.#originChecked(allowed),
      );
    }
    if (!plan.origins.allows(facts)) throw plan.origins.refusal(facts);
    this.reservation!.countAddress();
    return this.#begin();
  }

  #originChecked(allowed: unknown): Agreement {
    const { plan, req, route } = this;
    const verdict = verdictOf('checkOrigin', allowed);
    if (verdict === true) return this.#begin();
    if (allowed === undefined) plan.reporter.nothingReturned('checkOrigin', req, route);
    if (verdict !== false) {
      plan.reporter.failed(verdict, { where: 'checkOrigin', request: req, route, status: 403 });
    }
    throw plan.origins.refusal(this.facts);
  }

  /** Begins the handshake at the pace of the server: what comes next has a cost. */
  #begin(): Agreement {
    applyRules(this.facts, 'offers');
    const reservation = this.reservation!;
    const turn = reservation.awaitTurn();
    if (turn === undefined) return this.#authenticate();
    const waits = this.acquireWaits();
    waits.startedAt = Infinity;
    return waits.wait(turn).then(() => {
      waits.startedAt = performance.now();
      reservation.turnCame();
      return this.#authenticate();
    });
  }

  #authenticate(): Agreement {
    const { authenticate } = this.plan;
    if (authenticate === undefined) return this.#countClient();
    const { auth: _auth, ...known } = this.context!;
    const { signal } = this.acquireWaits();
    return this.#ask(
      'authenticate',
      () => authenticate(this.req, { signal, ...known }),
      (result) => this.#authenticated(result),
      (error) => thrownBy('authenticate', error),
    );
  }

  #authenticated(result: unknown): Agreement {
    if (result === undefined) {
      this.plan.reporter.nothingReturned('authenticate', this.req, this.route);
    }
    const admission = readAuth(result);
    if (isResponse(admission)) return this.#refuseBy(admission);
    this.context = { ...this.context!, auth: admission.auth };
    this.admission = admission;
    return this.#countClient();
  }

  #countClient(): Agreement {
    const { headers } = this.plan;
    this.reservation!.countClient(this);
    const plan = this.admission?.plan;
    if (plan !== undefined) this.plan = plan as UpgraderPlan;
    return this.#addHeaders(headers);
  }

  /** @throws (rejects with) the refusal of `refuse(response)`. */
  async #refuseBy(response: AnyResponse): Promise<never> {
    const waits = this.acquireWaits();
    const refusal = await responseRefusal(response, (work) => waits.wait(work));
    const { stream } = this.responder;
    throw stream.writable ? refusal : disconnectError(stream);
  }

  /**
   * Chooses the subprotocol, and adds the headers of the server and its route.
   *
   * @param at - Index of the first source that was not asked yet.
   */
  #addHeaders(sources: readonly HeadersSource[], at = 0): Agreement {
    const { facts, plan, req } = this;
    this.subprotocol ??= selectSubprotocol(facts, req, plan.subprotocols, this.#extra);
    const source = sources[at];
    if (source === undefined) return this.#agree();
    if (typeof source !== 'function') {
      this.headers = mergeHeaders(this.headers, source);
      return this.#addHeaders(sources, at + 1);
    }
    return this.#ask(
      'headers',
      () => source(req, this.context!),
      (returned) => {
        this.headers = mergeHeaders(this.headers, returnedHeaders(returned));
        return this.#addHeaders(sources, at + 1);
      },
    );
  }

  /** The last step: of a name that several have, the lines of those that come later win. */
  #agree(): void {
    const { facts } = this;
    const { callbacks, settings } = this.plan;
    const extra = this.#extra;
    if (callbacks !== undefined) {
      this.headers = mergeHeaders(this.headers, callbacks.beforeUpgrade(facts));
    }
    if (extra.length > 0) {
      this.headers = mergeHeaders(this.headers, extra.filter(isNoSubprotocol));
    }
    if (!facts.has('sec-websocket-extensions')) return;
    const agreed = agreeOnDeflate(facts, settings);
    if (agreed === undefined) return;
    this.extensions = formatExtensions([agreed.answer]);
    this.deflate = agreed.parameters;
  }

  /**
   * Calls a function of the application, and `onResult` with its result: at once, unless it is a
   * promise. That has the time of the handshake.
   */
  #ask<T>(
    name: string,
    call: () => T | PromiseLike<T>,
    onResult: (result: T) => Agreement,
    refusalOf = (error: unknown): HandshakeError => serverFault(name, error),
  ): Agreement {
    if (this.#waits === undefined) assertOpen(this.responder.stream);
    else this.#waits.checkClient();
    // If the client has disconnected, or the time is up, that is the cause.
    const failed = (error: unknown): never => {
      throw this.#waits?.failure ?? refusalOf(error);
    };
    let result: T;
    try {
      const returned = call();
      if (isThenable(returned)) {
        return this.acquireWaits().waitForCall(name, returned).then(onResult, failed);
      }
      result = returned;
    } catch (error) {
      return failed(error);
    }
    return onResult(result);
  }

  /**
   * Stops the waits before the answer is written.
   *
   * @returns The bytes that the client has sent after its request.
   * @throws TransportError when the client has disconnected, Error when the request is answered
   *   already.
   */
  prepareAnswer(): Uint8Array {
    const waits = this.#waits;
    waits?.stop();
    if (waits?.failure !== undefined) throw waits.failure;
    if (this.responder.isAnswered) throw alreadyAnswered();
    assertOpen(this.responder.stream);
    return waits === undefined ? this.head : waits.takeEarlyBytes();
  }

  /** Forgets the socket, after the Conn has it and catches its errors. */
  forgetSocket(): void {
    forgetTaken(this.responder.stream);
    this.#waits?.forgetSocket();
  }

  /** The refusal for an error of the handshake; undefined for one that is not answered. */
  refusalOf(error: unknown): HandshakeError | undefined {
    if (isInstance(error, HandshakeError)) return error;
    const { stream } = this.responder;
    if (!isInstance(error, TransportError) || !stream.writable) return undefined;
    // A client that has half-closed may still read this refusal.
    const message = 'the client has ended its half of the connection before the answer';
    return new HandshakeError(400, message, { cause: error });
  }

  /**
   * Answers a request with a failed handshake, after the answers to earlier requests, and ends
   * its stream.
   *
   * @param refusal - Undefined destroys the stream without an answer.
   * @param hook - Asks the option `error`.
   * @throws the error of `hook`. The refusal is sent all the same.
   */
  async answerFailure(
    refusal: HandshakeError | undefined,
    hook?: ErrorHook<AppRequest>,
  ): Promise<void> {
    const { responder } = this;
    const waits = this.acquireWaits();
    waits.stop();
    if (responder.isAnswered) return responder.endAnswered(waits.timeout);
    if (refusal === undefined || !(await this.#canAnswer(waits))) {
      cutStream(responder.stream);
    } else if (hook === undefined) {
      responder.refuse(refusal, this.req.method);
    } else {
      refuseByHook(hook, refusal, this, waits.timeout, this.plan.reporter);
    }
  }

  /** @returns false when earlier answers do not end in time, or when the client has disconnected. */
  async #canAnswer(waits: HandshakeWaits): Promise<boolean> {
    const { responder } = this;
    if (!responder.isQueued) return responder.stream.writable;
    // The handshake failed while it waited for these answers.
    if (waits.failure !== undefined) return false;
    try {
      await responder.untilEarlierAnswered((work) => waits.wait(work));
      return true;
    } catch {
      return false;
    } finally {
      waits.stop();
    }
  }
}

/**
 * Takes the first offer of permessage-deflate that is valid (RFC 7692, section 5). All other
 * extensions are declined.
 *
 * @returns Undefined when there is no valid offer, or when compression is off.
 */
function agreeOnDeflate(
  facts: RequestFacts,
  settings: UpgraderPlan['settings'],
): DeflateAgreement | undefined {
  const limits = deflateLimits(settings, 'server', nodePlatform);
  if (limits === undefined) return undefined;
  // A malformed header was refused before.
  const offers = parseExtensions(facts.list('sec-websocket-extensions')) ?? [];
  return negotiateDeflate(offers, limits);
}

/** The request of a handler's context. Copies of the context do not have it. */
const REQUEST = Symbol('request');

/**
 * The address in a handler's context: a system call, which most applications do not need. All contexts
 * share the getter. V8 keeps each getter in its old generation, and a closure there would keep the
 * request until a full collection.
 */
const ADDRESS: PropertyDescriptor & ThisType<{ readonly [REQUEST]: UpgradeRequest }> = {
  configurable: true,
  enumerable: true,
  get() {
    return this[REQUEST].address;
  },
};

/** The third argument of a handler. */
function contextOf(
  request: UpgradeRequest,
  params: NoParams,
  path: string,
  query: URLSearchParams,
): HandlerContext<unknown> {
  const context = { auth: undefined, params, path, query, route: request.route };
  Object.defineProperty(context, REQUEST, { value: request });
  return Object.defineProperty(context, 'address', ADDRESS) as HandlerContext<unknown>;
}

/** The upgrader negotiates extensions, as in gorilla/websocket. */
function rejectExtensionsHeader([name]: HeaderPair): void {
  if (name.toLowerCase() !== 'sec-websocket-extensions') return;
  throw new HandshakeError(
    500,
    "the application must not set 'Sec-WebSocket-Extensions'; use option compression",
  );
}

/** The subprotocol of this request was agreed on, and has its own line. */
function isNoSubprotocol([name]: HeaderPair): boolean {
  return name.toLowerCase() !== 'sec-websocket-protocol';
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
