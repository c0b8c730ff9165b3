import {
  isSameHost,
  NULL_ORIGIN,
  type Origin,
  parseAllowedOrigin,
  parseHostPort,
  parseOrigin,
  type SameHost,
} from '@ws/codec/internal';
import type { AppRequest, HandshakeRequest } from '../conn-handler.ts';
import { HandshakeError, quoted } from '../errors.ts';
import type { FieldLookups } from '../headers.ts';

/** A name or an IPv4 address. A port of up to four digits is always in range. */
const PLAIN_HOST = /^[A-Za-z0-9.-]+(?::[0-9]{1,4})?$/;
const HTTP = 'http://';
const HTTPS = 'https://';

/**
 * Decides alone whether the origin of a request may connect; `false` refuses with 403. Throwing
 * refuses with 500.
 *
 * @see RFC 6455, section 10.2
 */
export type CheckOrigin<Req = HandshakeRequest> = (req: Req) => boolean | PromiseLike<boolean>;

/** Returns whether `text` is `host[:port]`, the form of a Host header. */
export function isHost(text: string): boolean {
  return parseHostPort(text, '') !== undefined;
}

/**
 * Decides by the `Origin` header who may connect. It keeps foreign pages from using a visitor's
 * cookies.
 */
export class OriginPolicy {
  readonly #allowed: readonly ((origin: Origin) => boolean)[];
  /**
   * Allows pages whose origin is `null`: files, sandboxed frames. Any page can create such a frame.
   */
  readonly #allowsNull: boolean;
  readonly #sameHost: SameHost;
  /** The entries of `allowedOrigins`, for messages. */
  readonly #listed: string;
  /** The option `checkOrigin`. It decides alone. */
  readonly check: CheckOrigin<AppRequest> | undefined;

  /** @throws TypeError for an entry that is not an origin. */
  constructor(
    allowed: readonly string[],
    check: CheckOrigin<AppRequest> | undefined,
    sameHost: SameHost = true,
  ) {
    this.#sameHost = sameHost;
    this.#listed = allowed.join(', ');
    this.#allowsNull = allowed.includes(NULL_ORIGIN);
    this.#allowed = allowed
      .filter((entry) => entry !== NULL_ORIGIN)
      .map((entry) => parseAllowedOrigin(entry, cureOf));
    this.check = check;
  }

  /** Returns the refusal of a request that {@link check} or {@link allows} has not allowed. */
  refusal(headers: FieldLookups): HandshakeError {
    const [origin] = headers.lines('origin');
    const host = headers.list('host');
    const who = origin === undefined ? 'a request without origin' : `origin ${quoted(origin)}`;
    if (this.check !== undefined) {
      return originRefusal(`${who} is not allowed`, 'checkOrigin decides that');
    }
    const cure = 'add it to allowedOrigins';
    const listed = this.#listed === '' ? '' : ` or allowedOrigins ${this.#listed}`;
    if (this.#sameHost === false) {
      return originRefusal(`${who} is not allowed`, `${cure}, or set sameHost`);
    }
    if (this.#sameHost === 'https' && isSameHost(origin ?? '', host)) {
      return originRefusal(`${who} is not https`, `${cure}, or set sameHost to true`);
    }
    return originRefusal(`${who} does not match host ${quoted(host)}`, cure, listed);
  }

  /** Decides by the lists, without {@link check}. */
  allows(headers: FieldLookups): boolean {
    // Without Origin the client is not a browser. A client that can omit the header can also forge
    // it.
    if (!headers.has('origin')) return true;
    // The rules of the request have refused a repeated Origin.
    const origin = headers.once('origin') ?? '';
    const host = headers.list('host');
    const isSame =
      isPlainSameHost(origin, host, this.#sameHost) || isSameHost(origin, host, this.#sameHost);
    if (isSame) return true;
    return origin === NULL_ORIGIN ? this.#allowsNull : this.#isListed(origin);
  }

  #isListed(origin: string): boolean {
    const parsed = parseOrigin(origin);
    return parsed !== undefined && this.#allowed.some((matches) => matches(parsed));
  }
}

/**
 * Returns whether `origin` is a scheme and `host` as sent, with a host that needs no parser: the
 * usual request of a browser.
 */
function isPlainSameHost(origin: string, host: string, pages: SameHost): boolean {
  if (pages === false || !origin.endsWith(host) || !PLAIN_HOST.test(host)) return false;
  const scheme = origin.length - host.length;
  if (scheme === HTTPS.length) return origin.startsWith(HTTPS);
  return pages === true && scheme === HTTP.length && origin.startsWith(HTTP);
}

/** Returns what to write instead of an entry that is no origin; `''` when that is not known. */
function cureOf(entry: unknown): string {
  const text = String(entry);
  if (text === '*') return '; to admit every page set checkOrigin: () => true';
  if (!text.includes('://')) return '; an origin starts with its scheme';
  const [origin] = /^\w+:\/\/[^/?#]+/.exec(text) ?? [];
  return origin === undefined ? '' : `; an origin has no path; write ${origin}`;
}

/** The client gets only `reason`. The log also gets the configured values and the cure. */
function originRefusal(reason: string, cure: string, configured = ''): HandshakeError {
  return new HandshakeError(403, `${reason}${configured}; ${cure}`, { body: `${reason}\n` });
}
