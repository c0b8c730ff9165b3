import type { ConnectionOptions } from 'node:tls';
import {
  type Compression,
  type ConnSettings,
  connSettingNames,
  duration,
  resolveSettings,
} from '@ws/conn';
import { checkProxy, type ProxyOption, type ProxyPlan } from './choose-proxy.ts';
import type { CookieJar } from './cookies.ts';
import type { NetDial } from './given-stream.ts';
import { checkSubprotocols, type HeadersInput } from './request.ts';
import { checkTls } from './tls-options.ts';

/** What a `Dialer` can be told. The settings of its Conns stand beside its own options. */
export interface DialerOptions extends ConnSettings {
  /** For the whole of the handshake, from the lookup to the 101, in ms; `false`: no bound. Default: 10 s. */
  readonly handshakeTimeout?: number | false | undefined;
  /**
   * Through which proxy to connect: `'env'` for the one of the environment, a URL, a function, or `false` for none; see
   * {@link ProxyOption}. With one, `netDial` opens the stream to the proxy, and `netDialTLS` the one to an https proxy;
   * the server's TLS is then always laid over the tunnel. URLs of Unix sockets are never dialed through a proxy.
   * Default: `false`; `'env'` for `dial`.
   */
  readonly proxy?: ProxyOption | undefined;
  /**
   * How many redirects (301, 302, 303, 307, 308) of one dial are followed, 0 to 5; `false` is 0. Never from wss to ws.
   * To another host or port without any of the dial's `headers`, Host among them, and without the client certificate of
   * `tls`; what is sent there besides the handshake are the `subprotocols` and the jar's cookies for that URL. The proxy
   * is chosen anew, the timeout is for the whole. Default: `false`, a redirect is a BadHandshakeError.
   */
  readonly followRedirects?: number | false | undefined;
  /**
   * For `tls.connect`: `ca`, `cert`, `key`, `servername`, `rejectUnauthorized`, ... Where to connect to stays the
   * URL's. Those that say who we are or whom to expect (`cert`, `key`, `pfx`, `pskCallback`, `session`, `servername`,
   * `ALPNProtocols`) are for the server of the URL only; the others hold for an https proxy and for where a redirect
   * leads as well. A `secureContext` may hold who we are, so that TLS to one of those is a TypeError with it. What
   * `checkServerIdentity`, `pskCallback` or `lookup` throws is the cause of a TransportError. Default: what Node trusts.
   */
  readonly tls?: ConnectionOptions | undefined;
  /** Opens the stream, to the proxy where there is one; TLS is laid over it for wss URLs. Default: `net.connect`. */
  readonly netDial?: NetDial | undefined;
  /** Opens the stream of wss URLs, with TLS done already. Default: `netDial` or `tls.connect`. */
  readonly netDialTLS?: NetDial | undefined;
  /** Gives the Cookie header and takes Set-Cookie, also of a handshake that fails. Default: none. */
  readonly jar?: CookieJar | undefined;
  /** The subprotocols to offer, the most wanted first. Default: none. */
  readonly subprotocols?: readonly string[] | undefined;
}

/** What one dial can be told. */
export interface DialOptions {
  /**
   * Headers to send besides the handshake's own. Host replaces the header only; Cookie replaces the jar's cookies;
   * Sec-WebSocket-Protocol is taken when no `subprotocols` are given. Default: none.
   */
  readonly headers?: HeadersInput | undefined;
  /** The subprotocols to offer, in place of the Dialer's. */
  readonly subprotocols?: readonly string[] | undefined;
  /** Gives the dial up: it rejects with the signal's reason. Without effect once the dial has ended. */
  readonly signal?: AbortSignal | undefined;
}

/** The names of {@link DialerOptions}. */
export const DIALER_KEYS: readonly (keyof DialerOptions)[] = [
  'handshakeTimeout',
  'proxy',
  'followRedirects',
  'tls',
  'netDial',
  'netDialTLS',
  'jar',
  'subprotocols',
  ...connSettingNames,
];

/** The names of {@link DialOptions}. */
export const DIAL_KEYS: readonly (keyof DialOptions)[] = ['headers', 'subprotocols', 'signal'];

const MAX_REDIRECTS = 5;

/** {@link DialerOptions}, checked. */
export interface DialerPlan {
  /** Milliseconds; Infinity for no bound. */
  readonly handshakeTimeout: number;
  readonly proxy: ProxyPlan;
  /** 0 for none. */
  readonly followRedirects: number;
  readonly tls: ConnectionOptions | undefined;
  readonly netDial: NetDial | undefined;
  readonly netDialTLS: NetDial | undefined;
  readonly jar: CookieJar | undefined;
  readonly subprotocols: readonly string[];
  readonly conn: ConnSettings;
  readonly compression: Compression | false;
  /** Of the transport: no more than its own default, since what waits there is not passed by pings. */
  readonly highWaterMark: number;
}

/** @throws TypeError, RangeError or SyntaxError that names the option. */
export function checkDialerOptions(options: DialerOptions): DialerPlan {
  checkKeys('Dialer', options, DIALER_KEYS);
  const { highWaterMark, compression } = resolveSettings(options, 'client');
  const { tls, jar } = options;
  if (tls !== undefined) expect('tls', tls, typeof tls === 'object' && tls !== null, 'an object');
  if (jar !== undefined) expect('jar', jar, isJar(jar), 'getCookieString and setCookie');
  const conn = connSettingNames.map((name) => [name, options[name]]);
  return {
    handshakeTimeout: handshakeTimeoutOf(options),
    proxy: checkProxy(options.proxy),
    followRedirects: redirectCount(options.followRedirects),
    tls: tls && checkTls(tls),
    netDial: dialFunction('netDial', options.netDial),
    netDialTLS: dialFunction('netDialTLS', options.netDialTLS),
    jar,
    subprotocols: checkSubprotocols(options.subprotocols ?? []),
    conn: Object.fromEntries(conn) as ConnSettings,
    compression,
    highWaterMark: Math.min(highWaterMark, 64 * 1024),
  };
}

/** @returns Milliseconds; Infinity for no bound. */
export function handshakeTimeoutOf({ handshakeTimeout }: DialerOptions): number {
  return duration('handshakeTimeout', handshakeTimeout, 10_000, true);
}

/** @throws TypeError that names the option. The headers are checked where the request is made. */
export function checkDialOptions(options: DialOptions): void {
  checkKeys('dial', options, DIAL_KEYS);
  const { signal } = options;
  if (signal !== undefined) expect('signal', signal, isSignal(signal), 'an AbortSignal');
}

/** @throws TypeError for an option that is none of the known ones. */
export function checkKeys(who: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`${who}: expected an object of options, got ${typeName(options)}`);
  }
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue;
    throw new TypeError(`${who}: unknown option ${key}; there are ${known.join(', ')}`);
  }
}

function redirectCount(value: unknown): number {
  if (value === undefined || value === false) return 0;
  if (typeof value !== 'number') {
    throw new TypeError(`followRedirects: expected false or a number, got ${typeName(value)}`);
  }
  if (!Number.isInteger(value) || value < 0 || value > MAX_REDIRECTS || Object.is(value, -0)) {
    throw new RangeError(
      `followRedirects: expected a whole number from 0 to ${MAX_REDIRECTS}, got ${value}`,
    );
  }
  return value;
}

function dialFunction(name: string, value: NetDial | undefined): NetDial | undefined {
  if (value !== undefined) expect(name, value, typeof value === 'function', 'a function');
  return value;
}

function expect(name: string, value: unknown, holds: boolean, what: string): void {
  if (!holds) throw new TypeError(`${name}: expected ${what}, got ${typeName(value)}`);
}

function isJar(jar: Partial<CookieJar> | null): boolean {
  return typeof jar?.getCookieString === 'function' && typeof jar.setCookie === 'function';
}

function isSignal(signal: Partial<AbortSignal> | null): boolean {
  return typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function';
}

function typeName(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
