import { closestName } from './closest-name.ts';

/**
 * A bound in bytes or pieces; `false` means no bound.
 *
 * @throws TypeError, RangeError, with the option's name.
 */
export function bound(name: string, value: unknown): number {
  if (value === false) return Infinity;
  if (value === 0) throw new RangeError(`${name}: 0 is not a bound; use false for no bound`);
  return whole(name, value);
}

/**
 * A whole number of 1 or more.
 *
 * @throws TypeError, RangeError, with the option's name.
 */
export function whole(name: string, value: unknown): number {
  if (typeof value !== 'number') {
    throw new TypeError(`${name}: expected a number, got ${kind(value)}`);
  }
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`${name}: expected a whole number of 1 or more, got ${value}`);
  }
  return value;
}

/**
 * A whole number from `least` to `most`.
 *
 * @throws TypeError, RangeError, with the option's name.
 */
export function range(name: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number') {
    throw new TypeError(`${name}: expected a number, got ${kind(value)}`);
  }
  const isWhole = Number.isSafeInteger(value) && !Object.is(value, -0);
  if (isWhole && value >= least && value <= most) return value;
  throw new RangeError(`${name}: expected a whole number from ${least} to ${most}, got ${value}`);
}

/**
 * Whole milliseconds, from 1 to 2^31 - 1.
 *
 * @param fallback - The result for undefined.
 * @param canBeOff - Whether `false` is allowed; the result is Infinity then.
 * @throws TypeError, RangeError, with the option's name.
 */
export function duration(
  name: string,
  value: unknown,
  fallback: number,
  canBeOff: boolean,
): number {
  if (value === undefined) return fallback;
  if (value === false && canBeOff) return Infinity;
  const ms = whole(name, value);
  // The longest delay that the timers of every platform take.
  if (ms > 2_147_483_647) {
    throw new RangeError(`${name}: expected at most 2147483647 ms, got ${ms}`);
  }
  return ms;
}

const NO_HINTS: Readonly<Record<string, string>> = {};

/** Names of options that any package had once, and what to do instead. */
const FORMER: Readonly<Record<string, string>> = {
  readBufferSize: 'it had no effect: leave it out',
};

/**
 * Checks that `options` is an object with known names only.
 *
 * @param owner - Name of the class or function that takes the options, for the message.
 * @param unknownUndefined - Whether an unknown name with the value undefined is ignored or
 *   rejected.
 * @param hints - Names of options that other functions or libraries take, and what to write instead.
 * @throws TypeError that says what to write instead: the known names, or the one that is meant.
 */
export function checkOptionNames(
  owner: string,
  options: object,
  known: readonly string[],
  unknownUndefined: 'ignore' | 'reject',
  hints: Readonly<Record<string, string>> = NO_HINTS,
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    const hint = numberHint(options, known);
    throw new TypeError(`${owner}: expected an object of options, got ${kind(options)}${hint}`);
  }
  // `Object.keys` would allocate at every call with options.
  for (const name in options) {
    if (known.includes(name) || !Object.hasOwn(options, name)) continue;
    const value: unknown = options[name as keyof typeof options];
    if (value === undefined && unknownUndefined === 'ignore') continue;
    const cure = cureFor(name, known, hints);
    throw new TypeError(`${owner}: unknown option ${name}; ${cure}`);
  }
}

/** What a number in place of the options may be. */
const NUMBER_OPTIONS: readonly string[] = ['timeout', 'port'];

function numberHint(value: unknown, known: readonly string[]): string {
  if (typeof value !== 'number') return '';
  const name = NUMBER_OPTIONS.find((each) => known.includes(each));
  return name === undefined ? '' : `; write { ${name}: ${value} }`;
}

function cureFor(
  name: string,
  known: readonly string[],
  hints: Readonly<Record<string, string>>,
): string {
  // `constructor` and others are no hints.
  if (Object.hasOwn(hints, name)) return hints[name]!;
  if (Object.hasOwn(FORMER, name)) return FORMER[name]!;
  // A list of one name is a hint itself.
  const near = known.length > 1 ? closestName(name, known) : undefined;
  return near === undefined ? `known options: ${known.join(', ')}` : `did you mean ${near}?`;
}

/**
 * Names the type of a value for error messages: that of `typeof`, the class of an object, or
 * `null`. Never throws.
 */
export function kind(value: unknown): string {
  if (value === null) return 'null';
  if (typeof value !== 'object') return typeof value;
  try {
    return Object.prototype.toString.call(value).slice(8, -1);
  } catch {
    // A getter of the object, or a trap of a Proxy.
    return 'object';
  }
}
