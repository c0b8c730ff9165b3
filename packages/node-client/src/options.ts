import type { ClientHttp2Session } from 'node:http2';
import { isIP, type LookupFunction } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import type { ConnSettings, Heartbeat } from '@ws/conn';
import {
  checkOptionNames,
  connSettingNames,
  duration,
  kind,
  optionHint,
  resolveSettings,
  whole,
} from '@ws/conn/internal';
import { assertOption, transportOptions } from '@ws/node-io/internal';
import type { CookieJar } from './cookies.ts';
import type { NetDial } from './guarded-stream.ts';
import { checkProxy, type ProxyOption, type ProxyPlan } from './proxy/choose-proxy.ts';
import { checkSubprotocols, type HeadersInput } from './request.ts';
import { checkTls } from './tls/tls-options.ts';

/** The option `http2`: how a dial uses HTTP/2 (RFC 8441). */
export type Http2Mode = false | 'auto' | 'only' | ClientHttp2Session;

/**
 * Options of `net.connect` for the socket that the dialer opens, to the server or to a proxy. They
 * have no effect on Unix sockets. With each of them the dialer tries all addresses of a name: the
 * next one when an attempt fails or lasts for 250 ms
 * (`net.setDefaultAutoSelectFamilyAttemptTimeout`), while earlier attempts continue. The first
 * connection wins.
 *
 * @see RFC 8305, section 5
 */
export interface SocketOptions {
  /**
   * Finds the addresses of a host name. Not called for an IP address. It gets `all: true`, and may
   * pass on a list or one address. An error that it throws or passes on is the cause of a
   * TransportError. Default: `dns.lookup`.
   */
  readonly lookup?: LookupFunction | undefined;
  /** The IP version of the addresses: 4, 6, or 0 for both. Default: 0. */
  readonly family?: 0 | 4 | 6 | undefined;
  /**
   * The IP address to connect from. Without `family`, only addresses of its IP version are tried.
   * Default: chosen by the system.
   */
  readonly localAddress?: string | undefined;
}

/** Options of a `Dialer`, together with the settings of its connections. */
export interface DialerOptions extends ConnSettings, SocketOptions {
  /**
   * Pings of a silent server; `false` for none. Without it a client that only reads would not
   * notice that its server is gone. Default: 20 s and 20 s.
   */
  readonly heartbeat?: false | Heartbeat | undefined;
  /**
   * Milliseconds for the whole handshake, from the lookup to the answer; `false` for no bound.
   * Default: 45,000.
   */
  readonly handshakeTimeout?: number | false | undefined;
  /**
   * Whether sockets read into one buffer of the thread, where Node can do that
   * (`readBufferState()` of `@ws/node-io`). `false` reads by 'data' events. Default: true on Linux,
   * false elsewhere, where it was not measured.
   */
  readonly readBuffer?: boolean | undefined;
  /**
   * The proxy to connect through: `'env'` for the one of the environment, a URL, a function, or
   * `false` for none; see {@link ProxyOption}. With a proxy, `netDial` opens the stream to it, or
   * `netDialTLS` for an https proxy. TLS to the server then always runs over the tunnel. URLs of
   * Unix sockets are never dialed through a proxy. Default: `'env'`.
   */
  readonly proxy?: ProxyOption | undefined;
  /**
   * Most redirects (301, 302, 303, 307, 308) that one dial follows, 0 to 5; `false` is 0. A
   * redirect from wss to ws is never followed. Another host or port gets none of the dial's
   * `headers` (not even Host) and no client certificate of `tls`; it gets the jar's cookies for its
   * URL. Another host gets no `subprotocols` either, since one may be a token. The proxy is chosen
   * again for each redirect; the timeout covers all of them. Default: `false`, a redirect is a
   * BadHandshakeError.
   */
  readonly followRedirects?: number | false | undefined;
  /**
   * Options of `tls.connect`: `ca`, `cert`, `key`, `servername`, `rejectUnauthorized`, ... The URL
   * decides where to connect. Options that identify the client or the server (`cert`, `key`, `pfx`,
   * `pskCallback`, `session`, `servername`, `ALPNProtocols`) apply only to the server of the URL.
   * The others also apply to the target of a redirect. A `secureContext` may identify the client.
   * With it, TLS to another server is a TypeError. An error of `checkServerIdentity`, `pskCallback`
   * or `lookup` is the cause of a TransportError. Default: the certificate authorities that Node
   * trusts.
   */
  readonly tls?: ConnectionOptions | undefined;
  /**
   * Options of `tls.connect` for an https proxy. None of `tls` applies to it: a development
   * server's `rejectUnauthorized: false` would otherwise give the proxy's password to anyone.
   * Default: the certificate authorities that Node trusts.
   */
  readonly proxyTls?: ConnectionOptions | undefined;
  /**
   * Opens the stream to the server or the proxy. For wss URLs TLS runs over it. Default:
   * `net.connect`.
   */
  readonly netDial?: NetDial | undefined;
  /** Opens the stream of wss URLs with TLS. Default: `netDial` or `tls.connect`. */
  readonly netDialTLS?: NetDial | undefined;
  /**
   * Provides the Cookie header and stores Set-Cookie, also of a failed handshake. Default: none.
   */
  readonly jar?: CookieJar | undefined;
  /**
   * WebSockets over HTTP/2 (RFC 8441). `'auto'` asks the server of a wss URL by ALPN. Where the
   * server offers them, dials with the same options for TLS, proxies and sockets share a session,
   * also those of several Dialers. Elsewhere the dial uses HTTP/1.1, and the next dials do not ask
   * for 10 minutes. `'only'` rejects there with a BadHandshakeError, and uses HTTP/2 in clear for
   * ws. A session of node:http2 (a `ClientHttp2Session`) is used as it is, and stays yours. A
   * redirect to another server is a BadHandshakeError then. Default: `false`, HTTP/1.1.
   */
  readonly http2?: Http2Mode | undefined;
  /**
   * The subprotocols to offer, in order of preference. A redirect to another host goes without
   * them. Default: none.
   */
  readonly subprotocols?: readonly string[] | undefined;
}

/** Options of one dial. */
export interface DialOptions {
  /**
   * Headers to send in addition to those of the handshake. Host changes the header only, not where
   * to connect. Cookie replaces the jar's cookies. Sec-WebSocket-Protocol is allowed when no
   * `subprotocols` are given. Default: none.
   */
  readonly headers?: HeadersInput | undefined;
  /** The subprotocols to offer instead of the Dialer's. */
  readonly subprotocols?: readonly string[] | undefined;
  /**
   * Cancels the dial, which rejects with the signal's reason. No effect after the dial has settled.
   */
  readonly signal?: AbortSignal | undefined;
}

/** The names of {@link SocketOptions}. */
const SOCKET_OPTION_NAMES: readonly (keyof SocketOptions)[] = ['lookup', 'family', 'localAddress'];

/** The names of {@link DialerOptions}. */
export const DIALER_OPTION_NAMES: readonly (keyof DialerOptions)[] = [
  'handshakeTimeout',
  'proxy',
  'followRedirects',
  'tls',
  'proxyTls',
  'netDial',
  'netDialTLS',
  'http2',
  ...SOCKET_OPTION_NAMES,
  'jar',
  'subprotocols',
  'readBuffer',
  ...connSettingNames,
];

/** The names of {@link DialOptions}. */
export const DIAL_OPTION_NAMES: readonly (keyof DialOptions)[] = [
  'headers',
  'subprotocols',
  'signal',
];

/** The advice for an option that a dial of a Dialer does not have. */
function dialHint(name: string): string | undefined {
  return (DIALER_OPTION_NAMES as readonly string[]).includes(name)
    ? 'it is an option of new Dialer(), not of its dials'
    : optionHint(name, [...DIAL_OPTION_NAMES, ...DIALER_OPTION_NAMES]);
}

const MAX_REDIRECTS = 5;
const HEARTBEAT: Heartbeat = { interval: 20_000, timeout: 20_000 };

/** Checked {@link DialerOptions}. */
export interface DialerPlan {
  /** Milliseconds; Infinity for no bound. */
  readonly handshakeTimeout: number;
  readonly readBuffer: boolean;
  readonly proxy: ProxyPlan;
  /** 0 for none. */
  readonly followRedirects: number;
  readonly tls: ConnectionOptions | undefined;
  readonly proxyTls: ConnectionOptions | undefined;
  readonly netDial: NetDial | undefined;
  readonly netDialTLS: NetDial | undefined;
  readonly socket: SocketOptions;
  readonly http2: Http2Mode;
  readonly jar: CookieJar | undefined;
  readonly subprotocols: readonly string[];
  /** Those of the connections. */
  readonly settings: ReturnType<typeof resolveSettings>;
  /** The transport's, in bytes. */
  readonly highWaterMark: number;
}

/** @throws TypeError, RangeError or SyntaxError that names the option. */
export function checkDialerOptions(options: DialerOptions): DialerPlan {
  checkOptionNames('Dialer', options, DIALER_OPTION_NAMES, 'reject', optionHint);
  const { heartbeat = HEARTBEAT } = options;
  const settings = resolveSettings({ ...options, heartbeat }, 'client');
  const { jar } = options;
  if (jar !== undefined) assertOption('jar', jar, isJar(jar), 'getCookieString and setCookie');
  return {
    handshakeTimeout: handshakeTimeoutOf(options),
    proxy: checkProxy(options.proxy),
    followRedirects: redirectCount(options.followRedirects),
    tls: tlsOption('tls', options.tls),
    proxyTls: tlsOption('proxyTls', options.proxyTls),
    netDial: dialFunction('netDial', options.netDial),
    netDialTLS: dialFunction('netDialTLS', options.netDialTLS),
    socket: checkSocketOptions(options),
    http2: checkHttp2(options.http2),
    jar,
    subprotocols: checkSubprotocols(options.subprotocols ?? []),
    settings,
    ...transportOptions(options.readBuffer, settings.highWaterMark),
  };
}

/** @throws TypeError or RangeError that names the option. */
function checkSocketOptions(
  options: SocketOptions & { readonly netDial?: unknown },
): SocketOptions {
  const { lookup, family, localAddress } = options;
  if (lookup !== undefined) {
    assertOption('lookup', lookup, typeof lookup === 'function', 'a function');
  }
  if (family !== undefined && ![0, 4, 6].includes(family)) {
    throw new RangeError(`family: expected 0, 4 or 6, got ${String(family)}`);
  }
  if (localAddress !== undefined && isIP(localAddress) === 0) {
    const got = typeof localAddress === 'string' ? localAddress : kind(localAddress);
    throw new TypeError(`localAddress: expected an IP address, got ${got}`);
  }
  const unused = SOCKET_OPTION_NAMES.find((name) => options[name] !== undefined);
  if (options.netDial !== undefined && unused !== undefined) {
    throw new TypeError(`${unused}: no effect with netDial, which opens the stream; use it there`);
  }
  return {
    ...(lookup !== undefined && { lookup }),
    ...(family !== undefined && { family }),
    ...(localAddress !== undefined && { localAddress }),
  };
}

function checkHttp2(http2: Http2Mode = false): Http2Mode {
  const session: Partial<Exclude<Http2Mode, false | string>> = Object(http2);
  const isSession = typeof session.request === 'function' && typeof session.ping === 'function';
  if (http2 === false || http2 === 'auto' || http2 === 'only' || isSession) return http2;
  const got = typeof http2 === 'string' ? http2 : kind(http2);
  throw new TypeError(`http2: expected false, 'auto', 'only' or a ClientHttp2Session, got ${got}`);
}

/** @returns Milliseconds; Infinity for no bound. */
export function handshakeTimeoutOf({ handshakeTimeout }: DialerOptions): number {
  return duration('handshakeTimeout', handshakeTimeout, 45_000, true);
}

/** @throws TypeError that names the option. `makeRequest` checks the headers. */
export function checkDialOptions(options: DialOptions): void {
  checkNotSubprotocols(options);
  checkOptionNames('dial', options, DIAL_OPTION_NAMES, 'reject', dialHint);
  const { signal } = options;
  if (signal !== undefined) assertOption('signal', signal, isSignal(signal), 'an AbortSignal');
}

/**
 * The second argument of the browser's WebSocket is a subprotocol or a list of them.
 *
 * @throws TypeError when `options` is such an argument.
 */
export function checkNotSubprotocols(options: unknown): void {
  if (typeof options !== 'string' && !Array.isArray(options)) return;
  throw new TypeError(
    'dial: the second argument has the options; write { subprotocols: [...] } for subprotocols',
  );
}

function redirectCount(value: unknown): number {
  if (value === undefined || value === false) return 0;
  assertOption('followRedirects', value, typeof value === 'number', 'false or a number');
  return whole('followRedirects', value, 0, MAX_REDIRECTS);
}

function tlsOption(
  name: string,
  value: ConnectionOptions | undefined,
): ConnectionOptions | undefined {
  if (value === undefined) return undefined;
  assertOption(name, value, typeof value === 'object' && value !== null, 'an object');
  return checkTls(name, value);
}

function dialFunction(name: string, value: NetDial | undefined): NetDial | undefined {
  if (value !== undefined) assertOption(name, value, typeof value === 'function', 'a function');
  return value;
}

function isJar(jar: Partial<CookieJar> | null): boolean {
  return typeof jar?.getCookieString === 'function' && typeof jar.setCookie === 'function';
}

function isSignal(signal: Partial<AbortSignal> | null): boolean {
  return typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function';
}
