import { Duplex } from 'node:stream';
import { acceptDeflate, checkResponse, type DeflateParameters, parseExtensions } from '@ws/codec';
import { checked } from '@ws/codec/internal';
import { TimeoutError, type Transport, TransportError } from '@ws/conn';
import { checkOptionNames, optionHint, ResolvedOptions, rejectedLater } from '@ws/conn/internal';
import { http2Transport, nodePlatform, socketTransport } from '@ws/node-io';
import {
  acceptKeyByCrypto,
  isHttp2Stream,
  isInstance,
  prepareReadBuffer,
} from '@ws/node-io/internal';
import { openCarrier } from './carrier.ts';
import { ClientConn } from './client-conn.ts';
import { Connector } from './connect.ts';
import { cookieValue, storeCookies } from './cookies.ts';
import { publishDial, publishDialFailure } from './dial-events.ts';
import { DialScope } from './dial-scope.ts';
import { BadHandshakeError, dialError } from './errors.ts';
import { isAccepted } from './exchange.ts';
import { isFunctionError } from './function-errors.ts';
import { adopt, GuardedStream } from './guarded-stream.ts';
import type { Carrier } from './http2/session-pool.ts';
import { responseOf, sendRequest, Unprocessed } from './http2/stream-handshake.ts';
import {
  checkDialerOptions,
  checkDialOptions,
  checkNotSubprotocols,
  DIAL_OPTION_NAMES,
  DIALER_OPTION_NAMES,
  type DialerOptions,
  type DialerPlan,
  type DialOptions,
} from './options.ts';
import { redirectOf, sameHost, sameServer } from './redirects.ts';
import {
  checkSubprotocols,
  deflateOffers,
  headerLine,
  makeRequest,
  type PreparedRequest,
} from './request.ts';
import { askForResponse, describeStatus, type HttpResponse } from './response.ts';
import { parseTarget, type Target } from './url.ts';

/**
 * Opens WebSocket connections: a URL becomes a {@link ClientConn}. A Dialer holds only options, so all
 * dials may share it.
 *
 * Every dial either resolves with the open connection or rejects with its socket destroyed. Code
 * between `await dial(...)` and its next `await` runs before the first frame is parsed. A rejected
 * dial:
 * - `TypeError`, `RangeError`, `SyntaxError`: an option or the URL is wrong; nothing was sent;
 * - `TransportError`: the connection failed; `cause` is the error of the socket or of a function of
 *   `tls`;
 * - {@link BadHandshakeError}: the server's response is not a valid handshake, or a proxy refused;
 * - `TimeoutError`: `handshakeTimeout` is over;
 * - the reason of `signal`, when the signal was aborted;
 * - the error of the cookie jar or of the `proxy` function.
 *
 * @see RFC 6455, section 4.1
 *
 * @example
 * ```ts
 * import { Dialer } from '@ws/node-client';
 * import { serve } from '@ws/node-server';
 *
 * await using server = await serve({ port: 0 }, (conn) => conn.receive((m) => conn.send(m)));
 * const dialer = new Dialer({ compression: true, handshakeTimeout: 5000 });
 * await using conn = await dialer.dial(server.url);
 * await conn.send('hello');
 * console.log((await conn.readMessage()).text()); // hello
 * ```
 */
export class Dialer {
  readonly #plan: DialerPlan;
  readonly #connector: Connector;

  /** @throws TypeError, RangeError or SyntaxError that names the option. */
  constructor(options: DialerOptions = {}) {
    this.#plan = checked(() => checkDialerOptions(options), Dialer);
    this.#connector = checked(() => new Connector(this.#plan), Dialer);
  }

  /**
   * Connects to `url` and performs the opening handshake.
   *
   * @param url - ws, wss, http (read as ws), https (read as wss), `ws+unix:/run/app.sock:/path` or
   *   wss+unix. User info is an error; a fragment is removed.
   * @throws (rejects with) the errors listed at {@link Dialer}.
   */
  async dial(url: string | URL, options: DialOptions = {}): Promise<ClientConn> {
    const { followRedirects, readBuffer } = this.#plan;
    // Usually it is ready when the server answers.
    if (readBuffer) void prepareReadBuffer();
    // The stack of an error starts at the caller of the function `dial`, or of this method.
    const attempt = checked(() => checked(() => this.#prepare(url, options), this, 'dial'), dial);
    const open: OpenStream = (target, scope, http1) => {
      const isNamed = sameServer(target, attempt.target);
      return openCarrier(this.#connector, this.#plan, target, isNamed, scope, http1);
    };
    return this.#runDial(attempt, options.signal, open, followRedirects);
  }

  /**
   * Performs the opening handshake on an open stream: a tunnel, an SSH channel, one end of a pair.
   * The handshake uses no proxy and follows no redirect.
   *
   * @param stream - Belongs to the dialer from the call on. The dialer destroys the stream when the
   *   handshake fails. The stream stays yours when the URL or an option is wrong, or when the
   *   stream is already in use.
   * @param url - The URL of the request. For a wss URL the dialer starts TLS over the stream,
   *   unless it is a `tls.TLSSocket`.
   * @throws (rejects with) the errors listed at {@link Dialer}.
   */
  async handshake(
    stream: Duplex | Transport,
    url: string | URL,
    options: DialOptions = {},
  ): Promise<ClientConn> {
    const attempt = checked(() => this.#prepare(url, options), this, 'handshake');
    const guarded = checked(() => adopt('handshake', stream), this, 'handshake');
    const open: OpenStream = async ({ secure, address }, scope) =>
      secure ? this.#connector.startTlsOver(guarded, address, scope) : guarded;
    return this.#runDial(attempt, options.signal, open, 0, guarded);
  }

  #prepare(url: string | URL, options: DialOptions): Attempt {
    checkDialOptions(options);
    const target = parseTarget(url);
    const { subprotocols, headers = {} } = options;
    const subprotocolOffer =
      subprotocols === undefined ? this.#plan.subprotocols : checkSubprotocols(subprotocols);
    const extensions = deflateOffers(this.#plan.settings.compression);
    return { target, request: makeRequest(target, headers, subprotocolOffer, extensions) };
  }

  /**
   * Runs one dial to its end, and bounds it. Every failure destroys the stream.
   *
   * @param given - A stream of the caller.
   */
  async #runDial(
    first: Attempt,
    signal: AbortSignal | undefined,
    open: OpenStream,
    maxRedirects: number,
    given?: GuardedStream,
  ): Promise<ClientConn> {
    const scope = new DialScope(this.#plan.handshakeTimeout, signal);
    const run: DialState = { scope, open, maxRedirects, stream: given };
    publishDial(first.target.url);
    try {
      scope.signal.throwIfAborted();
      return await this.#follow(first, run);
    } catch (error) {
      run.stream?.destroy();
      // After an abort every other error is a consequence of it.
      const reason: unknown = scope.signal.aborted ? scope.signal.reason : error;
      // Events create most errors, so their stacks do not name the caller of the dial. An error of
      // the caller keeps its own.
      const isOurs = reason !== signal?.reason && !isFunctionError(reason);
      if (isOurs && isDialError(reason)) Error.captureStackTrace(reason);
      publishDialFailure(first.target.url, reason);
      scope.end();
      // A function of the options may fail at once, and an aborted signal does: a caller that dials
      // again blocks no other work.
      return await rejectedLater(nodePlatform, reason);
    } finally {
      scope.end();
    }
  }

  /** Asks the server of the URL, and then those of its redirects, for a connection. */
  async #follow(first: Attempt, run: DialState): Promise<ClientConn> {
    let attempt = first;
    for (let followed = 0; ; followed++) {
      const response = await this.#ask(attempt, run);
      const next = run.maxRedirects === 0 ? undefined : redirectOf(response, attempt.target);
      if (next === undefined) return this.#accept(attempt.request, response, run);
      if (followed === run.maxRedirects) throw tooManyRedirects(response, followed);
      // The session would get the request, and the cookies, for another server.
      if (typeof this.#plan.http2 === 'object' && !sameServer(next, first.target)) {
        throw refused(response, `; it redirects to ${String(next.address)}, which ${OWN_SESSION}`);
      }
      run.stream!.destroy();
      attempt = redirected(attempt, next);
    }
  }

  /** Opens a stream, writes the request and reads the response. The jar sees both. */
  async #ask({ target, request }: Attempt, run: DialState): Promise<HttpResponse> {
    const { scope } = run;
    const { jar } = this.#plan;
    scope.peer = target.address.toString();
    scope.stage = 'connecting';
    // A Cookie header of the caller replaces the jar's cookies.
    const asksJar = jar !== undefined && !request.hasCookie;
    const cookie = asksJar ? await cookieValue(jar, target.cookieUrl, scope) : '';
    const response = await this.#exchange({ target, request }, cookie, run);
    // Of any response: a 401 may set cookies too.
    if (jar !== undefined) await storeCookies(jar, response.headers, target.cookieUrl, scope);
    return response;
  }

  /** Sends the request over HTTP/2 or HTTP/1.1, and reads the response. */
  async #exchange(
    { target, request }: Attempt,
    cookie: string,
    run: DialState,
    retry?: 'over HTTP/1.1' | 'again',
  ): Promise<HttpResponse> {
    const { scope } = run;
    const carrier = await run.open(target, scope, retry === 'over HTTP/1.1');
    scope.stage = 'waiting for the answer';
    if (carrier instanceof GuardedStream) {
      run.stream = carrier;
      const cookies = cookie === '' ? '' : headerLine('Cookie', cookie);
      const text = `${request.text}${cookies}\r\n`;
      return askForResponse(carrier.stream, { method: 'GET', text }, target.secure, scope);
    }
    try {
      const exchange = sendRequest(carrier, target, request, cookie);
      run.stream = new GuardedStream(exchange.stream);
      return await responseOf(exchange, scope);
    } catch (error) {
      if (error instanceof TimeoutError) carrier.doubt();
      if (!(error instanceof Unprocessed)) throw error;
      if (error.requiresHttp1) {
        if (this.#plan.http2 !== 'auto') throw error;
        return this.#exchange({ target, request }, cookie, run, 'over HTTP/1.1');
      }
      // Later dials open another session.
      carrier.retire();
      if (retry !== undefined) throw error;
      return this.#exchange({ target, request }, cookie, run, 'again');
    }
  }

  /**
   * Checks the response and gives the stream to a new connection.
   *
   * @throws BadHandshakeError that names every fault.
   */
  #accept(
    request: PreparedRequest,
    response: HttpResponse,
    { scope, stream }: DialState,
  ): ClientConn {
    if (!isAccepted(response.facts.version, response.status)) throw refused(response);
    const offer = {
      ...request,
      // Not read over HTTP/2.
      get accept() {
        return acceptKeyByCrypto(request.key);
      },
    };
    const faults = checkResponse(response.facts, offer);
    if (faults.length > 0) throw new BadHandshakeError(faults.join(', '), response);
    scope.signal.throwIfAborted();
    return this.#handOver(stream!, request, response);
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
    guarded.release();
    const options = new ResolvedOptions('client', nodePlatform, settings, {
      subprotocol: facts.list('sec-websocket-protocol'),
      extensions,
      deflate: extensions === '' ? undefined : deflateOf(extensions, request),
    });
    return new ClientConn(transport, options, { status, headers });
  }
}

/** Opens the stream to a server, or finds a session with it. */
type OpenStream = (target: Target, scope: DialScope, http1: boolean) => Promise<Carrier>;

/** What the attempts of one dial share. */
interface DialState {
  readonly scope: DialScope;
  readonly open: OpenStream;
  /** Most redirects to follow. */
  readonly maxRedirects: number;
  /** The stream of the current attempt. */
  stream: GuardedStream | undefined;
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

/** One request to one server. Each redirect creates a new attempt. */
interface Attempt {
  readonly target: Target;
  readonly request: PreparedRequest;
}

/**
 * Returns the request for a redirect's target, with a new key. Only the same server gets the
 * caller's headers, and only the same host the subprotocols of the option: one may be a token.
 */
function redirected({ target, request }: Attempt, next: Target): Attempt {
  const headers = sameServer(target, next) ? request.callerHeaders : [];
  const subprotocols = sameHost(target, next) ? request.subprotocolOption : [];
  return { target: next, request: makeRequest(next, headers, subprotocols, request.extensions) };
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

/** The Dialer of {@link dial}, with the default of every option. */
export const defaultDialer: Dialer = /* @__PURE__ */ new Dialer();

/** The options that {@link dial} takes. */
const OPTION_NAMES: readonly string[] = /* @__PURE__ */ [
  ...new Set([...DIAL_OPTION_NAMES, ...DIALER_OPTION_NAMES]),
];

/**
 * Opens a WebSocket connection. For many connections with the same options, create one
 * {@link Dialer}: each call with options of a Dialer checks them and reads the certificates again.
 * `reconnecting` and `ReconnectingConn` dial again when a connection ends.
 *
 * @param url - As for {@link Dialer.dial}.
 * @param options - Options of one dial and of a {@link Dialer}.
 * @returns The open connection, with the server's `response`.
 * @throws (rejects with) the errors listed at {@link Dialer}.
 * @see RFC 6455, section 4.1
 *
 * @example
 * ```ts
 * import { dial } from '@ws/node-client';
 * import { serve } from '@ws/node-server';
 *
 * await using server = await serve({ port: 0 }, (conn) => conn.receive((m) => conn.send(m)));
 * await using conn = await dial(server.url, { headers: { Authorization: 'Bearer token' } });
 * await conn.send('hello');
 * console.log((await conn.readMessage()).text()); // hello
 * ```
 */
export async function dial(
  url: string | URL,
  options: DialOptions & DialerOptions = {},
): Promise<ClientConn> {
  checked(() => {
    checkNotSubprotocols(options);
    checkOptionNames('dial', options, OPTION_NAMES, 'reject', optionHint);
  }, dial);
  const { headers, subprotocols, signal, ...ofDialer } = options;
  const dialer =
    Object.keys(ofDialer).length === 0 ? defaultDialer : checked(() => new Dialer(ofDialer), dial);
  return dialer.dial(url, { headers, subprotocols, signal });
}
