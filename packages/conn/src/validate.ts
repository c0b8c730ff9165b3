import { badType, bound, hasOwn, isNear, kind, whole } from '@ws/codec/internal';

export { badType, bound, hasOwn, kind, whole };

/**
 * Checks a time in ms: a whole number from 1 to 2^31 - 1.
 *
 * @param fallback - The result for undefined.
 * @param canBeOff - Whether `false` is allowed; the result is Infinity then.
 * @throws TypeError or RangeError that names the option.
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
  // The longest delay that the timers of every platform support.
  if (ms > 2_147_483_647) {
    throw new RangeError(`${name}: expected at most 2147483647 ms, got ${ms}`);
  }
  return ms;
}

/** Returns advice for the unknown option `name` of a function with the options `known`. */
type HintOf = (name: string, known: readonly string[]) => string | undefined;

/**
 * Checks that `options` is an object with known names only.
 *
 * @param owner - Name of the class or function that takes the options, for the message.
 * @param unknownUndefined - Whether an unknown name with the value undefined is ignored or
 *   rejected.
 * @param hintOf - Default: {@link nearName}. `optionHint` also knows the options of other functions
 *   and libraries.
 * @throws TypeError that says how to correct the options.
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

/** A caller that passes a number instead of an object means the first of these that is known. */
const NUMBER_OPTIONS: readonly string[] = ['timeout', 'port'];

/**
 * As {@link checkOptionNames}, without a default for `hintOf`, to keep bundles of pages small.
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
    const { message } = badType(`${owner}: expected an object of options`, options);
    const isCallback = typeof options === 'function';
    throw new TypeError(isCallback ? `${message}; a result is a promise: await it` : message);
  }
  // `Object.keys` would allocate at every call with options.
  for (const name in options) {
    if (known.includes(name)) continue;
    if (!hasOwn(options, name)) {
      // Only an AbortSignal inherits this name.
      if (name !== 'aborted') continue;
      throw new TypeError(`${owner}: expected options, got AbortSignal; write { signal }`);
    }
    const value: unknown = options[name as keyof typeof options];
    if (value === undefined && unknownUndefined === 'ignore') continue;
    if ('~standard' in options) throw noSchema(owner);
    const other = name === 'schema' ? CHECK_VALUE : `known options: ${known.join(', ')}`;
    const advice = hintOf?.(name, known) ?? other;
    throw new TypeError(`${owner}: unknown option ${name}; ${advice}`);
  }
}

/**
 * Checks that a public method which once took more arguments gets no more than it takes.
 *
 * @param more - What the caller passed after them.
 * @throws TypeError that says where a schema is checked.
 */
export function checkNoMore(owner: string, more: readonly unknown[]): void {
  if (more.length > 0) throw noSchema(owner);
}

/** @throws TypeError unless the arguments of a `receive` are one function. */
export function checkReceive(handler: unknown, more: readonly unknown[]): void {
  checkNoMore('receive', more);
  if (typeof handler === 'function') return;
  throw badType('receive: expected a function', handler);
}

function noSchema(owner: string): TypeError {
  return new TypeError(`${owner}: it takes no schema and no further argument; ${CHECK_VALUE}`);
}

const CHECK_VALUE = 'check the value in your handler';

/** Removed options of any package, and advice. */
const REMOVED: Readonly<Record<string, string>> = {
  asyncDeflateThreshold: 'it is gone: nextWriter compresses messages above maxBytes',
  autoResponse: 'it is gone: answer in the handler; hibernating of @ws/fetch has it',
  extensions: 'a Conn has one: use extension of new Conn',
  maxConnectionsPerAddress: "it is gone: write limits: [{ by: 'address', connections: 100 }]",
  maxEmptyFragments: 'it is gone: the bound is always 1024',
  maxNameBytes: 'it is gone: the bound is always 256 bytes',
  maxPendingPings: 'it is gone: the bound is always 64',
  readBufferSize: 'it had no effect: leave it out',
  sendHistory: "it is gone: leave it out; mode 'takeover' keeps the context of 16 busy connections",
  serverMaxWindowBits: 'it is gone: the bound is always 15, or fewer if the peer asks for it',
  slice: 'it is gone: the bound is always 8 ms',
  takeoverEngines: 'it is gone: the bound is always 16 in a process',
  window: 'it is gone: the bound is always 256 KiB',
};

/** Suggests the known name that is similar to `name`. Undefined when none is. */
export function nearName(name: string, known: readonly string[]): string | undefined {
  // Not a plain lookup, which would find `constructor`.
  if (hasOwn(REMOVED, name)) return REMOVED[name];
  // With one known name, the list in the message is clear enough.
  const near = known.length > 1 ? known.find((each) => isNear(name, each)) : undefined;
  return near === undefined ? undefined : `did you mean ${near}?`;
}

// `instanceof` is false for values of other realms (a vm context, Jest). A getter or method of the
// class accepts an instance of any realm, and throws for any other value.

/** Whether `value` is an ArrayBuffer or a SharedArrayBuffer of any realm. */
export function isBuffer(value: unknown): value is ArrayBufferLike {
  const lengthOf = (Class: { readonly prototype: object }): unknown =>
    Reflect.get(Class.prototype, 'byteLength', value);
  return (
    succeeds(() => lengthOf(ArrayBuffer)) ||
    // A page without cross-origin isolation has no SharedArrayBuffer: `succeeds` catches that too.
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
 * Whether `value` has a `then`. `instanceof Promise` would miss promises of other realms, and
 * queries of databases.
 */
export function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  if (typeof value !== 'object' && typeof value !== 'function') return false;
  try {
    return typeof (value as { then?: unknown } | null)?.then === 'function';
  } catch {
    // A getter of the object, or a trap of a Proxy.
    return false;
  }
}

/**
 * Calls `failed` if `result` is a promise that rejects. For the result of a user's function that
 * should return nothing: an unhandled rejection would end the process.
 */
export function onRejection(result: unknown, failed: (error: unknown) => void): void {
  if (isThenable(result)) Promise.resolve(result).then(undefined, failed);
}

/**
 * Called for a value that is no instance of `Class`.
 *
 * @throws TypeError when its class has the same name: the application has two copies of this package.
 */
export function refuseCopy(
  value: unknown,
  Class: abstract new (...args: never[]) => object,
  method: string,
): void {
  const name = sourceName(Class);
  let other: unknown;
  try {
    other = (value as object).constructor;
  } catch {
    // Null, undefined, or a trap of a Proxy.
  }
  if (name === undefined || name !== sourceName(other)) return;
  throw new TypeError(`${method}: the ${name} is of another copy of @ws/conn; install one version`);
}

/**
 * The name of a class in its source. A bundler may put `_` before it. Undefined for a short name: a
 * minifier gives the same one to other classes.
 */
function sourceName(Class: unknown): string | undefined {
  return typeof Class === 'function' ? /^_*(\w{4,})$/.exec(Class.name)?.[1] : undefined;
}
