import { isError, isThenable, kind, onRejection } from '@ws/conn/internal';

/**
 * Throws unless `holds`.
 *
 * @param expected - The expected type with its article, for the message.
 * @throws TypeError that names the option and the type that it has.
 */
export function assertOption(name: string, value: unknown, holds: boolean, expected: string): void {
  if (!holds) throw new TypeError(`${name}: expected ${expected}, got ${kind(value)}`);
}

/**
 * Returns the type of a result that a function must not have, for a message. A promise is
 * discarded. The function must be synchronous.
 */
export function describeResult(result: unknown): string {
  onRejection(result, () => {});
  return isThenable(result) ? 'a promise; it must be synchronous' : kind(result);
}

/**
 * Returns whether `value` is an instance of `Class`. For a value of the application: `instanceof`
 * throws when a trap of a Proxy throws.
 */
export function isInstance<Class extends abstract new (...args: never[]) => unknown>(
  value: unknown,
  Class: Class,
): value is InstanceType<Class> {
  try {
    return value instanceof Class;
  } catch {
    return false;
  }
}

/** The fields of an error that Node and the adapters read. */
const ERROR_FIELDS = ['stack', 'name', 'message', 'code', 'cause'] as const;

/**
 * Returns a thrown value as an Error with which a stream can be destroyed. A function can throw
 * undefined, or an Error with a getter that throws.
 */
export function asError(thrown: unknown, who: string): Error {
  if (isError(thrown) && ERROR_FIELDS.every((field) => canRead(thrown, field))) {
    return thrown;
  }
  return new Error(`${who} threw a value that is not an Error`, { cause: thrown });
}

function canRead(error: Error, field: (typeof ERROR_FIELDS)[number]): boolean {
  try {
    Reflect.get(error, field);
    return true;
  } catch {
    return false;
  }
}
