import { kind } from '@ws/conn/internal';

/**
 * Runs the checks of the arguments of a public function. In V8 the stack of their error starts at
 * its caller.
 */
export function checked<T>(check: () => T, called: unknown): T {
  try {
    return check();
  } catch (error) {
    Error.captureStackTrace?.(error as object, called);
    throw error;
  }
}

/** The error of a value of another type. */
export function badType(expected: string, value: unknown): TypeError {
  return new TypeError(`${expected}, got ${kind(value)}`);
}

/**
 * Checks a whole number.
 *
 * @throws TypeError, RangeError that names the option.
 */
export function whole(
  name: string,
  value: unknown,
  least: number = 1,
  most: number = Infinity,
): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)
    return value as number;
  throw new (typeof value === 'number' ? RangeError : TypeError)(
    `${name}: expected a whole number from ${least} to ${most}, got ${String(value)}`,
  );
}

/**
 * Checks a bound; `false` is Infinity.
 *
 * @throws TypeError, RangeError that names the option.
 */
export function boundOf(name: string, value: unknown): number {
  return value === false ? Infinity : whole(name, value);
}

/**
 * Checks the names of options.
 *
 * @param hint - Follows the names in the message.
 * @throws TypeError for another value or an unknown name.
 */
export function checkNames(
  owner: string,
  options: object,
  names: readonly string[],
  hint = '',
): void {
  if (kind(options) !== 'Object') throw badType(`${owner}: expected options`, options);
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new TypeError(
    `${owner}: unknown option ${unknown}; known options: ${names.join(', ')}${hint}`,
  );
}
