/** The classes of errors that the checks of arguments throw. */
const MISTAKES: readonly (new (message: string) => Error)[] = [TypeError, RangeError, SyntaxError];

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
 * @throws What `check` throws.
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
    return MISTAKES.some((each) => error instanceof each);
  } catch {
    return false;
  }
}
