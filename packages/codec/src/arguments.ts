// Checks of what a caller passes: options, arguments, and the results of its functions.

/**
 * Checks that `options` is an object with known names only.
 *
 * @param owner - Name of the class that takes the options, for the message.
 * @throws TypeError that names the unknown option and suggests a known one.
 */
export function checkOptionNames(owner: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw badType(`${owner}: expected an object of options`, options);
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const near = known.find((other) => isNear(name, other));
    const hint = near === undefined ? '' : `did you mean ${near}? `;
    throw new TypeError(
      `${owner}: unknown option ${name}; ${hint}known options: ${known.join(', ')}`,
    );
  }
}

/** Removed options of a FrameDecoder. */
const GONE: readonly string[] = ['assembleInto', 'holdLimit', 'simd', 'unmask'];

/**
 * Checks the role of a decoder or an encoder, and that it has no other options than the known ones.
 * The lists and guesses of {@link checkOptionNames} would double the cost in a bundle.
 *
 * @param unknown - The rest of the options.
 */
export function checkCoderOptions(
  owner: string,
  role: unknown,
  unknown: object,
): asserts role is 'client' | 'server' {
  for (const name in unknown) {
    const isGone = GONE.includes(name);
    const cure = isGone ? 'it is gone: copy the pieces' : `see ${owner}Options`;
    throw new TypeError(`${owner}: unknown option ${name}; ${cure}`);
  }
  checkRole(role);
}

/** @throws TypeError for another value than `client` and `server`. */
export function checkRole(role: unknown): asserts role is 'client' | 'server' {
  if (role === 'client' || role === 'server') return;
  throw new TypeError(`role: expected 'client' or 'server', got ${String(role)}`);
}

/** @throws RangeError when `value` is not an integer from `least` to `most`. */
export function integer(name: string, value: number, least: number, most: number = Infinity): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  const bounds = most === Infinity ? 'or more' : `to ${most}`;
  throw new RangeError(`${name} must be an integer of ${least} ${bounds}, not ${value}`);
}

/** As `Object.hasOwn`, which Safari 15 and Hermes lack. */
export function hasOwn(value: object, name: PropertyKey): boolean {
  return Object.prototype.hasOwnProperty.call(value, name);
}

/** Whether `name` is `other` in another case, or with a third of its letters changed at one place. */
export function isNear(name: string, other: string): boolean {
  const [a, b] = [name.toLowerCase(), other.toLowerCase()];
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a[start] === b[start]) start++;
  let end = 0;
  while (end < shorter - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  return Math.max(a.length, b.length) - start - end <= Math.ceil(a.length / 3);
}

/**
 * A whole number from `least` to `most`.
 *
 * @throws TypeError, RangeError, with the option's name.
 */
export function whole(
  name: string,
  value: unknown,
  least: number = 1,
  most: number = Infinity,
): number {
  if (typeof value !== 'number') throw badType(`${name}: expected a number`, value);
  const isWhole = Number.isSafeInteger(value) && !Object.is(value, -0);
  if (isWhole && value >= least && value <= most) return value;
  const bounds = most === Infinity ? `of ${least} or more` : `from ${least} to ${most}`;
  throw new RangeError(`${name}: expected a whole number ${bounds}, got ${value}`);
}

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

/** @throws RangeError when `value` is not a number of 0 or more. Infinity is one. */
export function notNegative(name: string, value: number): void {
  if (typeof value === 'number' && value >= 0) return;
  throw new RangeError(`${name}: expected a number of 0 or more, got ${String(value)}`);
}

/** @throws TypeError when `value` is not a function. */
export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw new TypeError(`${name} must be a function`);
}

/** The error of a value of another type. */
export function badType(expected: string, value: unknown): TypeError {
  return new TypeError(`${expected}, got ${kind(value)}`);
}

/**
 * Names the type of a value for error messages: by `typeof`, the class of an object, or
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

/**
 * Removes the frames of this library from the stack of an error about an argument. The stack then
 * starts at the line of the caller, which runtimes print for an uncaught error.
 *
 * @param target - The public function that was called, or the object with the method `name`. When
 *   that function is not on the stack, the stack does not change.
 */
export function fromCaller(error: unknown, target: object, name?: string): void {
  // A getter or a trap of an error of the application may throw.
  try {
    const method: unknown = name === undefined ? target : Reflect.get(target, name);
    if (typeof method !== 'function' || !(error instanceof Error)) return;
    const { stack } = error;
    Error.captureStackTrace?.(error, method as () => unknown);
    if (!/^ +at /m.test(String(error.stack)) && stack !== undefined) error.stack = stack;
  } catch {
    return;
  }
}

/**
 * Runs the checks of the arguments of a public function, see {@link fromCaller}. The stack of their
 * error starts at the caller.
 *
 * @throws The error of `check`.
 */
export function checked<T>(check: () => T, target: object, name?: string): T {
  try {
    return check();
  } catch (error) {
    if (isMistake(error)) fromCaller(error, target, name);
    throw error;
  }
}

/** Whether `error` is of a class that the checks of arguments throw. */
export function isMistake(error: unknown): boolean {
  try {
    return (
      error instanceof TypeError || error instanceof RangeError || error instanceof SyntaxError
    );
  } catch {
    return false;
  }
}

/**
 * For the result of a function that the application gives: each is synchronous by contract. The
 * rejection of a promise is handled; unhandled, it would end the process.
 *
 * @throws TypeError when `result` is a promise.
 */
export function rejectPromise(name: string, result: unknown): void {
  if (typeof (result as PromiseLike<unknown> | undefined)?.then !== 'function') return;
  (result as PromiseLike<unknown>).then(undefined, () => {});
  throw new TypeError(`${name} must be synchronous: it returned a promise`);
}
