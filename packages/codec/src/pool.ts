import { wordsOver } from './mask.ts';
import { simd } from './simd.ts';

/** A lease of pooled memory. */
export interface Slab {
  /** The memory, at least as large as was asked for. Its contents are whatever they were. */
  readonly bytes: Uint8Array;
  /**
   * Gives the slab back; `bytes` must not be touched afterwards. Bound once for the slab's life, so it can be handed
   * on as a callback without a closure. A second call does nothing (it throws in a pool made with `debug`).
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
  /** Fill released memory with 0xDB, and throw when a slab is released twice. Default false. */
  debug?: boolean;
}

const CLASSES: readonly number[] = [4096, 16384, 65536];
const MAX_FREE_BYTES = 2.5 * 1024 * 1024;
/** What stale views of released memory show in a pool made with `debug`. */
const POISON = 0xdb;

/**
 * Lends memory in slabs of 4, 16 and 64 KiB. The slab that came back last goes out first, warm from the cache. Larger
 * ones are made to measure and not kept. The pool is bounded in what it keeps, not in what it lends.
 */
export class SlabPool implements SlabSource {
  readonly #free: readonly Stack[] = CLASSES.map(() => new Stack());
  readonly #maxFreeBytes: number;
  readonly #simd: boolean;
  readonly #debug: boolean;
  #freeBytes = 0;
  #lent = 0;

  /** @throws RangeError when `maxFreeBytes` is negative or no number. */
  constructor(options: SlabPoolOptions = {}) {
    this.#maxFreeBytes = options.maxFreeBytes ?? MAX_FREE_BYTES;
    if (!(this.#maxFreeBytes >= 0)) throw new RangeError('maxFreeBytes must be 0 or more');
    this.#simd = options.simd ?? true;
    this.#debug = options.debug ?? false;
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
   * @throws RangeError when `minBytes` is negative, no integer, or more than memory can hold.
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
    }
    slab.lent = true;
    this.#lent++;
    return slab;
  }

  #make(kind: number, minBytes: number): PooledSlab {
    const size = CLASSES[kind];
    if (size === undefined) return new PooledSlab(new Uint8Array(minBytes), kind, this.#takeBack);
    const slot = this.#simd ? simd()?.slots.take(size) : undefined;
    return new PooledSlab(slot ?? new Uint8Array(size), kind, this.#takeBack);
  }

  #takeBack = (slab: PooledSlab): void => {
    if (!slab.lent) {
      if (this.#debug) throw new Error('slab released twice');
      return;
    }
    slab.lent = false;
    this.#lent--;
    if (this.#debug) slab.bytes.fill(POISON);
    const free = this.#free[slab.kind];
    if (free !== undefined && this.#freeBytes + slab.bytes.length <= this.#maxFreeBytes) {
      free.push(slab);
      this.#freeBytes += slab.bytes.length;
    } else {
      // Not kept: a slot of the SIMD memory is free again, other memory is the garbage collector's.
      simd()?.slots.give(slab.bytes);
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
