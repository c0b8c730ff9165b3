import { checked } from '@ws/codec/internal';
import { checkExpires, checkOptionNames, isThenable, kind } from '@ws/conn/internal';

/** The options of {@link admit}. */
export interface AdmitOptions {
  /**
   * When the login expires, a Date or ms since 1970: the connection then closes with 4401 `login
   * expired`, and drops what it has not read. `conn.renew` moves it. A clock that is set back does not
   * extend it. After a sleep of the machine the next message finds the end, or a look each 20 s.
   * Default: never.
   */
  readonly expires?: Date | number | undefined;
}

const REFUSED = 'a result of admit, which this server does not take';

/** The result of {@link admit}. */
export class Admission<Auth> {
  /** The `auth` of the handler. */
  readonly auth: Auth;
  /** See {@link AdmitOptions.expires}. */
  readonly expires: Date | number | undefined;
  /** @internal The UpgraderPlan of this connection. Undefined: the server's plan applies. */
  readonly plan: object | undefined;
  /**
   * A server that does not know this class must not take it for the `auth`: the login would never
   * expire. It finds a refusal without a status instead, an error.
   */
  readonly refuse: 'a result of admit, which this server does not take' = REFUSED;
  /** Data of the application never has it. */
  readonly #admitted = true;

  /** @internal Use {@link admit}. */
  constructor(auth: Auth, expires: Date | number | undefined, plan?: object) {
    this.auth = auth;
    this.expires = expires;
    this.plan = plan;
  }

  /** @internal */
  static is(value: unknown): value is Admission<unknown> {
    return typeof value === 'object' && value !== null && #admitted in value && value.#admitted;
  }
}

/**
 * A result of `authenticate` with the end of the login. An `auth` that refuses alone refuses here
 * too.
 *
 * @param auth - What `authenticate` would return for a login that never expires.
 * @throws TypeError, RangeError for a bad option. A number for `expires` in 1970 is one: it is a
 *   duration, or the seconds of a JWT. TypeError for a promise: await it first.
 *
 * @example
 * ```ts
 * import { admit, serve } from '@ws/node-server';
 *
 * const server = await serve(
 *   { port: 0, authenticate: () => admit({ user: 'ada' }, { expires: Date.now() + 3_600_000 }) },
 *   (conn, _req, { auth }) => conn.send(`hello ${auth.user}`),
 * );
 * await server.close();
 * ```
 */
export function admit<Auth>(auth: Auth, options: AdmitOptions = {}): Admission<Auth> {
  return checked(() => {
    checkOptionNames('admit', options, ['expires'], 'ignore');
    // Neither shows whether the client is admitted.
    if (isThenable(auth)) {
      throw new TypeError('admit: expected data, got a promise; await it first');
    }
    if (Admission.is(auth)) throw new TypeError('admit: expected data, got a result of admit');
    const { expires } = options;
    if (expires !== undefined) checkExpires(expires);
    return new Admission(auth, expires);
  }, admit);
}

/** How deep a result of {@link admit} is looked for in data of the application. */
const DEPTH = 3;
/** Entries of an object or array that are looked at: the data may be large. */
const ENTRIES = 100;

/** Whether data contains a result of {@link admit}, also of another copy of this package. */
export function hasAdmission(data: unknown, depth: number = DEPTH): boolean {
  if (!Array.isArray(data) && kind(data) !== 'Object') return false;
  const keys = Object.keys(Array.isArray(data) ? data.slice(0, ENTRIES) : (data as object));
  return keys.slice(0, ENTRIES).some((key) => {
    const value = ownValue(data, key);
    return ownValue(value, 'refuse') === REFUSED || (depth > 1 && hasAdmission(value, depth - 1));
  });
}

/** The value of an own property. No getter is called. */
function ownValue(object: unknown, key: string): unknown {
  if (typeof object !== 'object' || object === null) return undefined;
  return Object.getOwnPropertyDescriptor(object, key)?.value;
}
