import { isExcluded, isLoopback } from './no-proxy.ts';
import { malformedProxy, parseProxy } from './proxy.ts';

/** Environment variables by name, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy that the environment names for a URL: what `proxy: 'env'` asks at every dial.
 *
 * - `http_proxy` or `HTTP_PROXY` for ws URLs, `https_proxy` or `HTTPS_PROXY` for wss URLs; where that is not there,
 *   `all_proxy` or `ALL_PROXY`. Lower case goes before upper case, and an empty value is as good as none.
 * - `HTTP_PROXY` in upper case is not read where `REQUEST_METHOD` is set: in a CGI program it is the Proxy header of
 *   whoever made the request (CVE-2016-5385, "httpoxy"). Nor is `http_proxy` there where names have no case, on Windows.
 * - A value is the URL of an http, https, socks5 or socks5h proxy; without a scheme, as in `proxy.example:3128`, it is an
 *   http proxy.
 * - `no_proxy` or `NO_PROXY` lists the servers to reach directly, between commas or spaces: `*` for all;
 *   `example.com` for that host and those below it, `.example.com` or `*.example.com` for only those below it; IP
 *   addresses; networks of them such as `10.0.0.0/8`. A port, as in `example.com:8080`, confines an entry to it.
 * - `localhost`, names below it, 127.0.0.0/8 and ::1 never go through a proxy of the environment.
 *
 * @param url - ws, wss, http or https.
 * @param env - Default: `process.env`, as it is now.
 * @returns undefined when the URL is to be reached directly.
 * @throws SyntaxError that names the variable, and never shows its value, when that is no URL of a proxy.
 */
export function proxyFromEnvironment(
  url: string | URL,
  env: Environment = process.env,
): URL | undefined {
  const { protocol, hostname, port } = new URL(url);
  const secure = protocol === 'wss:' || protocol === 'https:';
  // Without a host it is the URL of a Unix socket.
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

/** Whether a CGI server may have made the variable of a header that the client sent. */
function isRequestHeader(env: Environment, name: string): boolean {
  // Where the names of variables have no case, as on Windows, `http_proxy` reads HTTP_PROXY.
  const caseless = env['request_method'] !== undefined;
  return (
    env['REQUEST_METHOD'] !== undefined &&
    (name === 'HTTP_PROXY' || (caseless && name === 'http_proxy'))
  );
}

function proxyUrl({ name, value }: Variable): URL {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  // The parser would drop a line end, and take more slashes and backslashes for two slashes.
  if (/[\u0000-\u0020\u007f\\]/.test(text) || /^[^:]*:\/\/\//.test(text) || !URL.canParse(text)) {
    throw malformedProxy(name, 'it is no URL of a proxy');
  }
  const url = new URL(text);
  parseProxy(url, name);
  return url;
}
