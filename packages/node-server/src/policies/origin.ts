import {
  isSameHost,
  NULL_ORIGIN,
  type Origin,
  parseAllowedOrigin,
  parseHostPort,
  parseOrigin,
  type SameHost,
} from '@ws/codec/parts';
import type { AppRequest, HandshakeRequest } from '../conn-handler.ts';
import { HandshakeError, quoted } from '../errors.ts';
import type { FieldLookups } from '../headers.ts';

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
    this.#allowed = allowed.filter((entry) => entry !== NULL_ORIGIN).map(parseAllowedOrigin);
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
    if (isSameHost(origin, headers.list('host'), this.#sameHost)) return true;
    return origin === NULL_ORIGIN ? this.#allowsNull : this.#isListed(origin);
  }

  #isListed(origin: string): boolean {
    const parsed = parseOrigin(origin);
    return parsed !== undefined && this.#allowed.some((matches) => matches(parsed));
  }
}

/** The client gets only `reason`. The log also gets the configured values and the cure. */
function originRefusal(reason: string, cure: string, configured = ''): HandshakeError {
  return new HandshakeError(403, `${reason}${configured}; ${cure}`, { body: `${reason}\n` });
}
