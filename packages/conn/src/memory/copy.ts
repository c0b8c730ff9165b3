import type { OwnedBytes } from '@ws/codec';
import { lengthOf, viewOf } from '@ws/codec/internal';

/**
 * Writes below this size in bytes are copied, larger ones are referenced: a copy would need two slabs,
 * and would cost more than a promise that waits for the transport.
 */
export const COPY_BELOW = 32_768;

// oxlint-disable-next-line typescript/unbound-method -- called with an array as its `this`
const { set } = Uint8Array.prototype;

/** Up to this many bytes a loop is faster than a view and a native copy. */
const SHORT = 40;

/**
 * Copies `bytes[start, end)` to a new plain Uint8Array. Not by `slice`, which copies nothing of a
 * Buffer. Above `SHORT` not by `set`: V8 would first fill the new memory with zeros.
 */
export function copyOf(bytes: Uint8Array, start = 0, end: number = lengthOf(bytes)): OwnedBytes {
  if (end - start > SHORT) return new Uint8Array(viewOf(bytes, start, end));
  const copy = new Uint8Array(end - start);
  copyInto(copy, 0, bytes, start, end);
  return copy;
}

/** Copies `bytes[start, end)` to `to[at]`. */
export function copyInto(
  to: Uint8Array,
  at: number,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  if (end - start > SHORT) set.call(to, viewOf(bytes, start, end), at);
  else for (let i = start; i < end; i++) to[at + i - start] = bytes[i]!;
}
