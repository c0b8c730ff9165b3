import { kind } from '@ws/conn/parts';

/** The most ms that `setTimeout` takes. */
export const LONGEST_TIMER: number = 2 ** 31 - 1;

/**
 * Checks a whole number.
 *
 * @param orFalse - Whether `false` is allowed; the result is Infinity then.
 * @throws TypeError, RangeError that names the option.
 */
export function whole(
  name: string,
  value: unknown,
  least: number,
  most: number,
  orFalse = false,
): number {
  if (orFalse && value === false) return Infinity;
  const isNumber = typeof value === 'number';
  if (isNumber && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new (isNumber ? RangeError : TypeError)(
    `${name}: expected a whole number from ${least} to ${most}${orFalse ? ' or false' : ''}, got ${isNumber ? value : kind(value)}`,
  );
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
  const isObject = kind(options) === 'Object';
  const unknown = isObject ? Object.keys(options).find((name) => !names.includes(name)) : '';
  if (unknown === undefined) return;
  const fault = isObject ? `unknown option ${unknown}` : `expected options, got ${kind(options)}`;
  throw new TypeError(`${owner}: ${fault}; known options: ${names.join(', ')}${hint}`);
}
