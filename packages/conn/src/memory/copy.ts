/** Up to this many bytes a loop is faster than a view and a native copy. */
const SHORT = 40;

/**
 * Copies `bytes[start, end)` to new memory. The result is a plain Uint8Array: the `slice` of a
 * subclass may not copy, as that of Node's Buffer.
 */
export function copyOf(bytes: Uint8Array, start = 0, end: number = bytes.length): Uint8Array {
  const copy = new Uint8Array(end - start);
  if (end - start > SHORT) copy.set(bytes.subarray(start, end));
  else for (let i = start; i < end; i++) copy[i - start] = bytes[i]!;
  return copy;
}
