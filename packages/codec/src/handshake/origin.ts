import { DEFAULT_PORT, type HostPort, hostOf, PLAIN_HOST, parseHostPort } from './host.ts';
import type { RequestFacts } from './request-rules.ts';

type Origin = HostPort & { readonly scheme: string };

// Both run in linear time.
const ORIGIN = /^([A-Za-z][A-Za-z0-9+\-.]*):\/\/([^/?#\\,%]+)(?:[/?#].*)?$/;
const ALLOWED = /^([^/*]*:\/\/)(\*\.)?([^/?#@*]+)$/;

/** The origin that a browser sends for a page with a hidden origin (RFC 6454, section 7.3). */
const NULL_ORIGIN = 'null';

/**
 * Reads an `Origin` (RFC 6454, section 7). The URL class is not used, because it repairs too much.
 * As in gorilla/websocket, user info and the text after the host are ignored; no browser sends
 * them. `\`, `,` and `%` before the path are rejected: no browser sends them, and parsers disagree
 * about the host.
 *
 * @returns undefined for `null`, an empty value and any other text without a host.
 */
function parseOrigin(text: string): Origin | undefined {
  const [, scheme, authority] = ORIGIN.exec(text) ?? [];
  if (scheme === undefined || authority === undefined) return undefined;
  // URLSession and Starscream send the URL of the server as the origin.
  const name = scheme.toLowerCase().replace(/^ws(?=s?$)/, 'http');
  const place = parseHostPort(authority.slice(authority.lastIndexOf('@') + 1), name);
  return place && { scheme: name, ...place };
}

/**
 * The pages of the host itself that may connect: over http and https, over https only, or
 * none.
 */
export type SameHost = boolean | 'https';

/**
 * Decides by the header `Origin` which pages may connect. Any page can open a WebSocket to any server,
 * and the browser sends the cookies of its visitor (RFC 6455, section 10.2).
 *
 * Use it after {@link requestRules} of the step `origin`.
 *
 * @example
 * ```ts
 * import { AllowedOrigins, RequestHead } from '@ws/codec';
 *
 * const origins = new AllowedOrigins(['https://*.example.org']);
 * const head = new RequestHead();
 * const text = 'GET / HTTP/1.1\r\nHost: api.example.net\r\nOrigin: https://evil.example\r\n\r\n';
 * head.push(new TextEncoder().encode(text));
 * console.log(origins.allows(head)); // false
 * ```
 */
export class AllowedOrigins {
  readonly #listed: readonly ((origin: Origin) => boolean)[];
  /** Allows pages of files and of sandboxed frames. Any page can create such a frame. */
  readonly #allowsNull: boolean;
  readonly #sameHost: SameHost;

  /**
   * @param allowedOrigins - Pages of other hosts: `https://app.example.org`, with or without a port;
   *   `https://*.example.org` for every name below `example.org`, at any depth, but not for
   *   `example.org` itself; `null` for pages with a hidden origin. Default: none.
   * @param sameHost - Which pages of the requested host may connect. Default: `true`, all.
   * @throws TypeError that names an invalid entry.
   */
  constructor(allowedOrigins: readonly string[] = [], sameHost: SameHost = true) {
    this.#listed = allowedOrigins.filter((entry) => entry !== NULL_ORIGIN).map(parseEntry);
    this.#allowsNull = allowedOrigins.includes(NULL_ORIGIN);
    this.#sameHost = sameHost;
  }

  /**
   * Returns whether a request may connect: its origin is in the list, or has the host and port of the
   * header `Host`, or of `:authority`. A missing port is the default port of the origin's scheme, so this works behind a
   * proxy that ends TLS. Only http and https name a host that a page was loaded from; ws and wss count
   * as these. A request without `Origin` may connect: its client is not a browser, and could forge the
   * header. A repeated `Origin` may not.
   */
  allows(request: Pick<RequestFacts, 'has' | 'once' | 'list'>): boolean {
    if (!request.has('origin')) return true;
    const origin = request.once('origin') ?? '';
    const host = hostOf(request);
    if (isAsSent(origin, host, this.#sameHost)) return true;
    if (isSameHost(origin, host, this.#sameHost)) return true;
    return origin === NULL_ORIGIN ? this.#allowsNull : this.#isListed(origin);
  }

  #isListed(origin: string): boolean {
    const parsed = parseOrigin(origin);
    return parsed !== undefined && this.#listed.some((matches) => matches(parsed));
  }
}

/**
 * Whether `origin` is a scheme and the plain `host` as sent. It is for the requests of most browsers,
 * and needs no parser.
 */
function isAsSent(origin: string, host: string, pages: SameHost): boolean {
  if (pages === false || !origin.endsWith(host) || !PLAIN_HOST.test(host)) return false;
  const scheme = origin.slice(0, origin.length - host.length);
  return scheme === 'https://' || (pages === true && scheme === 'http://');
}

function isSameHost(origin: string, host: string, pages: SameHost): boolean {
  const from = parseOrigin(origin);
  if (pages === false || from === undefined || !DEFAULT_PORT.has(from.scheme)) return false;
  if (pages === 'https' && from.scheme !== 'https') return false;
  const to = parseHostPort(host, from.scheme);
  return to !== undefined && to.host === from.host && to.port === from.port;
}

/** @throws TypeError that names an invalid entry. */
function parseEntry(entry: unknown): (origin: Origin) => boolean {
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
  if (!text.includes('://')) return '; an origin starts with its scheme';
  const [origin] = /^\w+:\/\/[^/?#]+/.exec(text) ?? [];
  return origin === undefined ? '' : `; an origin has no path; write ${origin}`;
}
