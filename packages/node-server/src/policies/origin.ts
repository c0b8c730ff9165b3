import { AllowedOrigins, type RequestFacts, type SameHost } from '@ws/codec';
import type { AppRequest, HandshakeRequest } from '../conn-handler.ts';
import { HandshakeError, quoted } from '../errors.ts';

/** Pages of the requested host. */
const SAME_HOST = new AllowedOrigins();

/**
 * Decides alone whether the origin of a request may connect; `false` refuses with 403. Throwing
 * refuses with 500.
 *
 * @see RFC 6455, section 10.2
 */
export type CheckOrigin<Req = HandshakeRequest> = (req: Req) => boolean | PromiseLike<boolean>;

/** The options `allowedOrigins`, `sameHost` and `checkOrigin`. `allows` decides without `checkOrigin`. */
export class OriginPolicy extends AllowedOrigins {
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
    if (allowed.includes('*')) {
      throw new TypeError(
        'allowedOrigins: expected origins such as https://example.org, got *; to admit every page set checkOrigin: () => true',
      );
    }
    super(allowed, sameHost);
    this.#sameHost = sameHost;
    this.#listed = allowed.join(', ');
    this.check = check;
  }

  /** Returns the refusal of a request that {@link check} or `allows` has not allowed. */
  refusal(headers: RequestFacts): HandshakeError {
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
    if (this.#sameHost === 'https' && SAME_HOST.allows(headers)) {
      return originRefusal(`${who} is not https`, `${cure}, or set sameHost to true`);
    }
    return originRefusal(`${who} does not match host ${quoted(host)}`, cure, listed);
  }
}

/** The client gets only `reason`. The log also gets the configured values and the cure. */
function originRefusal(reason: string, cure: string, configured = ''): HandshakeError {
  return new HandshakeError(403, `${reason}${configured}; ${cure}`, { body: `${reason}\n` });
}
