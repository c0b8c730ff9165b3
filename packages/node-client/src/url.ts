import { isIP } from 'node:net';
import { quote } from '@ws/codec/internal';

/** The address of a connection. `net.connect` accepts it; as a string it reads `host:port`. */
export interface DialAddress {
  /** A name or an IP address, IPv6 without brackets; `localhost` for a Unix socket. */
  readonly host: string;
  /** 1 to 65535; 0 for a Unix socket. */
  readonly port: number;
  /** The path of a Unix socket. It takes precedence over host and port. */
  readonly path?: string;
  toString(): string;
}

/** The parts of a URL that a dial needs. */
export interface Target {
  readonly address: DialAddress;
  /** Whether the connection uses TLS. */
  readonly secure: boolean;
  /** The value of the Host header, without the default port of the scheme. */
  readonly host: string;
  /** The request target: path and query, never a fragment (RFC 6455, section 3). */
  readonly path: string;
  /** The whole URL, as ws or wss. */
  readonly url: string;
  /** The URL for a cookie jar: http for ws, https for wss. */
  readonly cookieUrl: string;
}

const SECURE: ReadonlyMap<string, boolean> = new Map([
  ['ws', false],
  ['http', false],
  ['wss', true],
  ['https', true],
]);

const UNIX: ReadonlyMap<string, boolean> = new Map([
  ['ws+unix', false],
  ['wss+unix', true],
]);

/** A host, with or without a port, at the start of a text without a scheme. */
const BARE_HOST = /^(?:\/\/)?((?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?)(?=[/?#]|$)/i;

/** Whether `value` is a URL, also of another realm (a vm context, Jest). */
export function isURL(value: unknown): value is URL {
  return Object.prototype.toString.call(value) === '[object URL]';
}

/**
 * Reads a URL of scheme ws, wss, http, https, ws+unix or wss+unix. A fragment is removed.
 *
 * The WHATWG parser repairs URLs: it drops line ends and surrounding spaces, accepts `ws:host`,
 * `ws:///host` and `\` for `/`, and reads `0x7f.1` as 127.0.0.1. A repair that leads to another
 * server or resource is rejected here, because the caller has checked the text before the repair.
 * Case, escapes and dots in a path are normalized as usual.
 *
 * @throws SyntaxError that names the fault; TypeError for a value that is neither a string nor a
 *   URL.
 */
export function parseTarget(url: string | URL): Target {
  const text = isURL(url) ? url.href : url;
  if (typeof text !== 'string') {
    throw new TypeError(`url: expected a string or a URL, got ${typeof text}`);
  }
  if (text === '') throw malformed('it is empty; server.url is empty until the server listens');
  if (/[\u0000-\u001f\u007f]/.test(text)) throw malformed('it contains a control character');
  if (text !== text.trim()) throw malformed('it begins or ends with a space');
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  const secure = SECURE.get(scheme ?? '');
  if (secure !== undefined) return tcpTarget(text, secure);
  const overUnix = UNIX.get(scheme ?? '');
  if (overUnix !== undefined) return unixTarget(text, overUnix);
  const [, named = 'ws', rest = text] = /^(wss?|https?)\/\/(.*)$/i.exec(text) ?? [];
  const host = BARE_HOST.exec(rest)?.[1];
  throw unknownScheme(scheme, host && `${named.toLowerCase()}://${host}`);
}

/** @param meant - A URL of the host and port that the text starts with. Nothing else of it is shown. */
function unknownScheme(scheme: string | undefined, meant: string | undefined): SyntaxError {
  if (scheme === undefined || scheme === 'localhost' || scheme.includes('.')) {
    const advice = meant === undefined ? 'start it with ws:// or wss://' : `write ${meant}`;
    return malformed(`it has no scheme; ${advice}`);
  }
  const advice = meant === undefined ? '' : `; for a host, write ${meant}`;
  return malformed(
    `scheme ${quote(scheme)} is not one of ws, wss, http, https, ws+unix, wss+unix${advice}`,
  );
}

function tcpTarget(text: string, secure: boolean): Target {
  const authority = /^[a-z]+:\/\/([^/?#]*)/i.exec(text)?.[1] ?? '';
  // First, so that no other message can contain credentials.
  if (authority.includes('@')) throw userInfo();
  if (authority === '' || authority.startsWith(':')) throw malformed('it has no host');
  const port = /:(\d+)$/.exec(authority)?.[1];
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65535)) {
    throw malformed(`port ${quote(port)} is not between 1 and 65535`);
  }
  if (/^\[[^\]]*%/.test(authority)) {
    throw malformed(`host ${quote(authority)} has an IPv6 zone, which a URL cannot carry`);
  }
  const url = parse(text, authority);
  // The URL parser allows these, RFC 3986 (section 3.2.2) and a Host header do not.
  if (/["`{}]/.test(url.hostname)) throw malformed(`${quote(authority)} is not a valid host`);
  if (isIP(url.hostname) === 4 && isIP(authority.replace(/:\d*$/, '')) !== 4) {
    throw malformed(`host ${quote(authority)} is another spelling of ${url.hostname}`);
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const path = url.pathname + url.search;
  return {
    address: tcpAddress(host, url.port === '' ? (secure ? 443 : 80) : Number(url.port)),
    secure,
    host: url.host,
    ...urls(secure, url.host, path),
  };
}

/**
 * Reads `ws+unix:/run/app.sock:/path?query`. The socket's path ends at the first colon; it may
 * contain %3A.
 */
function unixTarget(text: string, secure: boolean): Target {
  const rest = text.slice(text.indexOf(':') + 1);
  if (/^\/\/[^/]*@/.test(rest)) throw userInfo();
  if (!/^(\/\/)?\/[^/]/.test(rest)) {
    throw malformed('a Unix socket is named by its absolute path: ws+unix:/run/app.sock:/path');
  }
  const url = parse(text, rest);
  const [file = '', ...more] = url.pathname.split(':');
  const target = more.join(':');
  if (target !== '' && !target.startsWith('/')) {
    throw malformed(`path ${quote(target)} after the Unix socket does not start with /`);
  }
  const path = (target === '' ? '/' : target) + url.search;
  return {
    address: unixAddress(socketPath(file)),
    secure,
    host: 'localhost',
    ...urls(secure, 'localhost', path),
  };
}

/** Returns the same server with another request target. */
export function withPath(target: Target, path: string): Target {
  return { ...target, ...urls(target.secure, target.host, path) };
}

function urls(
  secure: boolean,
  host: string,
  path: string,
): Pick<Target, 'path' | 'url' | 'cookieUrl'> {
  const rest = `://${host}${path}`;
  return {
    path,
    url: `${secure ? 'wss' : 'ws'}${rest}`,
    cookieUrl: `${secure ? 'https' : 'http'}${rest}`,
  };
}

function parse(text: string, shown: string): URL {
  // In a query a backslash is an ordinary character.
  if (/^[^?#]*\\/.test(text)) {
    throw malformed('it contains a backslash, which some parsers read as a slash');
  }
  try {
    return new URL(text);
  } catch (cause) {
    throw malformed(`${quote(shown)} is not a valid host`, cause);
  }
}

function socketPath(encoded: string): string {
  let path: string;
  try {
    path = decodeURIComponent(encoded);
  } catch (cause) {
    throw malformed(`Unix socket ${quote(encoded)} is not percent-encoded UTF-8`, cause);
  }
  if (path.includes('\0')) throw malformed('the path of the Unix socket contains a NUL');
  return path;
}

/** Makes a TCP address. */
export function tcpAddress(host: string, port: number): DialAddress {
  const name = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { host, port, toString: () => name };
}

function unixAddress(path: string): DialAddress {
  return { host: 'localhost', port: 0, path, toString: () => path };
}

function userInfo(): SyntaxError {
  return malformed(
    'user info in a URL is not supported; send it with the option headers: { Authorization }',
  );
}

function malformed(why: string, cause?: unknown): SyntaxError {
  return new SyntaxError(`malformed WebSocket URL: ${why}`, cause === undefined ? {} : { cause });
}
