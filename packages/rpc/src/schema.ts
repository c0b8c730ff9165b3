import { JSONError, type StandardSchema } from '@ws/conn';
import { isThenable, kind } from '@ws/conn/internal';

/** The type of the values that a schema takes. */
export type SchemaInput<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input'];

/** A fault of a value, as the peer gets it. */
export interface Issue {
  readonly message: string;
  readonly path: readonly (string | number)[];
}

/** The result of a schema: a value, or its faults. */
export interface Checked {
  readonly value?: unknown;
  readonly issues?: readonly Issue[] | undefined;
}

/** Largest number of issues of one value. */
const MAX_ISSUES = 10;

/** Whether `schema` accepts `value`. Also true if the schema returns a promise. */
export function takes(schema: StandardSchema, value: unknown): boolean {
  const result = attempt(schema, value);
  return result instanceof Promise || (result !== undefined && result.issues === undefined);
}

/** Checks a value. Returns, or resolves to, undefined when the schema throws or rejects. */
function attempt(
  schema: StandardSchema,
  value: unknown,
): Checked | undefined | Promise<Checked | undefined> {
  try {
    const result = check(schema, value);
    return result instanceof Promise ? result.catch(() => undefined) : result;
  } catch {
    return undefined;
  }
}

/** Calls `use` with a value: at once or, for a promise, when the promise resolves. */
export function after<T, R>(
  value: T | PromiseLike<T>,
  use: (value: T) => R | Promise<R>,
): R | Promise<R> {
  return isThenable(value) ? Promise.resolve(value).then(use) : use(value);
}

/**
 * Checks `value`.
 *
 * @returns The result; a promise of the result if the schema is asynchronous.
 * @throws (or rejects with) the error of the schema; TypeError when the schema returns no result.
 */
export function check(schema: StandardSchema, value: unknown): Checked | Promise<Checked> {
  const result: unknown = schema['~standard'].validate(value);
  return isThenable(result) ? Promise.resolve(result).then(checkedOf) : checkedOf(result);
}

/**
 * Checks `value`. If the schema refuses `value` or throws, checks `other`.
 *
 * @throws As {@link check}.
 */
export function checkEither(
  schema: StandardSchema,
  value: unknown,
  other: unknown,
): Checked | Promise<Checked> {
  return after(attempt(schema, value), (result) =>
    result === undefined || result.issues !== undefined ? check(schema, other) : result,
  );
}

/**
 * Checks a value from the peer. JSON has no undefined, so a null that does not fit is checked again
 * as undefined.
 *
 * @param use - Called with the value, or with a JSONError when no value fits or the schema fails.
 * @returns A promise if the schema is asynchronous. Never throws or rejects.
 */
export function checkArrived(
  schema: StandardSchema,
  value: unknown,
  what: string,
  use: (error: JSONError | undefined, value?: unknown) => void,
): void | Promise<void> {
  const failed = (cause: unknown): void =>
    use(new JSONError(`the schema of ${what} failed after JSON`, [], { cause }));
  const settle = ({ value, issues }: Checked): void =>
    use(issues && misfit(`${what} does not fit its schema after JSON`, issues), value);
  try {
    const checked = value === null ? checkEither(schema, null, undefined) : check(schema, value);
    return checked instanceof Promise ? checked.then(settle).catch(failed) : settle(checked);
  } catch (cause) {
    failed(cause);
  }
}

/** @throws TypeError unless the schema is synchronous; JSONError when the value does not fit. */
export function checkNow(schema: StandardSchema, value: unknown, owner: string): unknown {
  const result = check(schema, value);
  if (result instanceof Promise) {
    result.catch(() => {});
    throw new TypeError(`${owner}: the schema returns a promise; use a synchronous schema`);
  }
  if (result.issues !== undefined)
    throw misfit(`${owner}: the value does not fit the schema`, result.issues);
  return result.value;
}

/**
 * The value of a result.
 *
 * @param name - Follows `what` in the text of the error. Separate, so that a fitting value creates no
 *   text.
 * @throws JSONError when the value does not fit.
 */
export function valueOf({ value, issues }: Checked, what: string, name = ''): unknown {
  if (issues === undefined) return value;
  throw misfit(`${what}${name} does not fit its schema`, issues);
}

/** The error of a value that does not fit, with its issues. */
export function misfit(what: string, issues: readonly Issue[]): JSONError {
  const [first] = issues;
  const path = first?.path.length ? `${first.path.join('.')}: ` : '';
  return new JSONError(first === undefined ? what : `${what}: ${path}${first.message}`, issues);
}

/** @throws TypeError when `schema` is not a Standard Schema. */
export function checkIsSchema(owner: string, schema: unknown): void {
  const { '~standard': standard } = Object(schema) as { '~standard'?: { validate?: unknown } };
  if (typeof standard?.validate === 'function') return;
  throw new TypeError(
    `${owner}: expected a Standard Schema (zod, valibot, ...), got ${kind(schema)}`,
  );
}

function checkedOf(result: unknown): Checked {
  const { issues, value } = Object(result) as { issues?: unknown; value?: unknown };
  if (issues !== undefined && issues !== null) return { issues: issuesOf(issues) };
  if ('value' in Object(result)) return { value };
  throw new TypeError('the schema returned neither a value nor issues');
}

function issuesOf(issues: unknown): Issue[] {
  if (!Array.isArray(issues)) throw new TypeError('the schema returned issues that are no array');
  return issues.slice(0, MAX_ISSUES).map((issue: unknown) => {
    const { message, path } = Object(issue) as { message?: unknown; path?: unknown };
    return { message: String(message), path: Array.isArray(path) ? path.map(keyOf) : [] };
  });
}

function keyOf(step: unknown): string | number {
  const key: unknown = typeof step === 'object' && step !== null ? Reflect.get(step, 'key') : step;
  return typeof key === 'number' ? key : String(key);
}
