import { channel } from 'node:diagnostics_channel';
import { Duplex } from 'node:stream';
import { debuglog } from 'node:util';
import { acceptDeflate, checkResponse, type DeflateParameters, parseExtensions } from '@ws/codec';
import { excerpt } from '@ws/codec/internal';
import { TimeoutError, TransportError } from '@ws/conn';
import { ResolvedOptions, rejected } from '@ws/conn/internal';
import { type Diagnostics, http2Transport, nodePlatform, socketTransport } from '@ws/node-io';
import { acceptKeyByCrypto, isHttp2Stream, isInstance } from '@ws/node-io/internal';
import { ClientConn } from './client-conn.ts';
import type { Connector } from './connect.ts';
import { cookieValue, storeCookies } from './cookies.ts';
import { DialScope } from './dial-scope.ts';
import { BadHandshakeError, dialError, isFunctionError } from './errors.ts';
import { isAccepted } from './exchange.ts';
import { GuardedStream } from './guarded-stream.ts';
import { responseOf, sendRequest, Unprocessed } from './http2/on-demand.ts';
import { openCarrier } from './open-carrier.ts';
import type { DialerPlan } from './options.ts';
import { redirected, redirectOf, sameServer } from './redirects.ts';
import { headerLine, type PreparedRequest } from './request.ts';
import { askForResponse, describeStatus, type HttpResponse } from './response.ts';
import type { Target } from './url.ts';

/**
 * One dial: each redirect is a new request to a server. A dial resolves with an open connection, or
 * rejects with its stream destroyed.
 */
export class Dial {
  readonly #plan: DialerPlan;
  readonly #connector: Connector;
  readonly #first: PreparedRequest;
  /** Undefined unless the caller has opened it. */
  readonly #given: GuardedStream | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #scope: DialScope;
  /** The stream of the current request. */
  #stream: GuardedStream | undefined;

  /**
   * @param first - The request for the URL of the caller.
   * @param signal - Of the caller.
   * @param given - A stream of the caller.
   */
  constructor(
    plan: DialerPlan,
    connector: Connector,
    first: PreparedRequest,
    signal: AbortSignal | undefined,
    given?: GuardedStream,
  ) {
    this.#plan = plan;
    this.#connector = connector;
    this.#first = first;
    this.#given = given;
    this.#signal = signal;
    this.#scope = new DialScope(plan.handshakeTimeout, signal);
    this.#stream = given;
  }

  /** Runs the dial to its end, and bounds it. */
  async run(maxRedirects: number): Promise<ClientConn> {
    const scope = this.#scope;
    const { url } = this.#first.target;
    publishDial(url);
    try {
      if (scope.isAborted) throw scope.reason;
      return await this.#follow(maxRedirects);
    } catch (error) {
      this.#stream?.destroy();
      // After an abort every other error is a consequence of it.
      const reason: unknown = scope.isAborted ? scope.reason : error;
      // Events create most errors, so their stacks do not name the caller of the dial. An error of
      // the caller keeps its own.
      const isOurs = reason !== this.#signal?.reason && !isFunctionError(reason);
      if (isOurs && isDialError(reason)) Error.captureStackTrace(reason);
      publishDialFailure(url, reason);
      scope.stop();
      // A function of the options may fail at once, and an aborted signal does: a caller that dials
      // again blocks no other work.
      return await rejected(reason, Dial);
    } finally {
      scope.stop();
    }
  }

  /** Asks the server of the URL for a connection, and then the servers of its redirects. */
  async #follow(maxRedirects: number): Promise<ClientConn> {
    let request = this.#first;
    for (let followed = 0; ; followed++) {
      const response = await this.#ask(request);
      const next = maxRedirects === 0 ? undefined : redirectOf(response, request.target);
      if (next === undefined) return this.#accept(request, response);
      if (followed === maxRedirects) throw tooManyRedirects(response, followed);
      // The session would get the request, and the cookies, for another server.
      if (typeof this.#plan.http2 === 'object' && !sameServer(next, this.#first.target)) {
        throw refused(response, `; it redirects to ${String(next.address)}, which ${OWN_SESSION}`);
      }
      this.#stream!.destroy();
      request = redirected(request, next);
    }
  }

  /** Opens a stream, writes the request and reads the response. The jar sees both. */
  async #ask(request: PreparedRequest): Promise<HttpResponse> {
    const scope = this.#scope;
    const { jar } = this.#plan;
    const { address, cookieUrl } = request.target;
    scope.peer = address.toString();
    scope.stage = 'connecting';
    // A Cookie header of the caller replaces the jar's cookies.
    const asksJar = jar !== undefined && !request.hasCookie;
    const cookie = asksJar ? await cookieValue(jar, cookieUrl, scope) : '';
    const response = await this.#exchange(request, cookie);
    // Of any response: a 401 may set cookies too.
    if (jar !== undefined) await storeCookies(jar, response.headers, cookieUrl, scope);
    return response;
  }

  /** Sends the request over HTTP/2 or HTTP/1.1, and reads the response. */
  async #exchange(
    request: PreparedRequest,
    cookie: string,
    retry?: 'over HTTP/1.1' | 'again',
  ): Promise<HttpResponse> {
    const { target } = request;
    const scope = this.#scope;
    const given = this.#given;
    const named = this.#first.target;
    const isNamed = target === named || sameServer(target, named);
    const http1 = retry === 'over HTTP/1.1';
    const carrier = await (given === undefined
      ? openCarrier(this.#connector, this.#plan, target, isNamed, scope, http1)
      : this.#openOver(given, target));
    scope.stage = 'waiting for the answer';
    if (carrier instanceof GuardedStream) {
      this.#stream = carrier;
      const cookies = cookie === '' ? '' : headerLine('Cookie', cookie);
      const text = `${request.text}${cookies}\r\n`;
      return askForResponse(carrier.stream, text, target.secure, scope);
    }
    try {
      const exchange = sendRequest(carrier, request, cookie);
      this.#stream = new GuardedStream(exchange.stream);
      return await responseOf(exchange, scope);
    } catch (error) {
      if (error instanceof TimeoutError) carrier.doubt();
      if (!(error instanceof Unprocessed)) throw error;
      if (error.requiresHttp1) {
        if (this.#plan.http2 !== 'auto') throw error;
        return this.#exchange(request, cookie, 'over HTTP/1.1');
      }
      // Later dials open another session.
      carrier.retire();
      if (retry !== undefined) throw error;
      return this.#exchange(request, cookie, 'again');
    }
  }

  /** @param given - The stream of the caller. */
  #openOver(given: GuardedStream, target: Target): GuardedStream | Promise<GuardedStream> {
    if (!target.secure) return given;
    return this.#connector.startTlsOver(given, target.address, this.#scope);
  }

  /**
   * Checks the response and gives the stream to a new connection.
   *
   * @throws BadHandshakeError that names every fault.
   */
  #accept(request: PreparedRequest, response: HttpResponse): ClientConn {
    const { version } = response.facts;
    if (!isAccepted(version, response.status)) throw refused(response);
    // Not read over HTTP/2.
    const accept = version === '2' ? '' : acceptKeyByCrypto(request.key);
    const faults = checkResponse(response.facts, { ...request, accept });
    if (faults.length > 0) throw new BadHandshakeError(faults.join(', '), response);
    if (this.#scope.isAborted) throw this.#scope.reason;
    return this.#handOver(this.#stream!, request, response);
  }

  #handOver(guarded: GuardedStream, request: PreparedRequest, response: HttpResponse): ClientConn {
    const { destroyed, readableEnded } = guarded.stream;
    const isWhole = readableEnded && guarded.error === undefined && !isHttp2Stream(guarded.stream);
    const hasEnded = destroyed && isWhole;
    if (destroyed && !hasEnded) {
      throw dialError('the connection broke during the handshake', guarded.error);
    }
    const { settings, highWaterMark, readBuffer } = this.#plan;
    const { status, headers, facts, early } = response;
    const extensions = facts.list('sec-websocket-extensions');
    // A stream may destroy itself at its end. The messages before the end are in the early bytes.
    const stream = hasEnded ? endedStream() : guarded.stream;
    const transport = isHttp2Stream(stream)
      ? http2Transport(stream, { highWaterMark })
      : socketTransport(stream, { head: early, highWaterMark, readBuffer });
    // Release the guard only now: the transport has its own listener for 'error'.
    guarded.unguard();
    const options = new ResolvedOptions('client', nodePlatform, settings, {
      subprotocol: facts.list('sec-websocket-protocol'),
      extensions,
      deflate: extensions === '' ? undefined : deflateOf(extensions, request),
    });
    return new ClientConn(transport, options, { status, headers });
  }
}

/** A stream without bytes. What is written to it is lost. */
function endedStream(): Duplex {
  return new Duplex({
    read() {
      this.push(null);
    },
    write: (_chunk, _encoding, written) => written(),
  });
}

function isDialError(error: unknown): error is Error {
  const classes = [BadHandshakeError, TimeoutError, TransportError];
  return classes.some((each) => isInstance(error, each));
}

/** Returns the compression that a valid response has accepted. */
function deflateOf(
  accepted: string,
  { extensions }: PreparedRequest,
): DeflateParameters | undefined {
  const [answer] = parseExtensions(accepted) ?? [];
  return answer && acceptDeflate(answer, extensions);
}

function refused(response: HttpResponse, why = ''): BadHandshakeError {
  const wanted = response.facts.version === '2' ? 200 : 101;
  const message = `the server answered ${describeStatus(response.status)}, not ${wanted}${why}`;
  return new BadHandshakeError(message, response);
}

const OWN_SESSION = 'the session of the option http2 does not reach';

function tooManyRedirects(response: HttpResponse, followed: number): BadHandshakeError {
  const why = `${followed} redirects were followed, and followRedirects allows no more`;
  return refused(response, `; ${why}`);
}

// A dial as programs outside of the application see it.

const debug = /* @__PURE__ */ debuglog('ws');
const dialChannel = /* @__PURE__ */ channel('@ws:dial' satisfies keyof Diagnostics);
const failChannel = /* @__PURE__ */ channel('@ws:dial:fail' satisfies keyof Diagnostics);

function publishDial(url: string): void {
  if (dialChannel.hasSubscribers) dialChannel.publish({ url });
  if (debug.enabled) debug('dial: %s', withoutQuery(url));
}

function publishDialFailure(url: string, error: unknown): void {
  if (failChannel.hasSubscribers) failChannel.publish({ url, error });
  if (debug.enabled) debug('dial failed: %s: %s', withoutQuery(url), printed(error));
}

/** A query often contains a token. */
function withoutQuery(url: string): string {
  return url.replace(/\?.*/s, '?...');
}

function printed(error: unknown): string {
  try {
    return excerpt(String(error), 1_000);
  } catch {
    // The reason of a signal is any value.
    return 'a value that cannot be printed';
  }
}
