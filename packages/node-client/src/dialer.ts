import type { Duplex } from 'node:stream';
import { checked } from '@ws/codec/internal';
import type { Transport } from '@ws/conn';
import { checkOptionNames, optionHint } from '@ws/conn/internal';
import { prepareReadBuffer } from '@ws/node-io/internal';
import type { ClientConn } from './client-conn.ts';
import { Connector } from './connect.ts';
import { Dial } from './dial.ts';
import { adopt } from './guarded-stream.ts';
import { hasSessions } from './http2/on-demand.ts';
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
import { checkSubprotocols, deflateOffers, makeRequest, type PreparedRequest } from './request.ts';
import { parseTarget } from './url.ts';

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
    this.#connector = new Connector(this.#plan);
    // Reading certificates takes as much CPU as two openings on a session. An open session shows
    // that these are good.
    if (this.#plan.http2 === false || !hasSessions(this.#connector)) {
      checked(() => this.#connector.readCertificates(), Dialer);
    }
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
    const request = checked(() => checked(() => this.#prepare(url, options), this, 'dial'), dial);
    const { signal } = options;
    return new Dial(this.#plan, this.#connector, request, signal).run(followRedirects);
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
    const request = checked(() => this.#prepare(url, options), this, 'handshake');
    const guarded = checked(() => adopt('handshake', stream), this, 'handshake');
    return new Dial(this.#plan, this.#connector, request, options.signal, guarded).run(0);
  }

  #prepare(url: string | URL, options: DialOptions): PreparedRequest {
    checkDialOptions(options);
    const target = parseTarget(url);
    const { subprotocols, headers = {} } = options;
    const subprotocolOffer =
      subprotocols === undefined ? this.#plan.subprotocols : checkSubprotocols(subprotocols);
    const extensions = deflateOffers(this.#plan.settings);
    return makeRequest(target, headers, subprotocolOffer, extensions);
  }
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
