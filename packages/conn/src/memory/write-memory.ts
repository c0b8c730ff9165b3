import { type Slab, SlabPool, type SlabSource } from '@ws/codec';
import {
  FrameSlab,
  isBytes,
  LARGEST_SLAB,
  lengthOf,
  poolGuard,
  poolsAreDebugged,
} from '@ws/codec/internal';
import { isThenable, onRejection } from '../validate.ts';

/**
 * Lends write buffers, as gorilla/websocket's `BufferPool`. A connection takes a buffer when it
 * starts to write and returns it when the frames are sent. Any number of connections may share a
 * pool.
 */
export interface BufferPool {
  /**
   * Returns a buffer of any size. If the result is undefined or of another type, the library creates a
   * buffer, and passes it to {@link put} later. When this method throws, the write rejects with the
   * error; when it returns a promise, with a TypeError. For a close frame, and for a ping or pong of
   * the library, such an error ends the connection with a TransportError.
   */
  get(): Uint8Array | undefined;
  /** Takes a buffer back. If this method throws, the option `report` gets the error. */
  put(buffer: Uint8Array): void;
}

/**
 * Adapts `pool` to the codec. New buffers have `size` bytes, or more when a frame needs more.
 *
 * @param putFailed - Gets an error of `pool.put`.
 */
export function slabsOf(
  pool: BufferPool,
  size: number,
  putFailed: (error: unknown) => void,
): SlabSource {
  return {
    take(minBytes: number): Slab {
      const pooled: unknown = pool.get();
      if (isBytes(pooled)) {
        if (lengthOf(pooled) >= minBytes) return slab(pooled, pool, putFailed);
        // The buffer is too small for the frame: returns it to the pool.
        slab(pooled, pool, putFailed).release();
      } else if (isThenable(pooled)) {
        onRejection(pooled, () => {});
        throw new TypeError(
          'writeBufferPool: expected a Uint8Array or undefined from get, got a promise',
        );
      }
      return slab(new Uint8Array(Math.max(minBytes, size)), pool, putFailed);
    },
  };
}

function slab(bytes: Uint8Array, pool: BufferPool, putFailed: (error: unknown) => void): Slab {
  let leased = true;
  // One guard for each lease: between leases the user may write to the buffer.
  const guard = poolGuard('write buffer');
  guard?.lend(bytes);
  return {
    bytes,
    release: () => {
      guard?.takeBack(bytes);
      if (!leased) return;
      leased = false;
      // Called within the transport's write, where no caller could handle an error.
      try {
        const result: unknown = pool.put(bytes);
        onRejection(result, putFailed);
      } catch (error) {
        putFailed(error);
      }
    },
  };
}

let shared: FrameSlab | undefined;

/**
 * Returns the slab of this thread for all connections without a `writeBufferPool`. The slab is in
 * the SIMD memory where that exists, like the messages that a server sends back.
 */
export function threadSlab(): FrameSlab {
  if (shared !== undefined) return shared;
  const pool = new SlabPool({ maxFreeBytes: 8 * LARGEST_SLAB });
  const source = { take: (bytes: number) => pool.take(bytes, true) };
  // The pool checks its memory at each lease.
  shared = new FrameSlab(source, LARGEST_SLAB, !poolsAreDebugged());
  return shared;
}
