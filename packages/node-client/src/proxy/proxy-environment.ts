import { isExcluded, isLoopback } from './no-proxy.ts';
import { malformedProxy, parseProxy } from './proxy.ts';

/** Environment variables by name, like `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Returns the proxy of the environment for a URL. `proxy: 'env'` calls it at every dial.
 *
 * - It reads `http_proxy` or `HTTP_PROXY` for ws URLs, `https_proxy` or `HTTPS_PROXY` for wss URLs,
 *   and otherwise `all_proxy` or `ALL_PROXY`. Lower case takes precedence over upper case. An empty
 *   value counts as unset.
 * - `HTTP_PROXY` in upper case is not read when `REQUEST_METHOD` is set: in a CGI program it
 *   contains the Proxy header of the client (CVE-2016-5385, "httpoxy"). On Windows, where names
 *   have no case, `http_proxy` is not read then either.
 * - A value is the URL of an http, https, socks5, socks5h or socks (SOCKS 5) proxy. Without a
 *   scheme, as in `proxy.example:3128`, it is an http proxy.
 * - `no_proxy` or `NO_PROXY` lists the servers to reach directly, separated by commas or spaces:
 *   `*` for all; `example.com` for this host and every name below it, `.example.com` or
 *   `*.example.com` for only the names below it; IP addresses; networks such as `10.0.0.0/8`. A
 *   port, as in `example.com:8080`, limits an entry to that port.
 * - `localhost`, names below it, 127.0.0.0/8 and ::1 are always reached directly.
 *
 * @param url - ws, wss, http or https.
 * @param env - Default: the current `process.env`.
 * @returns undefined for a direct connection.
 * @throws SyntaxError that names the variable whose value is not the URL of a proxy. It never shows
 *   the value.
 *
 * @example
 * ```ts
 * import { proxyFromEnvironment } from '@ws/node-client';
 *
 * const env = { https_proxy: 'proxy.example.org:3128', no_proxy: 'localhost' };
 * console.log(String(proxyFromEnvironment('wss://example.org', env))); // http://proxy.example.org:3128/
 * ```
 */
export function proxyFromEnvironment(
  url: string | URL,
  env: Environment = process.env,
): URL | undefined {
  const { protocol, hostname, port } = new URL(url);
  const secure = protocol === 'wss:' || protocol === 'https:';
  // A URL without a host is the URL of a Unix socket.
  if (hostname === '' || isLoopback(hostname)) return undefined;
  const set = variable(env, secure ? 'https_proxy' : 'http_proxy') ?? variable(env, 'all_proxy');
  if (set === undefined) return undefined;
  const excluded = variable(env, 'no_proxy')?.value ?? '';
  if (isExcluded(excluded, hostname, port === '' ? (secure ? 443 : 80) : Number(port))) {
    return undefined;
  }
  return proxyUrl(set);
}

interface Variable {
  readonly name: string;
  readonly value: string;
}

function variable(env: Environment, lower: string): Variable | undefined {
  const names = [lower, lower.toUpperCase()].filter((name) => !isRequestHeader(env, name));
  for (const name of names) {
    const value = env[name]?.trim();
    if (value !== undefined && value !== '') return { name, value };
  }
  return undefined;
}

/** Returns whether a CGI server may have set the variable from a header of the client. */
function isRequestHeader(env: Environment, name: string): boolean {
  // On Windows variable names have no case, so `http_proxy` reads HTTP_PROXY.
  const caseless = env['request_method'] !== undefined;
  return (
    env['REQUEST_METHOD'] !== undefined &&
    (name === 'HTTP_PROXY' || (caseless && name === 'http_proxy'))
  );
}

function proxyUrl({ name, value }: Variable): URL {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  // The URL parser would drop a line end, and read extra slashes and backslashes as two slashes.
  if (/[\u0000-\u0020\u007f\\]/.test(text) || /^[^:]*:\/\/\//.test(text) || !URL.canParse(text)) {
    throw malformedProxy(name, 'it is not the URL of a proxy');
  }
  const url = new URL(text);
  parseProxy(url, name);
  return url;
}
