import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import type { RequestHeaders } from './headers.ts';

/** Decides by itself whether a request's origin may connect. Throwing refuses with 500. */
export type CheckOrigin = (req: IncomingMessage) => boolean | PromiseLike<boolean>;

interface Place {
  readonly host: string;
  /** '' when there is none and the scheme has no default. */
  readonly port: string;
}

interface Origin extends Place {
  readonly scheme: string;
}

const DEFAULT_PORT: ReadonlyMap<string, string> = new Map([
  ['http', '80'],
  ['ws', '80'],
  ['https', '443'],
  ['wss', '443'],
]);

// One character class each and no choice between them, so both are linear.
const PLACE = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~!$&'()*+,;=%]+)(?::([0-9]{0,5}))?$/;
const ORIGIN = /^([A-Za-z][A-Za-z0-9+\-.]*):\/\/([^/?#\\,%]+)(?:[/?#].*)?$/;
const ALLOWED = /^([^/*]*:\/\/)(\*\.)?([^/?#@*]+)$/;

/** RFC 6454, section 7.3: what a browser sends for a page whose origin it does not tell. */
const NULL = 'null';

/** Reads `host[:port]`; without a port it is the default one of `scheme`. */
export function parsePlace(text: string, scheme: string): Place | undefined {
  const [, host, port] = PLACE.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) return undefined;
  const name = host.startsWith('[') ? parseIPv6(host.slice(1, -1)) : host.toLowerCase();
  if (name === undefined) return undefined;
  return {
    host: name,
    port: port ? String(Number(port)) : (DEFAULT_PORT.get(scheme) ?? ''),
  };
}

/** One address is one text, however many zeros it is written with. */
function parseIPv6(address: string): string | undefined {
  return isIPv6(address) ? new URL(`http://[${address}]`).hostname : undefined;
}

/** Says whether `text` is `host[:port]`, as a Host header has it. */
export function isHost(text: string): boolean {
  return parsePlace(text, '') !== undefined;
}

/**
 * Reads an `Origin` (RFC 6454, section 7). Not by the URL class: it repairs too much. User info and what follows the
 * host are passed over, as in gorilla/websocket; no browser sends them. Nor does one send `\`, `,` or `%` before the path,
 * where parsers differ in what the host is.
 *
 * @returns undefined for `null`, an empty value and whatever else names no host.
 */
function parseOrigin(text: string): Origin | undefined {
  const [, scheme, authority] = ORIGIN.exec(text) ?? [];
  if (scheme === undefined || authority === undefined) return undefined;
  const name = scheme.toLowerCase();
  const place = parsePlace(authority.slice(authority.lastIndexOf('@') + 1), name);
  return place && { scheme: name, ...place };
}

/**
 * The default check: `origin` names the host that the request was sent to. A port that is missing on either side is the
 * default one of the origin's scheme, so that it holds behind a proxy that ends TLS. Case and scheme do not count.
 */
export function isSameHost(origin: string, host: string): boolean {
  const from = parseOrigin(origin);
  const to = from && parsePlace(host, from.scheme);
  return to !== undefined && to.host === from!.host && to.port === from!.port;
}

/**
 * One entry of `allowedOrigins`: `https://app.example.org`, with a port or without, or `https://*.example.org` for every
 * name below, however deep, though not `example.org` itself.
 *
 * @throws TypeError that names the entry when it is neither.
 */
function parseAllowed(entry: unknown): (origin: Origin) => boolean {
  const [, scheme, wild, place] = ALLOWED.exec(String(entry)) ?? [];
  const wanted = parseOrigin(`${scheme}${place}`);
  if (typeof entry !== 'string' || wanted === undefined) {
    const examples = 'https://example.org or https://*.example.org';
    throw new TypeError(
      `allowedOrigins: expected origins such as ${examples}, got ${String(entry)}`,
    );
  }
  const suffix = `.${wanted.host}`;
  return ({ scheme, host, port }) =>
    scheme === wanted.scheme &&
    port === wanted.port &&
    (wild === undefined ? host === wanted.host : host.endsWith(suffix) && host !== suffix);
}

/** Who may connect, judged by the `Origin` header: what keeps foreign pages from using a visitor's cookies. */
export class OriginPolicy {
  readonly #allowed: readonly ((origin: Origin) => boolean)[];
  /** Pages without an origin of their own: files, sandboxed frames. Anybody can make one. */
  readonly #allowsNull: boolean;
  readonly #check: CheckOrigin | undefined;

  /** @throws TypeError for an entry that is no origin. */
  constructor(allowed: readonly string[], check: CheckOrigin | undefined) {
    this.#allowsNull = allowed.includes(NULL);
    this.#allowed = allowed.filter((entry) => entry !== NULL).map(parseAllowed);
    this.#check = check;
  }

  /** @throws Whatever the application's check throws. */
  allows(headers: RequestHeaders, req: IncomingMessage): boolean | PromiseLike<boolean> {
    if (this.#check !== undefined) return this.#check(req);
    const [origin] = headers.lines('origin');
    // Not a browser: whoever can leave the header out could also forge it.
    if (origin === undefined || isSameHost(origin, headers.list('host'))) return true;
    if (origin === NULL) return this.#allowsNull;
    const parsed = parseOrigin(origin);
    return parsed !== undefined && this.#allowed.some((matches) => matches(parsed));
  }
}
