import { isIPv6 } from './host.ts';

interface HostPort {
  readonly host: string;
  /** `''` when no port is given and the scheme has no default. */
  readonly port: string;
}

export interface Origin extends HostPort {
  readonly scheme: string;
}

const DEFAULT_PORT: ReadonlyMap<string, string> = /* @__PURE__ */ new Map([
  ['http', '80'],
  ['https', '443'],
]);

/** URLSession and Starscream send the URL of the server as the origin. */
const PAGE_SCHEME: ReadonlyMap<string, string> = /* @__PURE__ */ new Map([
  ['ws', 'http'],
  ['wss', 'https'],
]);

// Each has one character class and no alternatives, so both run in linear time.
const HOST_PORT = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+)(?::([0-9]{0,5}))?$/;
/** RFC 3986, section 2.1: two digits follow a percent sign. */
const BAD_PERCENT = /%(?![0-9A-Fa-f]{2})/;
const ORIGIN = /^([A-Za-z][A-Za-z0-9+\-.]*):\/\/([^/?#\\,%]+)(?:[/?#].*)?$/;
const ALLOWED = /^([^/*]*:\/\/)(\*\.)?([^/?#@*]+)$/;

/** A name or an IPv4 address. A port of up to four digits is always in range. */
const PLAIN_HOST = /^[A-Za-z0-9.-]+(?::[0-9]{1,4})?$/;
const HTTP = 'http://';
const HTTPS = 'https://';

/** The origin that a browser sends for a page whose origin it hides (RFC 6454, section 7.3). */
export const NULL_ORIGIN = 'null';

/** Reads `host[:port]`. The port defaults to the one of `scheme`. */
export function parseHostPort(text: string, scheme: string): HostPort | undefined {
  const [, host, port] = HOST_PORT.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535 || BAD_PERCENT.test(host)) return undefined;
  const name = host.startsWith('[') ? parseIPv6(host.slice(1, -1)) : host.toLowerCase();
  if (name === undefined) return undefined;
  return {
    host: name,
    port: port ? String(Number(port)) : (DEFAULT_PORT.get(scheme) ?? ''),
  };
}

/** Normalizes an IPv6 address, so that one address has one spelling. */
function parseIPv6(address: string): string | undefined {
  return isIPv6(address) ? new URL(`http://[${address}]`).hostname : undefined;
}

/**
 * Reads an `Origin` (RFC 6454, section 7). The URL class is not used, because it repairs too much.
 * As in gorilla/websocket, user info and the text after the host are ignored; no browser sends
 * them. `\`, `,` and `%` before the path are rejected: no browser sends them, and parsers disagree
 * about the host.
 *
 * @returns undefined for `null`, an empty value and any other text without a host.
 */
export function parseOrigin(text: string): Origin | undefined {
  const [, scheme, authority] = ORIGIN.exec(text) ?? [];
  if (scheme === undefined || authority === undefined) return undefined;
  const lower = scheme.toLowerCase();
  const name = PAGE_SCHEME.get(lower) ?? lower;
  const place = parseHostPort(authority.slice(authority.lastIndexOf('@') + 1), name);
  return place && { scheme: name, ...place };
}

/**
 * Which pages of the host itself may connect: those of http and https, those of https only, or
 * none.
 */
export type SameHost = boolean | 'https';

const PAGE_SCHEMES: ReadonlySet<string> = /* @__PURE__ */ new Set(['http', 'https']);

/**
 * The default check: returns whether `origin` has the host and port that the request was sent to. A
 * missing port is the default port of the origin's scheme, so the check works behind a proxy that
 * ends TLS. Case is ignored. Only http and https name a host that a page was loaded from; ws and wss
 * count as these.
 */
export function isSameHost(origin: string, host: string, pages: SameHost = true): boolean {
  if (pages !== false && isPlainSameHost(origin, host, pages)) return true;
  const from = parseOrigin(origin);
  if (pages === false || from === undefined || !PAGE_SCHEMES.has(from.scheme)) return false;
  if (pages === 'https' && from.scheme !== 'https') return false;
  const to = parseHostPort(host, from.scheme);
  return to !== undefined && to.host === from.host && to.port === from.port;
}

/**
 * Returns whether `origin` is a scheme and `host` as sent, with a host that needs no parser: the
 * usual request of a browser.
 */
function isPlainSameHost(origin: string, host: string, pages: true | 'https'): boolean {
  if (!origin.endsWith(host) || !PLAIN_HOST.test(host)) return false;
  const scheme = origin.length - host.length;
  if (scheme === HTTPS.length) return origin.startsWith(HTTPS);
  return pages === true && scheme === HTTP.length && origin.startsWith(HTTP);
}

/**
 * Reads one entry of `allowedOrigins`: `https://app.example.org`, with or without a port, or
 * `https://*.example.org` for every name below `example.org`, at any depth, but not for
 * `example.org` itself.
 *
 * @throws TypeError that names an invalid entry.
 */
export function parseAllowedOrigin(entry: unknown): (origin: Origin) => boolean {
  const [, scheme, wild, place] = ALLOWED.exec(String(entry)) ?? [];
  const wanted = parseOrigin(`${scheme}${place}`);
  if (typeof entry !== 'string' || wanted === undefined) {
    const examples = 'https://example.org or https://*.example.org';
    throw new TypeError(
      `allowedOrigins: expected origins such as ${examples}, got ${String(entry)}${cureOf(entry)}`,
    );
  }
  const suffix = `.${wanted.host}`;
  return ({ scheme, host, port }) =>
    scheme === wanted.scheme &&
    port === wanted.port &&
    (wild === undefined ? host === wanted.host : host.endsWith(suffix) && host !== suffix);
}

/** Returns what to write instead of an entry that is no origin; `''` when that is not known. */
function cureOf(entry: unknown): string {
  const text = String(entry);
  if (text === '*') return '; to admit every page set checkOrigin: () => true';
  if (!text.includes('://')) return '; an origin starts with its scheme';
  const [origin] = /^\w+:\/\/[^/?#]+/.exec(text) ?? [];
  return origin === undefined ? '' : `; an origin has no path; write ${origin}`;
}
