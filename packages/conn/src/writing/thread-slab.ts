import { SlabPool } from '@ws/codec';
import { FrameSlab, LARGEST_SLAB, poolsAreDebugged } from '@ws/codec/internal';

/** Most free bytes of the slabs that a thread keeps. A slab is free when all transports are fast. */
const MAX_FREE_BYTES = 8 * LARGEST_SLAB;

let shared: FrameSlab | undefined;

/**
 * The slab of the thread, to which all connections without a `writeBufferPool` write. It is in the
 * SIMD memory where that exists, like the messages that a server sends back.
 */
export function threadSlab(): FrameSlab {
  if (shared !== undefined) return shared;
  const pool = new SlabPool({ maxFreeBytes: MAX_FREE_BYTES });
  const source = { take: (bytes: number) => pool.take(bytes, true) };
  // The pool checks its memory at each lease.
  shared = new FrameSlab(source, LARGEST_SLAB, !poolsAreDebugged());
  return shared;
}
