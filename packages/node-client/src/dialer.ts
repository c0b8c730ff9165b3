import { Duplex } from 'node:stream';
import { type ExtensionOffer } from '@ws/codec';
import { checked } from '@ws/codec/internal';
import { TimeoutError, type Transport, TransportError } from '@ws/conn';
import { checkOptionNames, rejectedLater } from '@ws/conn/internal';
import { nodePlatform, socketTransport } from '@ws/node-io';
import { isInstance, prepareReadBuffer } from '@ws/node-io/internal';
import {
  deflateOf,
  describeStatus,
  extensionsOf,
  faultsOf,
  subprotocolOf,
  tabFault,
} from './check-response.ts';
import { ClientConn } from './client-conn.ts';
import { Connector } from './connect.ts';
import { checkCookie, storeCookies } from './cookies.ts';
import { deflateOffers } from './deflate-offers.ts';
import { dialError } from './dial-error.ts';
import { publishDial, publishDialFailure } from './dial-events.ts';
import { DialScope } from './dial-scope.ts';
import { BadHandshakeError } from './errors.ts';
import { exchange, type HttpResponse } from './exchange.ts';
import type { GuardedStream } from './guarded-stream.ts';
import { adopt } from './net-dial.ts';
import {
  checkDialerOptions,
  checkDialOptions,
  checkNotSubprotocols,
  clientHints,
  DIAL_OPTION_NAMES,
  DIALER_OPTION_NAMES,
  type DialerOptions,
  type DialerPlan,
  type DialOptions,
} from './options.ts';
import { chooseProxy } from './proxy/choose-proxy.ts';
import { redirectOf, sameServer } from './redirects.ts';
import { checkSubprotocols, type HandshakeRequest, headerLine, makeRequest } from './request.ts';
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
    const { proxy, followRedirects, readBuffer } = this.#plan;
    // Usually it is ready when the server answers.
    if (readBuffer) void prepareReadBuffer();
    // The caller of this method, or of the function `dial`, which calls it.
    const attempt = checked(() => checked(() => this.#prepare(url, options), this, 'dial'), dial);
    const open = async (target: Target, scope: DialScope): Promise<GuardedStream> => {
      const via = await chooseProxy(proxy, target, scope);
      return this.#connector.open(target, via, sameServer(target, attempt.target), scope);
    };
    return this.#handshake(attempt, options.signal, open, followRedirects);
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
    const open = async ({ secure, address }: Target, scope: DialScope): Promise<GuardedStream> => {
      return secure ? this.#connector.secure(guarded, address, scope) : guarded;
    };
    return this.#handshake(attempt, options.signal, open, 0, guarded);
  }

  #prepare(url: string | URL, options: DialOptions): Attempt {
    checkDialOptions(options);
    const target = parseTarget(url);
    const { subprotocols, headers = {} } = options;
    const subprotocolOffer =
      subprotocols === undefined ? this.#plan.subprotocols : checkSubprotocols(subprotocols);
    return {
      target,
      request: makeRequest(
        target,
        headers,
        subprotocolOffer,
        deflateOffers(this.#plan.compression),
      ),
    };
  }

  /**
   * Runs all steps of a dial: reads cookies, opens a stream, exchanges request and response, stores
   * cookies, checks the response and creates the Conn. Each redirect restarts the steps.
   */
  async #handshake(
    first: Attempt,
    signal: AbortSignal | undefined,
    open: (target: Target, scope: DialScope) => Promise<GuardedStream>,
    redirects: number,
    given?: GuardedStream,
  ): Promise<ClientConn> {
    const scope = new DialScope(this.#plan.handshakeTimeout, signal);
    publishDial(first.target.url);
    let attempt = first;
    let guarded = given;
    try {
      for (let followed = 0; ; followed++) {
        const { target, request } = attempt;
        scope.peer = target.address.toString();
        scope.stage = 'connecting';
        scope.signal.throwIfAborted();
        const text = `${await this.#withCookies(request, target, scope)}\r\n`;
        guarded = await open(target, scope);
        scope.stage = 'waiting for the answer';
        const response = await exchange(
          guarded.stream,
          { method: 'GET', text, secure: target.secure },
          scope,
        );
        await this.#keepCookies(response, target, scope);
        const next = redirects === 0 ? undefined : redirectOf(response, target);
        if (next === undefined) {
          const faults = faultsOf(response, request);
          // A tab beside the token is legal, but the parser of node:http misses a token before one.
          if (faults.length === 0 && !response.upgraded) faults.push(tabFault(response));
          if (faults.length > 0) throw new BadHandshakeError(faults.join(', '), response);
          scope.signal.throwIfAborted();
          return this.#handOver(guarded, response, request.offers);
        }
        if (followed === redirects) throw tooManyRedirects(response, followed);
        guarded.destroy();
        attempt = redirected(attempt, next);
      }
    } catch (error) {
      guarded?.destroy();
      // After an abort every other error is a consequence of it.
      const reason: unknown = scope.signal.aborted ? scope.signal.reason : error;
      // Events create most errors, so their stacks do not name the caller of the dial.
      if (isDialError(reason)) Error.captureStackTrace(reason);
      publishDialFailure(first.target.url, reason);
      scope.end();
      // A function of the options may fail at once, and an aborted signal does: a caller that dials
      // again blocks no other work.
      return await rejectedLater(nodePlatform, reason);
    } finally {
      scope.end();
    }
  }

  /**
   * Returns the request up to its empty line, with the jar's cookies unless the caller gave a
   * Cookie header.
   */
  async #withCookies(request: HandshakeRequest, target: Target, scope: DialScope): Promise<string> {
    const { jar } = this.#plan;
    if (jar === undefined || request.hasCookie) return request.text;
    scope.stage = 'waiting for the cookie jar';
    const cookie = await scope.race(jar.getCookieString(target.cookieUrl));
    checkCookie(cookie);
    scope.stage = 'connecting';
    return cookie === '' ? request.text : request.text + headerLine('Cookie', cookie);
  }

  /** Stores the cookies of any response: a 401 may set cookies too. */
  async #keepCookies(response: HttpResponse, target: Target, scope: DialScope): Promise<void> {
    const { jar } = this.#plan;
    const cookies = response.headers['set-cookie'];
    if (jar === undefined || cookies === undefined) return;
    scope.stage = 'waiting for the cookie jar';
    await scope.race(storeCookies(jar, cookies, target.cookieUrl));
  }

  /** Gives the stream to a new connection. */
  #handOver(
    guarded: GuardedStream,
    response: HttpResponse,
    offers: readonly ExtensionOffer[],
  ): ClientConn {
    const { destroyed, readableEnded } = guarded.stream;
    const hasEnded = destroyed && readableEnded && guarded.error === undefined;
    if (destroyed && !hasEnded) {
      throw dialError('the connection broke during the handshake', guarded.error);
    }
    const { highWaterMark, readBuffer } = this.#plan;
    const { head } = response;
    // A stream may destroy itself at its end. The messages before the end are in the head.
    const stream = hasEnded ? endedStream() : guarded.stream;
    const transport = socketTransport(stream, { head, highWaterMark, readBuffer });
    // Release the guard only now: the transport has its own listener for 'error'.
    guarded.release();
    const options = {
      ...this.#plan.conn,
      role: 'client',
      platform: nodePlatform,
      subprotocol: subprotocolOf(response),
      extensions: extensionsOf(response),
      deflate: deflateOf(response, offers),
    } as const;
    const { status, headers } = response;
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

/** One request to one server. Each redirect creates a new attempt. */
interface Attempt {
  readonly target: Target;
  readonly request: HandshakeRequest;
}

/**
 * Returns the request for a redirect's target, with a new key. The caller's headers are sent only
 * to the same server as before.
 */
function redirected({ target, request }: Attempt, next: Target): Attempt {
  const headers = sameServer(target, next) ? request.callerHeaders : [];
  return {
    target: next,
    request: makeRequest(next, headers, request.subprotocols, request.offers),
  };
}

function isDialError(error: unknown): error is Error {
  const classes = [BadHandshakeError, TimeoutError, TransportError];
  return classes.some((each) => isInstance(error, each));
}

function tooManyRedirects(response: HttpResponse, followed: number): BadHandshakeError {
  const message = `the server answered ${describeStatus(response.status)}, not 101; ${followed} redirects were followed, and followRedirects allows no more`;
  return new BadHandshakeError(message, response);
}

/** The Dialer of {@link dial}, with the default of every option. */
export const defaultDialer: Dialer = /* @__PURE__ */ new Dialer();

/** The options that {@link dial} takes. */
const OPTION_NAMES: readonly string[] = /* @__PURE__ */ [
  ...new Set([...DIAL_OPTION_NAMES, ...DIALER_OPTION_NAMES]),
];
const OPTION_HINTS = /* @__PURE__ */ clientHints(OPTION_NAMES);

/**
 * Opens a WebSocket connection. For many connections with the same options, create one
 * {@link Dialer}: each call with options of a Dialer checks them and reads the certificates again.
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
    checkOptionNames('dial', options, OPTION_NAMES, 'reject', OPTION_HINTS);
  }, dial);
  const { headers, subprotocols, signal, ...ofDialer } = options;
  const dialer =
    Object.keys(ofDialer).length === 0 ? defaultDialer : checked(() => new Dialer(ofDialer), dial);
  return dialer.dial(url, { headers, subprotocols, signal });
}
