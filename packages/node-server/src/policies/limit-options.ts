import type { RateLimit } from '@ws/conn';
import { type BucketPlan, checkOptionNames, checkRate, kind, whole } from '@ws/conn/internal';
import type { AppRequest, HandshakeRequest } from '../conn-handler.ts';
import { checkBucket, type HandshakePace } from './pace.ts';

/** What the function `by` of a {@link Limit} gets. */
export interface LimitedClient<Auth = unknown, Req = HandshakeRequest> {
  /** What `authenticate` has admitted. */
  readonly auth: Auth;
  /** As in the context of the handler. */
  readonly address: string | undefined;
  readonly request: Req;
}

/** An entry of the option `limits`. It bounds what all connections with one key do on this server. */
export interface Limit<Auth = unknown, Req = HandshakeRequest> {
  /**
   * The key. `'address'` is the client's address, and an IPv6 /64 is one; without an address the entry
   * does not count. It is checked before the pace of `handshakes`. A function is called after
   * `authenticate`, and its result holds for the life of the connection: a text of 1 to 256 bytes or a
   * whole number; `false` for no limit. Any other result refuses with 500 and is reported.
   */
  readonly by: 'address' | ((client: LimitedClient<Auth, Req>) => string | number | false);
  /** Most open connections and pending handshakes of a key. Default: no bound. */
  readonly connections?: number | undefined;
  /**
   * Above `connections`: `'refuse'` answers 429, `'oldest'` closes the oldest connection of the key with
   * 4409, so that a client that has changed its network is not locked out. Default: `'refuse'`.
   */
  readonly over?: 'refuse' | 'oldest' | undefined;
  /** The rate of all connections of a key together. Those that wait are served in turn. Default: no bound. */
  readonly rate?: RateLimit | undefined;
  /** The handshakes of a key; more get 429. Default: no bound. */
  readonly handshakes?: Omit<HandshakePace, 'wait'> | undefined;
}

/** A checked {@link Limit}. Its bucket is that of `handshakes`. Infinity is no bound. */
export interface LimitPlan extends BucketPlan {
  readonly by: Limit<unknown, AppRequest>['by'];
  readonly connections: number;
  readonly closesOldest: boolean;
  readonly rate: ReturnType<typeof checkRate> | undefined;
}

const NAMES: readonly (keyof Limit)[] = ['by', 'connections', 'over', 'rate', 'handshakes'];
const UNBOUNDED: BucketPlan = { perMs: Infinity, size: Infinity };

/** @throws TypeError or RangeError that names the option. */
export function checkLimits(value: unknown = []): readonly LimitPlan[] {
  if (Array.isArray(value)) return value.map(checkLimit);
  throw new TypeError(
    `limits: expected a list such as [{ by: 'address', connections: 100 }], got ${kind(value)}`,
  );
}

function checkLimit(value: Limit): LimitPlan {
  checkOptionNames('limits', value, NAMES, 'ignore');
  const { by, connections, over, rate, handshakes } = value;
  if (by !== 'address' && typeof by !== 'function') {
    throw new TypeError(`limits: expected by: 'address' or a function, got ${kind(by)}`);
  }
  if ((connections ?? rate ?? handshakes) === undefined) {
    throw new TypeError('limits: expected connections, rate or handshakes beside by');
  }
  if (![undefined, 'refuse', 'oldest'].includes(over)) {
    throw new TypeError(`limits.over: expected 'refuse' or 'oldest', got ${kind(over)}`);
  }
  if (over !== undefined && connections === undefined) {
    throw new TypeError('limits.over: it is for connections; set both');
  }
  return {
    by,
    connections: connections === undefined ? Infinity : whole('limits.connections', connections),
    closesOldest: over === 'oldest',
    rate: rate === undefined ? undefined : checkRate(rate),
    ...(handshakes === undefined
      ? UNBOUNDED
      : checkBucket('limits.handshakes', handshakes, ['perSecond', 'burst'])),
  };
}
