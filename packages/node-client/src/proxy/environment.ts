import { BlockList, isIP } from 'node:net';
import { domainToASCII } from 'node:url';
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
  const [, excluded = ''] = variable(env, 'no_proxy') ?? [];
  if (isExcluded(excluded, hostname, port === '' ? (secure ? 443 : 80) : Number(port))) {
    return undefined;
  }
  return proxyUrl(set);
}

/** A variable that is set. */
type Variable = readonly [name: string, value: string];

function variable(env: Environment, lower: string): Variable | undefined {
  const names = [lower, lower.toUpperCase()].filter((name) => !isRequestHeader(env, name));
  for (const name of names) {
    const value = env[name]?.trim();
    if (value !== undefined && value !== '') return [name, value];
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

function proxyUrl([name, value]: Variable): URL {
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`;
  // The URL parser would drop a line end, and read extra slashes and backslashes as two slashes.
  if (/[\u0000-\u0020\u007f\\]/.test(text) || /^[^:]*:\/\/\//.test(text) || !URL.canParse(text)) {
    throw malformedProxy(name, 'it is not the URL of a proxy');
  }
  const url = new URL(text);
  parseProxy(url, name);
  return url;
}

/**
 * Returns whether a NO_PROXY list contains a server. Commas or spaces separate its entries:
 *
 * - `*`: every server;
 * - `example.com`: this host and every name below it; `.example.com` and `*.example.com`: only the
 *   names below it;
 * - `10.1.2.3`, `::1`, `[::1]`: an IP address in any notation; `10.0.0.0/8`, `2001:db8::/32`: a
 *   network. Names are not resolved to compare their addresses;
 * - every entry except a network may end with a port, as in `example.com:8080`, and then applies to
 *   this port only.
 *
 * Case and a trailing dot of a name are ignored. Any other entry matches nothing.
 *
 * @param host - `URL.hostname`, with or without the brackets of an IPv6 address.
 */
export function isExcluded(list: string, host: string, port: number): boolean {
  const name = normalizeHost(host);
  return list.split(/[\s,]+/).some((entry) => entry !== '' && matches(entry, name, port));
}

/**
 * Returns whether a host is this machine by name or address: `localhost`, names below it,
 * 127.0.0.0/8, ::1.
 */
export function isLoopback(host: string): boolean {
  const name = normalizeHost(host);
  if (isIP(name) !== 0) return LOOPBACK.check(name, family(name));
  return name === 'localhost' || name.endsWith('.localhost');
}

const LOOPBACK = /* @__PURE__ */ loopback();

function loopback(): BlockList {
  const list = new BlockList();
  list.addSubnet('127.0.0.0', 8, 'ipv4');
  list.addAddress('::1', 'ipv6');
  return list;
}

function matches(entry: string, host: string, port: number): boolean {
  if (entry === '*') return true;
  // An IPv6 zone; no URL contains one.
  if (entry.includes('%')) return false;
  const slash = entry.indexOf('/');
  if (slash >= 0) return inNetwork(entry.slice(0, slash), entry.slice(slash + 1), host);
  // Only brackets separate a port from an IPv6 address.
  const [, address = '', number] =
    isIP(entry) === 6 ? [entry, entry] : (HOST_PORT.exec(entry) ?? []);
  if (address === '' || (number !== undefined && Number(number) !== port)) return false;
  const normalized = normalizeHost(address);
  if (isIP(normalized) !== 0) return sameAddress(normalized, host);
  const suffix = /^(?:\*?\.)(.+)$/.exec(normalized)?.[1];
  // The form of a URL: `bücher.example` becomes `xn--bcher-kva.example`; '' for text that is not a
  // name.
  const domain = domainToASCII(suffix ?? normalized);
  if (domain === '' || isIP(host) !== 0) return false;
  return host.endsWith(`.${domain}`) || (suffix === undefined && host === domain);
}

/** A name or an address in brackets, with an optional port. */
const HOST_PORT = /^(\[[^\]]*\]|[^:[\]]+)(?::(\d{1,5}))?$/;

function inNetwork(address: string, bits: string, host: string): boolean {
  const base = normalizeHost(address);
  if (isIP(host) === 0 || isIP(base) === 0 || !/^\d{1,3}$/.test(bits)) return false;
  if (Number(bits) > (isIP(base) === 4 ? 32 : 128)) return false;
  // BlockList finds every IPv4 address in an IPv6 network that contains ::ffff:0:0/96.
  if (isIP(base) === 6 && isIP(host) === 4 && Number(bits) < 96) return false;
  const network = new BlockList();
  network.addSubnet(base, Number(bits), family(base));
  return network.check(host, family(host));
}

function sameAddress(one: string, other: string): boolean {
  if (isIP(other) === 0) return false;
  const list = new BlockList();
  list.addAddress(one, family(one));
  return list.check(other, family(other));
}

/** Returns a host in lower case, without brackets and without a trailing dot. */
function normalizeHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}
