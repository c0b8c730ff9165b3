import { unescape } from 'node:querystring';

/** Where a client connects to. */
export interface Target {
  readonly url: URL;
  readonly isSecure: boolean;
  /** The host name without brackets; empty for a Unix socket. */
  readonly host: string;
  readonly port: string | number;
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
  url.protocol = url.protocol.replace(/^http(?=s?:)/, 'ws');
  return url;
}

/** @throws SyntaxError for a URL that is not one of a WebSocket server. */
export function targetOf(url: URL): Target {
  const { protocol, pathname, username, password } = url;
  const isSecure = protocol === 'wss:';
  const isUnix = protocol === 'ws+unix:';
  if (protocol !== 'ws:' && !isSecure && !isUnix) {
    const expected = '"ws:", "wss:", "http:", "https:", or "ws+unix:"';
    throw new SyntaxError(`The URL's protocol must be one of ${expected}`);
  }
  if (isUnix && pathname === '') throw new SyntaxError("The URL's pathname is empty");
  if (url.hash !== '') throw new SyntaxError('The URL contains a fragment identifier');
  const whole = pathname + url.search;
  const [socketPath, ...paths] = isUnix ? whole.split(':') : [undefined, whole];
  return {
    url,
    isSecure,
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port || (isSecure ? 443 : 80),
    // Only the first colon is a separator.
    path: paths.join(':'),
    socketPath,
    auth: username || password ? `${unescape(username)}:${unescape(password)}` : undefined,
  };
}

/** Whether both are the same host and port, or the same Unix socket. */
export function isSameHost(one: Target, other: Target): boolean {
  return one.socketPath === other.socketPath && one.url.host === other.url.host;
}

/**
 * Whether a redirect to `target` may carry the credentials for `first`: it stays on the host that
 * the application has named, and does not go from TLS to plain text.
 */
export function mayGetCredentials(target: Target, first: Target): boolean {
  return isSameHost(target, first) && (target.isSecure || !first.isSecure);
}
