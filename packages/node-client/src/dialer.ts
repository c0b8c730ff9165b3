import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import { Conn, type Transport, TransportError } from '@ws/conn';
import { nodeHost, socketTransport } from '@ws/node-io';
import { Bounds } from './bounds.ts';
import { faultsOf, subprotocolOf } from './check-response.ts';
import { Connector, guarded } from './connect.ts';
import { checkCookie, storeCookies } from './cookies.ts';
import { BadHandshakeError } from './errors.ts';
import { type Answer, exchange } from './exchange.ts';
import type { Guard } from './guard.ts';
import {
  checkDialerOptions,
  checkDialOptions,
  type DialerOptions,
  type DialerPlan,
  type DialOptions,
} from './options.ts';
import { checkSubprotocols, type HandshakeRequest, makeRequest } from './request.ts';
import { parseTarget, type Target } from './url.ts';

/** The server's answer to a handshake that succeeded. */
export interface HandshakeResponse {
  /** 101. */
  readonly status: number;
  /** As node:http gives them: names in lower case, `set-cookie` as an array. */
  readonly headers: IncomingHttpHeaders;
}

/** What a dial gives. */
export interface Dialed {
  /** Open. No frame is parsed before the code that awaited the dial has run its first synchronous part. */
  readonly conn: Conn;
  readonly response: HandshakeResponse;
}

/**
 * Opens WebSocket connections: a URL becomes a {@link Conn}. It holds options only and may be shared by all dials.
 *
 * Every dial either gives a Conn or rejects with its socket destroyed:
 * - `TypeError`, `RangeError`, `SyntaxError`: an option or the URL is wrong; nothing was sent;
 * - `TransportError`: no connection, or it broke; `cause` is the socket's error;
 * - {@link BadHandshakeError}: the server's answer was no handshake;
 * - `TimeoutError`: `handshakeTimeout` is over;
 * - the reason of `signal`, when that aborted;
 * - what the cookie jar threw.
 *
 * @see RFC 6455, section 4.1
 */
export class Dialer {
  readonly #plan: DialerPlan;
  readonly #connector: Connector;

  /** @throws TypeError, RangeError or SyntaxError that names the option. */
  constructor(options: DialerOptions = {}) {
    this.#plan = checkDialerOptions(options);
    this.#connector = new Connector(this.#plan);
  }

  /**
   * Connects to `url` and makes the opening handshake.
   *
   * @param url - ws, wss, http (taken as ws), https (as wss), `ws+unix:/run/app.sock:/path` or wss+unix. Without user
   *   info; a fragment is removed.
   */
  async dial(url: string | URL, options: DialOptions = {}): Promise<Dialed> {
    const { target, request } = this.#prepare(url, options);
    return this.#shake(target, request, options.signal, (bounds) => {
      return this.#connector.open(target, bounds);
    });
  }

  /**
   * Makes the opening handshake on a stream that is open already: a tunnel, an SSH channel, one end of a pair.
   *
   * @param stream - The dialer's from the call on, and destroyed when the handshake fails; left alone when the URL or an
   *   option is wrong, or when it is in use already.
   * @param url - What the request says. For a wss URL TLS is laid over the stream, unless it is a `tls.TLSSocket`.
   */
  async handshake(
    stream: Duplex | Transport,
    url: string | URL,
    options: DialOptions = {},
  ): Promise<Dialed> {
    const { target, request } = this.#prepare(url, options);
    const line = guarded('handshake', stream);
    return this.#shake(
      target,
      request,
      options.signal,
      async (bounds) => {
        return target.secure ? this.#connector.secure(line, target.address, bounds) : line;
      },
      line,
    );
  }

  #prepare(url: string | URL, options: DialOptions): { target: Target; request: HandshakeRequest } {
    checkDialOptions(options);
    const target = parseTarget(url);
    const { subprotocols, headers = {} } = options;
    const offered =
      subprotocols === undefined ? this.#plan.subprotocols : checkSubprotocols(subprotocols);
    return { target, request: makeRequest(target, headers, offered) };
  }

  /** The story: cookies, stream, request and answer, cookies, checks, Conn. */
  async #shake(
    target: Target,
    request: HandshakeRequest,
    signal: AbortSignal | undefined,
    open: (bounds: Bounds) => Promise<Guard>,
    given?: Guard,
  ): Promise<Dialed> {
    const bounds = new Bounds(this.#plan.handshakeTimeout, signal, target.address.toString());
    let line = given;
    try {
      bounds.signal.throwIfAborted();
      const headers = await this.#withCookies(request, target, bounds);
      line = await open(bounds);
      bounds.stage = 'waiting for the answer';
      const answer = await exchange(line.stream, target.path, headers, bounds.signal);
      await this.#keepCookies(answer, target, bounds);
      const faults = faultsOf(answer, request);
      if (faults.length > 0) throw new BadHandshakeError(faults.join(', '), answer);
      bounds.signal.throwIfAborted();
      return this.#hand(line, answer);
    } catch (error) {
      line?.drop();
      // Whatever broke because the dial was given up, that is why.
      throw bounds.signal.aborted ? bounds.signal.reason : error;
    } finally {
      bounds.end();
    }
  }

  /** The request's headers, with the jar's cookies unless the caller gave some. */
  async #withCookies(
    request: HandshakeRequest,
    target: Target,
    bounds: Bounds,
  ): Promise<readonly string[]> {
    const { jar } = this.#plan;
    if (jar === undefined || request.hasCookie) return request.headers;
    bounds.stage = 'waiting for the cookie jar';
    const cookie = await bounds.race(jar.getCookieString(target.cookieUrl));
    checkCookie(cookie);
    bounds.stage = 'connecting';
    return cookie === '' ? request.headers : [...request.headers, 'Cookie', cookie];
  }

  /** Also of an answer that is refused then: a server that says 401 may say so with a cookie. */
  async #keepCookies(answer: Answer, target: Target, bounds: Bounds): Promise<void> {
    const { jar } = this.#plan;
    const cookies = answer.headers['set-cookie'];
    if (jar === undefined || cookies === undefined) return;
    bounds.stage = 'waiting for the cookie jar';
    await bounds.race(storeCookies(jar, cookies, target.cookieUrl));
  }

  /** From here on the stream is the Conn's. */
  #hand(line: Guard, answer: Answer): Dialed {
    if (line.stream.destroyed) {
      throw new TransportError('the connection broke during the handshake', { cause: line.error });
    }
    const { highWaterMark } = this.#plan;
    const transport = socketTransport(line.stream, { head: answer.head, highWaterMark });
    // Only now: there is never a moment without a listener for 'error'.
    line.release();
    const conn = new Conn(transport, {
      ...this.#plan.conn,
      role: 'client',
      host: nodeHost,
      subprotocol: subprotocolOf(answer),
      extensions: '',
    });
    return { conn, response: { status: answer.status, headers: answer.headers } };
  }
}

/** What {@link dial} uses: a Dialer with a `handshakeTimeout` of 45 s. */
export const defaultDialer: Dialer = /* @__PURE__ */ new Dialer({ handshakeTimeout: 45_000 });

/**
 * Opens a WebSocket connection with the {@link defaultDialer}.
 *
 * @throws as {@link Dialer} says.
 */
export function dial(url: string | URL, options?: DialOptions): Promise<Dialed> {
  return defaultDialer.dial(url, options);
}
