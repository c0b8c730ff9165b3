import { rejectPromise } from '../arguments.ts';
import { isBytes, lengthOf } from '../byte-facts.ts';
import type { Words } from '../masking/mask.ts';
import { poolsAreDebugged, releasedTwice } from '../pool-guard.ts';

/**
 * Bytes that you own: their buffer is never shared memory. From TypeScript 5.7 on this is
 * `Uint8Array<ArrayBuffer>`, which `Blob`, `Response` and `crypto.subtle` require; before,
 * `Uint8Array`.
 */
export type OwnedBytes = ReturnType<Uint8ArrayConstructor['of']>;

/** A lease of pooled memory. */
export interface Slab {
  /** The memory, at least as many bytes as the caller asked for. Its contents are arbitrary. */
  readonly bytes: Uint8Array;
  /**
   * Returns the slab to its pool. Do not touch `bytes` afterwards. The function is bound: pass it
   * on as a callback, no closure is needed. It belongs to this lease: read it at the lease and keep
   * it. A second call has no effect, also when the slab was leased again. With `debug` it throws.
   */
  readonly release: () => void;
  /**
   * `bytes` as words, in the type that this engine XORs fastest. Only a `SlabPool` caches that view
   * with the slab. A source of your own leaves it out.
   */
  readonly words?: Words;
  /** `bytes` for stores of more than one byte, if the pool caches that view with the slab. */
  readonly view?: DataView;
}

/** A source of slabs: a `SlabPool`, or a wrapper around buffers of the caller. */
export interface SlabSource {
  /**
   * Leases a slab of at least `minBytes` bytes. Creates memory when the pool has none.
   *
   * @param masks - Whether the caller masks or unmasks many bytes there. A `SlabPool` then prefers
   *   the SIMD memory. Default false.
   */
  take(minBytes: number, masks?: boolean): Slab;
}

/**
 * Size in bytes of the largest slab that a pool keeps. Three other sizes depend on it:
 * - `FrameSlab` fills slabs of at most this size: a pool does not keep larger ones.
 * - `InputMemory` grows to this size, for the same reason.
 * - `borrowFrom` of an encoder defaults to it: a frame that fits a slab is copied. With a larger
 *   value a payload would be copied to several slabs.
 */
export const LARGEST_SLAB: number = 65_536;

/** The empty array, for fields that hold no memory. */
export const NO_BYTES: OwnedBytes = /* @__PURE__ */ new Uint8Array(0);

/** @throws TypeError when the pool does not return a slab of at least `minBytes` bytes. */
export function takeSlab(pool: SlabSource, minBytes: number, masks: boolean): Slab {
  return checkSlab(pool.take(minBytes, masks), minBytes);
}

/** @throws TypeError for an object that is no slab of at least `minBytes` bytes. */
export function checkSlab(slab: Slab | undefined, minBytes: number): Slab {
  if (
    isBytes(slab?.bytes) &&
    lengthOf(slab.bytes) >= minBytes &&
    typeof slab.release === 'function'
  )
    return slab;
  rejectPromise('pool.take', slab);
  throw new TypeError(`pool.take must return a slab of at least ${minBytes} bytes`);
}

/** @throws TypeError when `release` returns a promise. */
export function callRelease(release: () => unknown): void {
  const result = release();
  if (result !== undefined) rejectPromise('release', result);
}

/**
 * Returns `release` for one call: a second call has no effect. When {@link debugPools} was called it
 * throws.
 *
 * @param what - Name of the memory in the error.
 * @param debugs - Whether it throws, also without `debugPools`.
 */
export function once(release: () => unknown, what: string, debugs = false): () => void {
  let due: (() => unknown) | undefined = release;
  const releaseOnce = (): void => {
    const call = due;
    due = undefined;
    if (call !== undefined) callRelease(call);
    else releasedAgain(releaseOnce, what, debugs);
  };
  return releaseOnce;
}

/**
 * `release` was called before.
 *
 * @throws Error when memory is debugged, unless {@link revoke} has called it.
 */
export function releasedAgain(release: () => void, what: string, debugs = false): void {
  if ((debugs || poolsAreDebugged()) && !revoked.has(release)) throw releasedTwice(what);
}

/** Release functions that {@link revoke} has called. */
const revoked = /* @__PURE__ */ new WeakSet<() => void>();

/**
 * Takes back bytes that a transport did not take: its `write` has thrown. It may have released them, or
 * may do so later: neither is a second release. Never throws.
 */
export function revoke(release: () => void): void {
  revoked.add(release);
  try {
    release();
  } catch {
    // The error of the pool. The caller reports the one of the transport.
  }
}
