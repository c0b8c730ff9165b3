/** Below this a loop is faster than a view and a native copy. */
const SHORT = 40;

/**
 * A copy of `bytes[start, end)` in memory of its own. Always a plain Uint8Array: a subclass may have a `slice` that
 * copies nothing, as Node's Buffer has.
 */
export function copyOf(bytes: Uint8Array, start = 0, end: number = bytes.length): Uint8Array {
  const copy = new Uint8Array(end - start);
  if (end - start > SHORT) copy.set(bytes.subarray(start, end));
  else for (let i = start; i < end; i++) copy[i - start] = bytes[i]!;
  return copy;
}
