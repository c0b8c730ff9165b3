/** The transport's own default high-water mark, in bytes. */
const TRANSPORT_HIGH_WATER_MARK = 64 * 1024;

/**
 * Checks that `options` is an object with known names only.
 *
 * @param owner - Name of the class or function that takes the options, for the message.
 * @param unknownUndefined - Whether an unknown name with the value undefined is ignored or
 *   rejected.
 * @throws TypeError
 */
export function checkOptionNames(
  owner: string,
  options: object,
  known: readonly string[],
  unknownUndefined: 'ignore' | 'reject',
): void {
  const isObject = typeof options === 'object' && options !== null;
  assertOption(owner, options, isObject, 'an object of options');
  for (const [name, value] of Object.entries(options)) {
    if (known.includes(name)) continue;
    if (value === undefined && unknownUndefined === 'ignore') continue;
    throw new TypeError(`${owner}: unknown option ${name}; known options: ${known.join(', ')}`);
  }
}

/**
 * Throws unless `holds`.
 *
 * @param expected - The expected type with its article, for the message.
 * @throws TypeError that names the option and the type that it has.
 */
export function assertOption(name: string, value: unknown, holds: boolean, expected: string): void {
  if (!holds) throw new TypeError(`${name}: expected ${expected}, got ${typeName(value)}`);
}

/** Returns `typeof value`, or `null`. */
export function typeName(value: unknown): string {
  return value === null ? 'null' : typeof value;
}

/**
 * Returns the transport's high-water mark, in bytes, for a connection's `highWaterMark`. It is at
 * most the transport's own default: a ping cannot overtake bytes that the transport has buffered.
 */
export function transportHighWaterMark(highWaterMark: number): number {
  return Math.min(highWaterMark, TRANSPORT_HIGH_WATER_MARK);
}
