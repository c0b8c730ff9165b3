import type { IncomingMessage } from 'node:http';
import {
  type DeflateAgreement,
  formatExtensions,
  negotiateDeflate,
  parseExtensions,
  type RequestFacts,
} from '@ws/codec';
import { NO_BYTES } from '@ws/codec/internal';
import { deflateLimits } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { cutStream } from '@ws/node-io/internal';
import { alreadyAnswered, checkInOrder } from './checks-in-order.ts';
import { assertOpen, disconnectError, forgetTaken } from './client-socket.ts';
import type { AppRequest, HandlerContext } from './conn-handler.ts';
import { type HandshakeError, type HeaderPair, serverFault, unexpectedResult } from './errors.ts';
import { HandshakeWaits } from './handshake-waits.ts';
import {
  type AnyResponse,
  type HeadersInput,
  isResponse,
  mergeHeaders,
  NO_HEADERS,
  optionHeaderPairs,
} from './headers.ts';
import type { UpgraderPlan } from './options.ts';
import { type Admission, admissionOf } from './policies/admit.ts';
import { readAuth, responseRefusal, thrownByAuthenticate } from './policies/authenticate.ts';
import { type ErrorHook, refuseByHook } from './policies/error-hook.ts';
import { beforeUpgrade } from './policies/head-callbacks.ts';
import type { Reservation } from './policies/limits.ts';
import type { CheckOrigin } from './policies/origin.ts';
import { selectSubprotocol } from './policies/select-subprotocol.ts';
import { applyRules } from './request.ts';
import type { Agreement, Responder } from './responder/responder.ts';
import type { HandlerRunner } from './route.ts';
import { anyPath, decodePath, pathForm, queryOf, type Router, rawPath } from './route-table.ts';
import type { ServerRequest } from './server-request.ts';

/** For `upgrade`, which returns the connection. */
const NO_ROUTER: Router<undefined> = anyPath(undefined);

/**
 * One upgrade request, from its checks to its answer. The acceptor takes the socket and counts the
 * request, `negotiate` checks it, and the acceptor opens the connection.
 *
 * The file `checks-in-order.ts` lists the faults in the order in which they are answered.
 */
export class UpgradeRequest implements ServerRequest {
  /** The options of the server; of the route, once it has matched. */
  plan: UpgraderPlan;
  /** The handler of the route. Undefined before it has matched, and for `upgrade`. */
  runner: HandlerRunner | undefined;
  /** The pattern of the route that has matched. */
  route: string | undefined;
  /** The address of the client. Undefined before the limits are checked, or without an address. */
  address: string | undefined;
  /** Undefined before the limits are checked. */
  reservation: Reservation | undefined;
  /** The third argument of the handler. Undefined before the route has matched. */
  context: HandlerContext<unknown> | undefined;
  /** The result of `authenticate`, if it is one of `admit`. */
  admission: Admission<unknown> | undefined;
  readonly req: AppRequest;
  readonly facts: RequestFacts;
  readonly incoming: IncomingMessage | undefined;
  readonly responder: Responder;
  /** The bytes after the request head. */
  readonly head: Uint8Array;
  readonly #startedAt: number;
  readonly #router: Router<HandlerRunner | undefined>;
  /** Headers for the accepting answer that are given with this request. */
  #extra: readonly HeaderPair[] = NO_HEADERS;
  /** Created for a wait or a refusal. */
  #waits: HandshakeWaits | undefined;

  /**
   * @param router - Undefined for a connection without a handler.
   * @param startedAt - The time from which the handshake timeout counts, by `performance.now()`.
   */
  constructor(
    plan: UpgraderPlan,
    { req, facts, incoming, responder }: ServerRequest,
    head: Uint8Array,
    router: Router<HandlerRunner> | undefined,
    startedAt: number,
  ) {
    this.plan = plan;
    this.req = req;
    this.facts = facts;
    this.incoming = incoming;
    this.responder = responder;
    // A listener for a request of node:http2 gets a response in place of a socket, and no head.
    this.head = responder.fault === undefined ? head : NO_BYTES;
    this.#router = router ?? NO_ROUTER;
    this.#startedAt = startedAt;
  }

  /** The options of the connection: those of the route, unless `authenticate` has chosen others. */
  get connPlan(): UpgraderPlan {
    return (this.admission?.plan as UpgraderPlan | undefined) ?? this.plan;
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
   * Checks the request and agrees with the client. It is synchronous, unless a function of the
   * application has a say, or earlier requests on the stream wait for their answers.
   *
   * @param extra - Headers of the application for the accepting answer.
   * @throws the fault, or rejects with it.
   */
  negotiate(extra: readonly HeaderPair[]): Agreement | Promise<Agreement> {
    const { responder } = this;
    this.#extra = extra;
    // Responses that a destroyed socket still carries never emit 'close'.
    if (responder.stream.destroyed) throw disconnectError(responder.stream);
    if (responder.isQueued) return this.#negotiateInTurn(extra);
    checkInOrder(this, extra);
    return this.plan.asksApplication ? this.#agreeLater() : this.#agreeAtOnce();
  }

  async #negotiateInTurn(extra: readonly HeaderPair[]): Promise<Agreement> {
    const waits = this.acquireWaits();
    await this.responder.untilEarlierAnswered((work) => waits.wait(work));
    waits.checkEarlyBytes();
    return this.negotiate(extra);
  }

  /** Finds the route. Its handler, its options and the context of its handler count from here on. */
  takeRoute(): void {
    const target = pathForm(this.facts.target);
    // An application that compares `req.url` with a path would otherwise miss the path of an
    // absolute URI, and the router would not.
    if (this.incoming !== undefined) this.incoming.url = target;
    const { handler, params, route } = this.#router.match(target);
    this.runner = handler;
    this.route = route;
    this.context = {
      auth: undefined,
      params,
      path: decodePath(rawPath(target)),
      query: queryOf(target),
      route,
      address: this.address,
    };
    if (handler === undefined) return;
    this.plan = handler.plan;
    if (this.#waits !== undefined) this.#waits.timeout = this.plan.handshakeTimeout;
  }

  /** Agrees with the client without functions of the application. */
  #agreeAtOnce(): Agreement {
    const { facts, plan } = this;
    if (!plan.origins.allows(facts)) throw plan.origins.refusal(facts);
    applyRules(facts, 'offers');
    const subprotocol = selectSubprotocol(facts, this.req, plan.subprotocols, this.#extra);
    let headers = NO_HEADERS;
    for (const pairs of plan.headers) headers = mergeHeaders(headers, pairs as HeaderPair[]);
    return this.#agreement(plan, subprotocol, headers);
  }

  /** Agrees with the client where functions of the application have a say. */
  async #agreeLater(): Promise<Agreement> {
    const { facts, plan, req } = this;
    const { origins } = plan;
    if (origins.check !== undefined) await this.#askOrigin(origins.check);
    else if (!origins.allows(facts)) throw origins.refusal(facts);
    applyRules(facts, 'offers');
    if (plan.authenticate !== undefined) await this.#authenticate(plan.authenticate);
    const { connPlan } = this;
    const subprotocol = selectSubprotocol(facts, req, connPlan.subprotocols, this.#extra);
    let headers = NO_HEADERS;
    for (const source of plan.headers) {
      const pairs =
        typeof source === 'function'
          ? returnedHeaders(await this.#call('headers', () => source(req, this.context!)))
          : source;
      headers = mergeHeaders(headers, pairs);
    }
    return this.#agreement(connPlan, subprotocol, headers);
  }

  // The functions are arguments and no methods of the plan: their `this` is undefined.

  async #askOrigin(checkOrigin: CheckOrigin<AppRequest>): Promise<void> {
    const { facts, req } = this;
    const allowed: unknown = await this.#call('checkOrigin', () => checkOrigin(req));
    // An Error or an object does not allow the request.
    if (allowed && typeof allowed !== 'boolean') {
      throw serverFault('checkOrigin', unexpectedResult('checkOrigin', 'true or false', allowed));
    }
    if (allowed === undefined) {
      this.plan.reporter.nothingReturned('checkOrigin', '', req, this.route);
    }
    if (!allowed) throw this.plan.origins.refusal(facts);
  }

  async #authenticate(authenticate: NonNullable<UpgraderPlan['authenticate']>): Promise<void> {
    const { req } = this;
    const { auth: _auth, ...known } = this.context!;
    const { signal } = this.acquireWaits();
    const result = await this.#call(
      'authenticate',
      () => authenticate(req, { signal, ...known }),
      thrownByAuthenticate,
    );
    const admission = admissionOf(result);
    const returned = admission === undefined ? result : admission.auth;
    if (returned === undefined) {
      const place = admission === undefined ? '' : ' in admit';
      this.plan.reporter.nothingReturned('authenticate', place, req, this.route);
    }
    if (isResponse(returned)) throw await this.#refusalOf(returned);
    this.context = { auth: readAuth(returned), ...known };
    this.admission = admission;
  }

  /** The error for a Response that `authenticate` has returned. */
  async #refusalOf(response: AnyResponse): Promise<Error> {
    const waits = this.acquireWaits();
    const refusal = await responseRefusal(response, (work) => waits.wait(work));
    const { stream } = this.responder;
    return stream.writable ? refusal : disconnectError(stream);
  }

  /** Calls a function of the application, and waits for its result within the handshake timeout. */
  async #call<T>(
    name: string,
    call: () => T | PromiseLike<T>,
    refusalOf = (error: unknown): HandshakeError => serverFault(name, error),
  ): Promise<T> {
    const waits = this.acquireWaits();
    waits.checkClient();
    try {
      return await waits.waitForCall(name, call());
    } catch (error) {
      // The client has disconnected, or the time is up. Report that as the cause.
      throw waits.failure ?? refusalOf(error);
    }
  }

  /**
   * @param headers - Those of the option. Of a name that several have, the lines of
   *   `onBeforeUpgrade` replace these, and those that are given with the request replace both.
   */
  #agreement(
    { callbacks, settings }: UpgraderPlan,
    subprotocol: string,
    headers: readonly HeaderPair[],
  ): Agreement {
    const { facts } = this;
    const extra = this.#extra;
    const before = callbacks === undefined ? NO_HEADERS : beforeUpgrade(callbacks, facts);
    if (before.length > 0) headers = mergeHeaders(headers, before);
    if (extra.length > 0) headers = mergeHeaders(headers, extra.filter(isNoSubprotocol));
    const agreed = facts.has('sec-websocket-extensions')
      ? agreeOnDeflate(facts, settings)
      : undefined;
    return {
      // Over HTTP/2 a request needs none.
      key: facts.once('sec-websocket-key') ?? '',
      subprotocol,
      extensions: agreed === undefined ? '' : formatExtensions([agreed.answer]),
      deflate: agreed?.parameters,
      headers,
    };
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
