import { badType, bound, isNear, kind, whole } from '@ws/codec/internal';

export { badType, bound, kind, whole };

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

/** Returns what to write instead of an option that a function with the options `known` does not have. */
type HintOf = (name: string, known: readonly string[]) => string | undefined;

/**
 * Checks that `options` is an object with known names only.
 *
 * @param owner - Name of the class or function that takes the options, for the message.
 * @param unknownUndefined - Whether an unknown name with the value undefined is ignored or
 *   rejected.
 * @param hintOf - `optionHint` also knows the options of other functions and libraries. Default: a
 *   known name that is meant.
 * @throws TypeError that says what to write instead.
 */
export function checkOptionNames(
  owner: string,
  options: object,
  known: readonly string[],
  unknownUndefined: 'ignore' | 'reject',
  hintOf: HintOf = nearName,
): void {
  const number = typeof options === 'number' && NUMBER_OPTIONS.find((name) => known.includes(name));
  if (number) {
    const write = `{ ${number}: ${String(options)} }`;
    throw new TypeError(`${owner}: expected an object of options, got number; write ${write}`);
  }
  checkNames(owner, options, known, unknownUndefined, hintOf);
}

/** The meaning of a number in place of the options. */
const NUMBER_OPTIONS: readonly string[] = ['timeout', 'port'];

/**
 * As {@link checkOptionNames}, without its hints: a page has none to spare.
 *
 * @throws TypeError with the hint, or with the known names.
 */
export function checkNames(
  owner: string,
  options: object,
  known: readonly string[],
  unknownUndefined: 'ignore' | 'reject',
  hintOf?: HintOf,
): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw badType(`${owner}: expected an object of options`, options);
  }
  // `Object.keys` would allocate at every call with options.
  for (const name in options) {
    if (known.includes(name)) continue;
    if (!Object.hasOwn(options, name)) {
      // Only an AbortSignal inherits this name.
      if (name !== 'aborted') continue;
      throw new TypeError(`${owner}: expected options, got AbortSignal; write { signal }`);
    }
    const value: unknown = options[name as keyof typeof options];
    if (value === undefined && unknownUndefined === 'ignore') continue;
    const cure = hintOf?.(name, known) ?? `known options: ${known.join(', ')}`;
    throw new TypeError(`${owner}: unknown option ${name}; ${cure}`);
  }
}

/** Names of options that any package had once, and what to do instead. */
const FORMER: Readonly<Record<string, string>> = {
  readBufferSize: 'it had no effect: leave it out',
};

/** The known name that is meant by `name`, for a message. */
export function nearName(name: string, known: readonly string[]): string | undefined {
  // `constructor` and others are no former options.
  if (Object.hasOwn(FORMER, name)) return FORMER[name];
  // A list of one name is a hint itself.
  const near = known.length > 1 ? known.find((each) => isNear(name, each)) : undefined;
  return near === undefined ? undefined : `did you mean ${near}?`;
}

// Values of other realms (a vm context, Jest) are no instances of the classes of this realm. The
// getters of the classes accept them, and throw for all other values.

const TypedArray = /* @__PURE__ */ Object.getPrototypeOf(
  /* @__PURE__ */ Object.getPrototypeOf(/* @__PURE__ */ new Uint8Array(0)),
) as object;

/** Whether `value` is a Uint8Array of any realm. */
export function isUint8Array(value: unknown): value is Uint8Array {
  return Reflect.get(TypedArray, Symbol.toStringTag, value) === 'Uint8Array';
}

/** Whether `value` is an ArrayBuffer or a SharedArrayBuffer of any realm. */
export function isBuffer(value: unknown): value is ArrayBufferLike {
  const lengthOf = (Class: { readonly prototype: object }): unknown =>
    Reflect.get(Class.prototype, 'byteLength', value);
  return (
    succeeds(() => lengthOf(ArrayBuffer)) ||
    // Pages without cross-origin isolation have no such class.
    succeeds(() => lengthOf(SharedArrayBuffer))
  );
}

/** Whether `value` is a Date of any realm. */
export function isDate(value: unknown): value is Date {
  return succeeds(() => Date.prototype.getTime.call(value as Date));
}

function succeeds(call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}

/**
 * Whether `value` is a promise. One of another realm, or a query of a database, is no instance of
 * this realm's Promise.
 */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  const isObject = typeof value === 'object' || typeof value === 'function';
  return isObject && typeof (value as { then?: unknown } | null)?.then === 'function';
}

/**
 * Calls `failed` when `result` is a promise that rejects: the result of a function that returns
 * nothing by contract. Unhandled, the rejection would end the process.
 */
export function onRejection(result: unknown, failed: (error: unknown) => void): void {
  if (isThenable(result)) Promise.resolve(result).then(undefined, failed);
}
