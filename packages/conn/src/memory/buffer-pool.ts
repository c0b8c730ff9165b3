import { poolGuard, type Slab, type SlabSource } from '@ws/codec';

/**
 * Write buffers of your own, as gorilla/websocket's `BufferPool`: a connection takes one when it begins to write and
 * gives it back when what it wrote has left. One pool may serve any number of connections.
 */
export interface BufferPool {
  /**
   * A buffer, used at the size that it has. Undefined, or whatever is no Uint8Array: a new one is made, and given to
   * {@link put} later. What it throws rejects the write; for a close frame, or a ping or pong of the library's own, it
   * ends the connection with a TransportError.
   */
  get(): Uint8Array | undefined;
  /** Takes a buffer back. What it throws is reported to nobody: the buffer is the pool's loss. */
  put(buffer: Uint8Array): void;
}

/** `pool` as the codec's source of slabs; new buffers have `size` bytes, or more when more is asked for. */
export function slabsOf(pool: BufferPool, size: number): SlabSource {
  return {
    take(minBytes: number): Slab {
      const pooled: unknown = pool.get();
      if (pooled instanceof Uint8Array) {
        if (pooled.length >= minBytes) return slab(pooled, pool);
        // Too small for this once: it stays with the pool.
        slab(pooled, pool).release();
      }
      return slab(new Uint8Array(Math.max(minBytes, size)), pool);
    },
  };
}

function slab(bytes: Uint8Array, pool: BufferPool): Slab {
  let lent = true;
  // One for each lease: between them the buffer is the user's, who may write to it.
  const guard = poolGuard('write buffer');
  guard?.lend(bytes);
  return {
    bytes,
    release: () => {
      guard?.takeBack(bytes);
      if (!lent) return;
      lent = false;
      try {
        pool.put(bytes);
      } catch {
        // It runs within the transport's write, where nobody could catch it.
      }
    },
  };
}
