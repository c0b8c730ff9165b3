import { wordsOver } from './mask.ts';
import { GUARD_BYTES, type PoolGuard, poolGuard } from './pool-guard.ts';
import { simd } from './simd.ts';

/** A lease of pooled memory. */
export interface Slab {
  /** The memory, at least as large as was asked for. Its contents are whatever they were. */
  readonly bytes: Uint8Array;
  /**
   * Gives the slab back; `bytes` must not be touched afterwards. Bound once for the slab's life, so it can be handed
   * on as a callback without a closure. A second call does nothing as long as the slab is not lent again (it throws, at
   * whatever time, in a pool made with `debug`).
   */
  readonly release: () => void;
  /** `bytes` as 64-bit words, where the pool keeps that view with the slab; made by whoever needs it otherwise. */
  readonly words?: BigInt64Array;
  /** `bytes` for stores of more than a byte, where the pool keeps that view with the slab. */
  readonly view?: DataView;
}

/** Whatever lends slabs: a {@link SlabPool}, or a wrapper around buffers of your own. */
export interface SlabSource {
  /** A slab of at least `minBytes` bytes. Never fails for lack of pooled memory. */
  take(minBytes: number): Slab;
}

/** Options of {@link SlabPool}. */
export interface SlabPoolOptions {
  /** How many free bytes are kept for reuse, summed over all classes; what comes back beyond is let go. Default 2.5 MiB. */
  maxFreeBytes?: number;
  /** Take slabs inside the SIMD memory while it has room. Default true. */
  simd?: boolean;
  /**
   * For tests: released memory is filled with 0xDB, which a view that was kept too long shows. Then `take` throws when
   * somebody has written to a slab since its release, `release` when it is the second one, or when somebody has written
   * to the 64 bytes before or behind the slab. Each message says where; its `cause` has the stack of the release. New
   * memory is filled with 0xDB too. Default: whether `debugPools` was called.
   */
  debug?: boolean;
}

const CLASSES: readonly number[] = [4096, 16384, 65536];
const MAX_FREE_BYTES = 2.5 * 1024 * 1024;

/**
 * Lends memory in slabs of 4, 16 and 64 KiB. The slab that came back last goes out first, warm from the cache. Larger
 * ones are made to measure and not kept. The pool is bounded in what it keeps, not in what it lends.
 */
export class SlabPool implements SlabSource {
  readonly #free: readonly Stack[] = CLASSES.map(() => new Stack());
  readonly #maxFreeBytes: number;
  readonly #simd: boolean;
  readonly #guard: PoolGuard | undefined;
  #freeBytes = 0;
  #lent = 0;

  /** @throws RangeError when `maxFreeBytes` is negative or no number. */
  constructor(options: SlabPoolOptions = {}) {
    this.#maxFreeBytes = options.maxFreeBytes ?? MAX_FREE_BYTES;
    if (!(this.#maxFreeBytes >= 0)) throw new RangeError('maxFreeBytes must be 0 or more');
    this.#simd = options.simd ?? true;
    this.#guard = poolGuard('slab', options.debug);
  }

  /** How many slabs are lent out now. Back to 0 when every user has released: what a test of your own can check. */
  get lent(): number {
    return this.#lent;
  }

  /** How many bytes lie here for reuse. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /**
   * Lends a slab of the smallest class that holds `minBytes`.
   *
   * @param minBytes - Bytes needed, 0 or more.
   * @returns The slab; it is yours until you call its `release`.
   * @throws RangeError when `minBytes` is negative, no integer, or more than memory can hold. With `debug`, Error when
   *   somebody has written to the slab since its release.
   */
  take(minBytes: number): Slab {
    if (!(Number.isInteger(minBytes) && minBytes >= 0)) {
      throw new RangeError('minBytes must be an integer of 0 or more');
    }
    let kind = 0;
    while (kind < CLASSES.length && CLASSES[kind]! < minBytes) kind++;
    let slab = this.#free[kind]?.pop();
    if (slab === undefined) {
      slab = this.#make(kind, minBytes);
    } else {
      this.#freeBytes -= slab.bytes.length;
      if (this.#guard !== undefined) slab = this.#lendAnew(slab, this.#guard);
    }
    slab.lent = true;
    this.#lent++;
    return slab;
  }

  #make(kind: number, minBytes: number): PooledSlab {
    const size = CLASSES[kind] ?? minBytes;
    const guard = this.#guard;
    const needed = guard === undefined ? size : size + 2 * GUARD_BYTES;
    const slot = this.#simd && kind < CLASSES.length ? simd()?.slots.take(needed) : undefined;
    const memory = slot ?? new Uint8Array(needed);
    return new PooledSlab(guard?.enclose(memory, size) ?? memory, kind, this.#takeBack);
  }

  /** The same memory with a `release` of its own: one from an earlier lease is seen to be late. */
  #lendAnew({ bytes, kind }: PooledSlab, guard: PoolGuard): PooledSlab {
    guard.lend(bytes);
    return new PooledSlab(bytes, kind, this.#takeBack);
  }

  #takeBack = (slab: PooledSlab): void => {
    const guard = this.#guard;
    if (!slab.lent) {
      if (guard !== undefined) throw guard.releasedTwice(slab.bytes);
      return;
    }
    slab.lent = false;
    this.#lent--;
    guard?.takeBack(slab.bytes);
    const { byteLength } = slab.bytes;
    // Of one that was detached meanwhile nothing is left.
    if (byteLength === 0) return;
    const free = this.#free[slab.kind];
    if (free !== undefined && this.#freeBytes + byteLength <= this.#maxFreeBytes) {
      free.push(slab);
      this.#freeBytes += byteLength;
    } else {
      // Not kept: a slot of the SIMD memory is free again, other memory is the garbage collector's.
      simd()?.slots.give(guard?.memoryOf(slab.bytes) ?? slab.bytes);
    }
  };
}

/** Free slabs of one class. An array that is popped empty gives its memory up, and a push takes new: this one does not. */
class Stack {
  readonly #slabs: (PooledSlab | undefined)[] = [];
  #count = 0;

  push(slab: PooledSlab): void {
    this.#slabs[this.#count++] = slab;
  }

  pop(): PooledSlab | undefined {
    if (this.#count === 0) return undefined;
    const slab = this.#slabs[--this.#count];
    this.#slabs[this.#count] = undefined;
    return slab;
  }
}

class PooledSlab implements Slab {
  readonly bytes: Uint8Array;
  readonly kind: number;
  readonly release: () => void;
  lent = false;
  #words: BigInt64Array | undefined;
  #view: DataView | undefined;

  constructor(bytes: Uint8Array, kind: number, takeBack: (slab: PooledSlab) => void) {
    this.bytes = bytes;
    this.kind = kind;
    this.release = () => takeBack(this);
  }

  get words(): BigInt64Array {
    this.#words ??= wordsOver(this.bytes);
    return this.#words;
  }

  get view(): DataView {
    this.#view ??= new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.length);
    return this.#view;
  }
}

let shared: SlabPool | undefined;

/** The thread's own pool, made at the first call: what decoders and encoders use when they are given none. */
export function sharedSlabPool(): SlabPool {
  shared ??= new SlabPool();
  return shared;
}
