import { integer, notNegative } from '../arguments.ts';
import { type Words, wordsOver } from '../masking/mask.ts';
import { existingSimd, simd } from '../masking/simd.ts';
import { GUARD_BYTES, type PoolGuard, poolGuard } from '../pool-guard.ts';
import { ForeignSlab, LentSlab, viewOver } from './lent-slab.ts';
import { type Lent, Losses } from './losses.ts';
import { checkSlab, LARGEST_SLAB, type Slab, type SlabSource } from './slab.ts';

/** Options of {@link SlabPool}. */
export interface SlabPoolOptions {
  /**
   * Largest sum of free bytes that is kept for reuse, over all classes. Memory beyond it is freed.
   * Default 2.5 MiB.
   */
  maxFreeBytes?: number;
  /**
   * Whether slabs for masking come from the SIMD memory while it has room. Default true. Other
   * slabs never do: messages and masking encoders need that memory.
   */
  simd?: boolean;
  /**
   * For tests. Released and new memory is filled with 0xDB: a view that was kept too long shows
   * these bytes. `take` throws when a slab was written to after its release. `release` throws when
   * it is called twice, or when the 64 bytes before or after the slab were written to. Each message
   * says where; its `cause` has the stack of the release. Default: whether `debugPools` was called.
   */
  debug?: boolean;
}

/** Sizes in bytes. `FrameSlab` decides which one is asked for. */
const CLASSES: readonly number[] = [4096, 16384, LARGEST_SLAB];
const COUNT = 3;
/** The kind of a slab that is larger than every class. */
const NOT_KEPT = 6;
const MAX_FREE_BYTES = 2_621_440;
/**
 * Release functions of one slab object. Each lease has its own, so that a second call does not end a
 * later lease of another connection. It is made when it is read: `FrameSlab` needs none. The object
 * keeps them: with functions that become garbage at each lease, V8 discarded optimized code at each
 * collection, and an encoder allocated 100 bytes a frame.
 */
const RELEASES = 32;

/**
 * Leases memory in slabs of 4, 16 and 64 KiB. The slab that came back last goes out first: its
 * memory is still in the cache. A larger slab is created in the requested size and not kept. The
 * pool bounds the memory that it keeps, not the memory that it leases.
 *
 * @example
 * ```ts
 * import { FrameEncoder, SlabPool, TextMessage } from '@ws/codec';
 *
 * const pool = new SlabPool({ maxFreeBytes: 1024 * 1024 });
 * const encoder = new FrameEncoder({ role: 'server', pool });
 * encoder.text(TextMessage, true, 0, 'hello');
 * encoder.flush((chunk, release) => process.stdout.write(chunk, release));
 * ```
 */
export class SlabPool implements SlabSource {
  /** By class; after them the slabs for masking, by class. */
  readonly #free: readonly Pool<PooledSlab>[] = [...CLASSES, ...CLASSES].map(() => new Pool());
  readonly #maxFreeBytes: number;
  readonly #simd: boolean;
  readonly #guard: PoolGuard | undefined;
  readonly #losses = new Losses();
  #freeBytes = 0;
  #lent = 0;

  /** @throws RangeError when `maxFreeBytes` is negative or not a number. */
  constructor(options: SlabPoolOptions = {}) {
    this.#maxFreeBytes = options.maxFreeBytes ?? MAX_FREE_BYTES;
    notNegative('maxFreeBytes', this.#maxFreeBytes);
    this.#simd = options.simd ?? true;
    this.#guard = poolGuard('slab', options.debug);
  }

  /**
   * How many slabs are leased now. It is 0 when every user has released its slabs: assert it in
   * tests.
   */
  get lent(): number {
    return this.#lent - this.#losses.count;
  }

  /**
   * How many leases of an `Endpoint` were lost: it became garbage before their release, and their
   * memory with it. Always 0 in an engine without `FinalizationRegistry`.
   */
  get lost(): number {
    return this.#losses.count;
  }

  /** Free bytes that are kept for reuse. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /**
   * Leases a slab of the smallest class that holds `minBytes`.
   *
   * @param minBytes - Bytes needed, 0 or more.
   * @param masks - Whether to prefer the SIMD memory. Default false.
   * @returns The slab. The caller owns it until it calls `release`.
   * @throws RangeError when `minBytes` is negative, not an integer, or too large for the engine.
   *   With `debug`, Error when the slab was written to after its release.
   */
  take(minBytes: number, masks = false): Slab {
    integer('minBytes', minBytes, 0);
    let kind = 0;
    while (kind < COUNT && CLASSES[kind]! < minBytes) kind++;
    if (kind === COUNT) kind = NOT_KEPT;
    else if (masks) kind += COUNT;
    let slab = this.#free[kind]?.acquire();
    if (slab === undefined) {
      slab = this.#make(kind, minBytes);
    } else {
      this.#freeBytes -= slab.bytes.length;
      this.#guard?.lend(slab.bytes);
      // With the guard, each lease has its own functions, so that a late call is detected.
      if (this.#guard !== undefined || slab.spent) {
        slab = this.#slabOf(slab.bytes, slab.kind);
      }
    }
    slab.lease();
    this.#lent++;
    return slab;
  }

  /** @internal As {@link take}, for a user that may become garbage: its lease then counts as lost. */
  takeWatched(minBytes: number): Slab {
    const slab = this.take(minBytes) as PooledSlab;
    if (!slab.watched) this.#losses.watch(slab, slab.state);
    slab.watched = true;
    return slab;
  }

  #make(kind: number, minBytes: number): PooledSlab {
    const size = kind === NOT_KEPT ? minBytes : CLASSES[kind % COUNT]!;
    const guard = this.#guard;
    const needed = guard === undefined ? size : size + 2 * GUARD_BYTES;
    const masks = kind >= COUNT && kind < NOT_KEPT;
    const block = this.#simd && masks ? simd()?.blocks.acquire(needed) : undefined;
    const memory = block ?? new Uint8Array(needed);
    return this.#slabOf(guard?.enclose(memory, size) ?? memory, kind);
  }

  #slabOf(bytes: Uint8Array, kind: number): PooledSlab {
    return new PooledSlab(bytes, kind, this.#guard !== undefined, this.#takeBack);
  }

  #takeBack = (slab: PooledSlab, lease: number): void => {
    const guard = this.#guard;
    const { state } = slab;
    if (!state.lent || slab.leases !== lease) {
      if (guard !== undefined) throw guard.releasedTwice(slab.bytes);
      return;
    }
    state.lent = false;
    this.#lent--;
    guard?.takeBack(slab.bytes);
    const { byteLength } = slab.bytes;
    // A detached slab has no memory left.
    if (byteLength === 0) return;
    const free = this.#free[slab.kind];
    const isFull = this.#freeBytes + byteLength > this.#maxFreeBytes;
    if (free !== undefined && isFull) this.#makeRoom(slab.kind, byteLength);
    if (free !== undefined && this.#freeBytes + byteLength <= this.#maxFreeBytes) {
      free.release(slab);
      this.#freeBytes += byteLength;
    } else this.#discard(slab);
  };

  /** Discards free slabs of other kinds: a kind that is in use replaces the others. */
  #makeRoom(kind: number, bytes: number): void {
    for (let i = 0; i < this.#free.length; i++) {
      while (i !== kind && this.#freeBytes + bytes > this.#maxFreeBytes) {
        const slab = this.#free[i]!.acquire();
        if (slab === undefined) break;
        this.#freeBytes -= slab.bytes.length;
        this.#discard(slab);
      }
    }
  }

  /** A block of the SIMD memory is free again, other memory is garbage. */
  #discard({ bytes }: PooledSlab): void {
    existingSimd()?.blocks.release(this.#guard?.memoryOf(bytes) ?? bytes);
  }
}

/**
 * Leases a slab for a user that needs no release function.
 *
 * @throws TypeError when the pool does not return a slab of at least `minBytes` bytes.
 */
export function leaseSlab(source: SlabSource, minBytes: number, masks: boolean): LentSlab {
  const slab = source.take(minBytes, masks);
  // Its release function would be made.
  if (slab instanceof PooledSlab && slab.bytes.byteLength >= minBytes) return slab;
  return new ForeignSlab(checkSlab(slab, minBytes));
}

class PooledSlab extends LentSlab implements Slab {
  readonly kind: number;
  protected readonly debugs: boolean;
  readonly state: Lent = { lent: false };
  watched = false;
  /** Number of leases so far. */
  leases = 0;
  /** The lease of the last function in `#releases`. */
  #released = 0;
  readonly #takeBack: (slab: PooledSlab, lease: number) => void;
  readonly #releases: (() => void)[] = [];
  #words: Words | undefined;
  #view: DataView | undefined;

  constructor(
    bytes: Uint8Array,
    kind: number,
    debugs: boolean,
    takeBack: (slab: PooledSlab, lease: number) => void,
  ) {
    super(bytes);
    this.kind = kind;
    this.debugs = debugs;
    this.#takeBack = takeBack;
  }

  /** Whether every release function was used: another object takes over the memory. */
  get spent(): boolean {
    return this.#releases.length === RELEASES;
  }

  /** Begins a lease. */
  lease(): void {
    this.state.lent = true;
    this.leases++;
  }

  protected endLease(): void {
    this.#takeBack(this, this.leases);
  }

  get release(): () => void {
    const { leases } = this;
    if (this.#released !== leases) {
      this.#released = leases;
      this.#releases.push(() => this.#takeBack(this, leases));
    }
    return this.#releases[this.#releases.length - 1]!;
  }

  get words(): Words {
    this.#words ??= wordsOver(this.bytes);
    return this.#words;
  }

  get view(): DataView {
    this.#view ??= viewOver(this.bytes);
    return this.#view;
  }
}

let shared: SlabPool | undefined;

/**
 * The thread's shared pool, created at the first call. The default of decoders and encoders.
 *
 * See {@link SlabPool}.
 */
export function sharedSlabPool(): SlabPool {
  shared ??= new SlabPool();
  return shared;
}

/**
 * Unused objects for reuse. The object that came back last goes out first: its memory is still in
 * the cache.
 *
 * Unstable: for the packages of this repository.
 */
export class Pool<T> {
  readonly #most: number;
  readonly #free: (T | undefined)[] = [];
  #count = 0;

  /** @param most - How many objects are kept at most. Default: no limit. */
  constructor(most: number = Infinity) {
    this.#most = most;
  }

  /** How many objects are in the pool. */
  get size(): number {
    return this.#count;
  }

  /** Takes the newest object out, or returns undefined when the pool is empty. */
  acquire(): T | undefined {
    if (this.#count === 0) return undefined;
    const object = this.#free[--this.#count];
    // The array keeps its length. V8 frees the memory of an array that is popped empty, and the
    // next push allocates again.
    this.#free[this.#count] = undefined;
    return object;
  }

  /** Puts an object in. The pool drops it when it is full. */
  release(object: T): void {
    if (this.#count < this.#most) this.#free[this.#count++] = object;
  }
}
