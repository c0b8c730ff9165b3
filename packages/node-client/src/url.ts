import { isIP } from 'node:net';
import { quote } from './errors.ts';

/** Where a connection goes. `net.connect(address)` takes it as it is; as a string it reads `host:port`. */
export interface DialAddress {
  /** A name or an IP address, an IPv6 address without its brackets; `localhost` for a Unix socket. */
  readonly host: string;
  /** 1 to 65535; 0 for a Unix socket. */
  readonly port: number;
  /** The path of a Unix socket; it goes before host and port. */
  readonly path?: string;
  toString(): string;
}

/** What a URL says. */
export interface Target {
  readonly address: DialAddress;
  /** Whether TLS stands between us and the server. */
  readonly secure: boolean;
  /** The Host header: no port where it is the scheme's own. */
  readonly host: string;
  /** The request target: path and query, never a fragment (RFC 6455, section 3). */
  readonly path: string;
  /** The whole of it, as ws or wss. */
  readonly url: string;
  /** The URL that a cookie jar knows the server by: http for ws, https for wss. */
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

/**
 * Reads a URL of scheme ws, wss, http, https, ws+unix or wss+unix. A fragment is removed.
 *
 * The WHATWG parser repairs much: it drops line ends and the spaces around, takes `ws:host`, `ws:///host` and `\` for
 * `/`, and reads `0x7f.1` as 127.0.0.1. What would make another server or another resource of it is refused here, because
 * the repaired URL is not the one that was checked. Case, escapes and dots in a path are put in order as usual.
 *
 * @throws SyntaxError that says what is wrong; TypeError when it is neither a string nor a URL.
 */
export function parseTarget(url: string | URL): Target {
  const text = url instanceof URL ? url.href : url;
  if (typeof text !== 'string')
    throw new TypeError(`url: expected a string or a URL, got ${typeof text}`);
  if (/[\u0000-\u001f\u007f]/.test(text)) throw malformed('it contains a control character');
  if (text !== text.trim()) throw malformed('it begins or ends with a space');
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) throw malformed('it has no scheme; it begins with ws:// or wss://');
  const secure = SECURE.get(scheme);
  if (secure !== undefined) return tcpTarget(text, secure);
  const overUnix = UNIX.get(scheme);
  if (overUnix !== undefined) return unixTarget(text, overUnix);
  throw malformed(`scheme ${quote(scheme)} is none of ws, wss, http, https, ws+unix, wss+unix`);
}

function tcpTarget(text: string, secure: boolean): Target {
  const authority = /^[a-z]+:\/\/([^/?#]*)/i.exec(text)?.[1] ?? '';
  // First of all, so that no credential gets into another message.
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
  if (isIP(url.hostname) === 4 && isIP(authority.replace(/:\d*$/, '')) !== 4) {
    throw malformed(`host ${quote(authority)} is another way to write ${url.hostname}`);
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

/** `ws+unix:/run/app.sock:/path?query`: the socket's path ends at the first colon; one inside it is written %3A. */
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
    throw malformed(`path ${quote(target)} behind the Unix socket does not begin with /`);
  }
  const path = (target === '' ? '/' : target) + url.search;
  return {
    address: unixAddress(socketPath(file)),
    secure,
    host: 'localhost',
    ...urls(secure, 'localhost', path),
  };
}

/** The same server, asked for something else. */
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
  // In a query it stands for itself.
  if (/^[^?#]*\\/.test(text))
    throw malformed('it contains a backslash, which some take for a slash');
  try {
    return new URL(text);
  } catch (cause) {
    throw malformed(`${quote(shown)} is no valid host`, cause);
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

/** An address of TCP that names itself. */
export function tcpAddress(host: string, port: number): DialAddress {
  const name = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return { host, port, toString: () => name };
}

function unixAddress(path: string): DialAddress {
  return { host: 'localhost', port: 0, path, toString: () => path };
}

function userInfo(): SyntaxError {
  return malformed(
    'user info is not taken from a URL; send it with the option headers: { Authorization }',
  );
}

function malformed(why: string, cause?: unknown): SyntaxError {
  return new SyntaxError(`malformed WebSocket URL: ${why}`, cause === undefined ? {} : { cause });
}
