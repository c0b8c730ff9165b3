import type { Slab, SlabSource } from '@ws/codec';

/**
 * Write buffers of your own, as gorilla/websocket's `BufferPool`: a connection takes one when it begins to write and
 * gives it back when what it wrote has left. One pool may serve any number of connections.
 */
export interface BufferPool {
  /** A buffer, or undefined: then a new one is made, and given to {@link put} later. Used at the size that it has. */
  get(): Uint8Array | undefined;
  /** Takes a buffer back. */
  put(buffer: Uint8Array): void;
}

/** `pool` as the codec's source of slabs; new buffers have `size` bytes, or more when more is asked for. */
export function slabsOf(pool: BufferPool, size: number): SlabSource {
  return {
    take(minBytes: number): Slab {
      const pooled = pool.get();
      if (pooled !== undefined && pooled.length >= minBytes) return slab(pooled, pool);
      // Too small for this once: it stays with the pool.
      if (pooled !== undefined) pool.put(pooled);
      return slab(new Uint8Array(Math.max(minBytes, size)), pool);
    },
  };
}

function slab(bytes: Uint8Array, pool: BufferPool): Slab {
  let lent = true;
  return {
    bytes,
    release: () => {
      if (lent) pool.put(bytes);
      lent = false;
    },
  };
}
