import { checked } from '@ws/codec/internal';
import { isError } from '../errors.ts';
import { checkExpires } from '../time/deadline.ts';
import { checkNames, isDate, isThenable, kind, whole } from '../validate.ts';

/** The options of {@link admit}. */
export interface AdmitOptions {
  /**
   * When the login expires, a Date or ms since 1970: the connection then closes with 4401 `login
   * expired`, and drops what it has not read. `conn.renew` moves it. A clock that is set back does not
   * extend it. After a sleep of the machine the next message finds the end, or a look each 20 s. Node
   * only: other runtimes refuse with 500. Default: never.
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
  /** A server of another copy of this package finds a refusal without a status, an error. */
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

/** What {@link admit} takes. */
export type Admissible = string | number | bigint | object;

/**
 * The `auth` that a handler gets for a result of `authenticate`: the data of an admission, or `true`.
 */
export type AuthOf<Result> = unknown extends Result ? Result : Admitted<Awaited<Result>>;

type Admitted<Result> =
  Result extends Admission<infer Auth> ? Auth : Result extends true ? true : never;

/**
 * Admits a client, as the result of `authenticate`. `auth` is a text or a number, but not empty, 0 or
 * NaN; or an object, but no array, Error, Response, promise or refusal. An own property of the object
 * must not be undefined, and one must contain a text that is not empty, a number, a date or an object:
 * a lookup that found nothing admits no client.
 *
 * @param auth - The `auth` of the handler. To admit without data, return `true` instead.
 * @throws TypeError for other data, which refuses with 500. TypeError, RangeError for a bad option. A
 *   number for `expires` in 1970 is one: it is a duration, or the seconds of a JWT.
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
export function admit<Auth extends Admissible>(
  auth: Auth,
  options: AdmitOptions = {},
): Admission<Auth> {
  return checked(() => {
    checkNames('admit', options, ['expires'], 'ignore');
    checkAuth(auth);
    const { expires } = options;
    if (expires !== undefined) checkExpires(expires);
    return new Admission(auth, expires);
  }, admit);
}

/** @throws TypeError for data that does not say who is admitted. */
function checkAuth(auth: unknown): void {
  if (typeof auth !== 'object' || auth === null) {
    if (saysSomething(auth) && auth !== 0 && auth !== 0n) return;
    throw new TypeError(
      `admit: expected a text, a number or an object, got ${shown(auth)}; return false to refuse, true to admit without data`,
    );
  }
  const wrong = wrongObject(auth);
  if (wrong !== undefined) throw new TypeError(`admit: expected data, got ${wrong}`);
  const keys = Object.keys(auth);
  let isSomeone = false;
  for (const key of keys) {
    const value: unknown = auth[key as keyof typeof auth];
    if (value === undefined) {
      throw new TypeError(`admit: ${key} is undefined; write null for what may be missing`);
    }
    // Neither shows whether the client is admitted.
    if (isThenable(value)) throw new TypeError(`admit: ${key} is a promise; await it first`);
    if (Admission.is(value)) throw new TypeError(`admit: ${key} is a result of admit`);
    isSomeone ||= saysSomething(value);
  }
  if (isSomeone) return;
  const names = keys.slice(0, 5).join(', ');
  throw new TypeError(
    `admit: ${names ? `${names}: no` : `${kind(auth)} without a`} property with a text, a number, a date or an object (write null for what may be missing beside it); return false to refuse`,
  );
}

/** Names an object that is no data of a login. */
function wrongObject(auth: object): string | undefined {
  if (Array.isArray(auth)) return 'an array; pick the entry, and return false if there is none';
  if (isThenable(auth)) return 'a promise; await it first';
  if (Admission.is(auth)) return 'a result of admit';
  if (isError(auth)) return 'an Error; throw it, or return false to refuse';
  if (kind(auth) === 'Response' || 'refuse' in auth) return 'a refusal; return it without admit';
  return undefined;
}

/** Whether a value is more than the answer of a lookup that found nothing. */
function saysSomething(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
      return value !== '';
    case 'number':
      return !Number.isNaN(value);
    case 'bigint':
      return true;
    case 'object':
      if (isDate(value)) return !Number.isNaN(Number(value));
      return value !== null && !(Array.isArray(value) && value.length === 0);
    case 'undefined':
    case 'boolean':
    case 'function':
    case 'symbol':
      return false;
  }
}

function shown(value: unknown): string {
  if (value === '') return "''";
  const isText = typeof value === 'function' || typeof value === 'symbol';
  return isText ? kind(value) : String(value);
}

/** The answer of {@link refuse}. */
export interface RefuseOptions<Headers> {
  /** Headers of the answer, `WWW-Authenticate` for example. Default: none. */
  readonly headers?: Headers | undefined;
  /** Body of the answer. Default: the reason phrase of the status. */
  readonly body?: string | undefined;
}

/** A Response of any class. */
type ResponseLike = Readonly<{ status: number; bodyUsed: boolean }>;

/** The result of {@link refuse} for a Response. */
export interface ResponseRefusal {
  /** Its status, 300 to 599, its headers and its body are the answer. */
  readonly refuse: ResponseLike;
}

/**
 * Refuses a client, as the result of `authenticate`: the same as `{ refuse: status, headers, body }`.
 *
 * @param status - The HTTP status, 300 to 599.
 * @throws TypeError for another value than a number or a Response, and for an unknown option;
 *   RangeError for another number.
 * @example
 * ```ts
 * import { refuse, serve } from '@ws/node-server';
 *
 * const headers = { 'WWW-Authenticate': 'Bearer' };
 * const server = await serve({ port: 0, authenticate: () => refuse(401, { headers }) }, (conn) =>
 *   conn.send('hello'),
 * );
 * await server.close();
 * ```
 */
export function refuse<Headers = never>(
  status?: number,
  options?: RefuseOptions<Headers>,
): RefuseOptions<Headers> & { readonly refuse: number };
/**
 * Refuses a client with a Response, as the result of `authenticate`: the same as
 * `{ refuse: response }`.
 *
 * @param response - Its status is 300 to 599. Servers send its headers and the first 64 KiB of its
 *   body; `@ws/fetch` sends all of it.
 */
export function refuse(response: ResponseLike): ResponseRefusal;
export function refuse(
  answer: number | ResponseLike = 401,
  options: RefuseOptions<unknown> = {},
): object {
  checked(() => checkRefusal(answer, options), refuse);
  return { ...options, refuse: answer };
}

function checkRefusal(answer: unknown, options: RefuseOptions<unknown>): void {
  // A Response has its own headers and body.
  const names = kind(answer) === 'Response' ? [] : ['headers', 'body'];
  checkNames('refuse', options, names, 'ignore');
  if (names.length === 0) return;
  if (typeof answer !== 'number') {
    const text = "refuse(401, { body: 'no' })";
    throw new TypeError(
      `refuse: expected a status or a Response, got ${kind(answer)}; write ${text}`,
    );
  }
  whole('refuse: status', answer, 300, 599);
}

/** The admission of `true`. */
const WITHOUT_DATA = /* @__PURE__ */ new Admission<true>(true, undefined);

/**
 * Decides for all servers what a result of `authenticate` means. Only `true` and a result of
 * {@link admit} admit.
 *
 * @returns The admission; undefined for a refusal with 401; the Response of `refuse(response)`; any
 *   other object with `refuse` itself.
 * @throws the result if it is an Error; TypeError for any other result.
 */
export function decisionOf(result: unknown): Admission<unknown> | object | undefined {
  if (result === true) return WITHOUT_DATA;
  if (result === undefined || result === null || result === false) return undefined;
  if (isError(result)) throw result;
  if (typeof result === 'object' && 'refuse' in result) {
    const answer = result.refuse;
    return kind(answer) === 'Response' ? (answer as ResponseLike) : result;
  }
  const call = typeof result === 'function' ? ' (call it)' : '';
  const got = result === '' ? "''" : kind(result) + call;
  const instead =
    got === 'Response'
      ? 'write refuse(response) to refuse with it'
      : 'write admit(value) to admit with data, { refuse: 401 } to refuse';
  throw new TypeError(
    `authenticate: expected true, false or a result of admit, got ${got}; ${instead}`,
  );
}

/**
 * Decides what a result of `checkOrigin`, `mayJoin` or `mayPublish` means: only `true` admits.
 *
 * @returns Whether it admits; for a result that is neither a boolean nor missing, which refuses too,
 *   the TypeError to report.
 */
export function verdictOf(name: string, answer: unknown): boolean | TypeError {
  if (typeof answer === 'boolean') return answer;
  if (answer === undefined || answer === null) return false;
  return new TypeError(`${name}: expected true or false, got ${kind(answer)}, which refuses`);
}
