import { unescape } from 'node:querystring';

/** Where a client connects to. */
export interface Target {
  readonly url: URL;
  readonly isSecure: boolean;
  /** The host name without brackets; undefined for a Unix socket. */
  readonly host: string | undefined;
  readonly port: number | undefined;
  /** Path and query of the request. */
  readonly path: string;
  /** The path of a Unix socket. */
  readonly socketPath: string | undefined;
  /** User and password of the URL. */
  readonly auth: string | undefined;
}

/**
 * Reads the URL of a server. `http:` means `ws:`, `https:` means `wss:`.
 *
 * @param base - The URL to which a redirect is relative.
 * @throws SyntaxError for what is no URL.
 */
export function parseUrl(address: string | URL, base?: URL): URL {
  let url: URL;
  try {
    url = new URL(address, base);
  } catch {
    throw new SyntaxError(`Invalid URL: ${String(address)}`);
  }
  if (url.protocol === 'http:') url.protocol = 'ws:';
  else if (url.protocol === 'https:') url.protocol = 'wss:';
  return url;
}

/** @throws SyntaxError for a URL that is not one of a WebSocket server. */
export function targetOf(url: URL): Target {
  const isSecure = url.protocol === 'wss:';
  const isUnix = url.protocol === 'ws+unix:';
  if (url.protocol !== 'ws:' && !isSecure && !isUnix) {
    const expected = '"ws:", "wss:", "http:", "https:", or "ws+unix:"';
    throw new SyntaxError(`The URL's protocol must be one of ${expected}`);
  }
  if (isUnix && url.pathname === '') throw new SyntaxError("The URL's pathname is empty");
  if (url.hash !== '') throw new SyntaxError('The URL contains a fragment identifier');
  const { username, password, hostname } = url;
  const auth = username || password ? `${unescape(username)}:${unescape(password)}` : undefined;
  const whole = url.pathname + url.search;
  if (isUnix) {
    const colon = whole.indexOf(':');
    const socketPath = colon < 0 ? whole : whole.slice(0, colon);
    const path = colon < 0 ? '' : whole.slice(colon + 1);
    return { url, isSecure, host: undefined, port: undefined, path, socketPath, auth };
  }
  const host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
  const port = url.port === '' ? undefined : Number(url.port);
  return { url, isSecure, host, port, path: whole, socketPath: undefined, auth };
}

/** Whether both are the same host and port, or the same Unix socket. */
export function isSameHost(one: Target, other: Target): boolean {
  if (one.socketPath !== undefined || other.socketPath !== undefined) {
    return one.socketPath === other.socketPath;
  }
  return one.url.host === other.url.host;
}
