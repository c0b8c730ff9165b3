import type { IncomingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import { type Extension, offerDeflate } from '@ws/codec';
import { Conn, deflateLimits, type Transport, TransportError } from '@ws/conn';
import { nodeHost, socketTransport } from '@ws/node-io';
import { Bounds } from './bounds.ts';
import {
  deflateOf,
  extensionsOf,
  faultsOf,
  named,
  subprotocolOf,
  unread,
} from './check-response.ts';
import { chooseProxy } from './choose-proxy.ts';
import { Connector } from './connect.ts';
import { checkCookie, storeCookies } from './cookies.ts';
import { BadHandshakeError } from './errors.ts';
import { type Answer, exchange } from './exchange.ts';
import { taken } from './given-stream.ts';
import type { Guard } from './guard.ts';
import {
  checkDialerOptions,
  checkDialOptions,
  type DialerOptions,
  type DialerPlan,
  type DialOptions,
} from './options.ts';
import { redirectOf, sameServer } from './redirects.ts';
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
  /** The server's answer: status 101 and its headers. */
  readonly response: HandshakeResponse;
}

/**
 * Opens WebSocket connections: a URL becomes a {@link Conn}. It holds options only and may be shared by all dials.
 *
 * Every dial either gives a Conn or rejects with its socket destroyed:
 * - `TypeError`, `RangeError`, `SyntaxError`: an option or the URL is wrong; nothing was sent;
 * - `TransportError`: no connection, or it broke; `cause` is the socket's error, or what a function of `tls` threw;
 * - {@link BadHandshakeError}: the server's answer was no handshake, or a proxy refused;
 * - `TimeoutError`: `handshakeTimeout` is over;
 * - the reason of `signal`, when that aborted;
 * - what the cookie jar or the `proxy` function threw.
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
    const { proxy, followRedirects } = this.#plan;
    const asked = this.#prepare(url, options);
    const open = async (target: Target, bounds: Bounds): Promise<Guard> => {
      const via = await chooseProxy(proxy, target, bounds);
      return this.#connector.open(target, via, sameServer(target, asked.target), bounds);
    };
    return this.#shake(asked, options.signal, open, followRedirects);
  }

  /**
   * Makes the opening handshake on a stream that is open already: a tunnel, an SSH channel, one end of a pair. No proxy
   * is asked for and no redirect followed.
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
    const asked = this.#prepare(url, options);
    const line = taken('handshake', stream);
    const open = async ({ secure, address }: Target, bounds: Bounds): Promise<Guard> => {
      return secure ? this.#connector.secure(line, address, bounds) : line;
    };
    return this.#shake(asked, options.signal, open, 0, line);
  }

  #prepare(url: string | URL, options: DialOptions): Asked {
    checkDialOptions(options);
    const target = parseTarget(url);
    const { subprotocols, headers = {} } = options;
    const offered =
      subprotocols === undefined ? this.#plan.subprotocols : checkSubprotocols(subprotocols);
    const limits = deflateLimits(this.#plan.compression, 'client', nodeHost);
    const offer = limits === undefined ? undefined : offerDeflate(limits);
    return { target, request: makeRequest(target, headers, offered, offer) };
  }

  /** The story: cookies, stream, request and answer, cookies, checks, Conn; and again where a redirect leads. */
  async #shake(
    first: Asked,
    signal: AbortSignal | undefined,
    open: (target: Target, bounds: Bounds) => Promise<Guard>,
    redirects: number,
    given?: Guard,
  ): Promise<Dialed> {
    const bounds = new Bounds(this.#plan.handshakeTimeout, signal);
    let asked = first;
    let line = given;
    try {
      for (let followed = 0; ; followed++) {
        const { target, request } = asked;
        bounds.peer = target.address.toString();
        bounds.stage = 'connecting';
        bounds.signal.throwIfAborted();
        const headers = await this.#withCookies(request, target, bounds);
        line = await open(target, bounds);
        bounds.stage = 'waiting for the answer';
        const question = { method: 'GET', path: target.path, headers } as const;
        const answer = await exchange(line.stream, question, bounds.signal);
        await this.#keepCookies(answer, target, bounds);
        const next = redirects === 0 ? undefined : redirectOf(answer, target);
        if (next === undefined) {
          const faults = faultsOf(answer, request);
          // A tab behind the word is legal, and Node's parser does not know the word then: it has read what follows.
          if (faults.length === 0 && !answer.upgraded) faults.push(unread(answer));
          if (faults.length > 0) throw new BadHandshakeError(faults.join(', '), answer);
          bounds.signal.throwIfAborted();
          return this.#hand(line, answer, request.offer);
        }
        if (followed === redirects) throw tooManyRedirects(answer, followed);
        line.drop();
        asked = redirected(asked, next);
      }
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
  #hand(line: Guard, answer: Answer, offer: Extension | undefined): Dialed {
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
      extensions: extensionsOf(answer),
      deflate: deflateOf(answer, offer),
    });
    return { conn, response: { status: answer.status, headers: answer.headers } };
  }
}

/** Whom to ask, and what. */
interface Asked {
  readonly target: Target;
  readonly request: HandshakeRequest;
}

/** The same request, with a new key, for where a redirect leads; to another server without the caller's headers. */
function redirected({ target, request }: Asked, next: Target): Asked {
  const headers = sameServer(target, next) ? request.own : [];
  return { target: next, request: makeRequest(next, headers, request.subprotocols, request.offer) };
}

function tooManyRedirects(answer: Answer, followed: number): BadHandshakeError {
  const message = `the server answered ${named(answer.status)}, not 101; ${followed} redirects were followed, and followRedirects allows no more`;
  return new BadHandshakeError(message, answer);
}

/**
 * What {@link dial} uses: a Dialer with a `handshakeTimeout` of 45 s, which connects through the proxy that the
 * environment names, if it names one.
 */
export const defaultDialer: Dialer = /* @__PURE__ */ new Dialer({
  handshakeTimeout: 45_000,
  proxy: 'env',
});

/**
 * Opens a WebSocket connection with the {@link defaultDialer}.
 *
 * @throws as {@link Dialer} says.
 */
export function dial(url: string | URL, options?: DialOptions): Promise<Dialed> {
  return defaultDialer.dial(url, options);
}
