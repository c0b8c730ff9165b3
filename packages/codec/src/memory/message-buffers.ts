import { integer, notNegative } from '../arguments.ts';
import { simd } from '../masking/simd.ts';
import { HEADROOM } from '../masking/simd-blocks.ts';
import { GUARD_BYTES, type PoolGuard, poolGuard } from '../pool-guard.ts';
import { type Lent, Losses } from './losses.ts';

/** Options of {@link MessageBuffers}. */
export interface MessageBuffersOptions {
  /** Largest sum of free bytes in ordinary memory that is kept for reuse. Default 8 MiB. */
  maxFreeBytes?: number;
  /** Whether to take buffers from the SIMD memory while it has a free block. Default true. */
  simd?: boolean;
  /**
   * For tests. Released and new memory is filled with 0xDB: a view that was kept too long shows
   * these bytes. A take throws when the memory was written to after its release. {@link
   * MessageBuffers.give} throws when the 64 bytes before or after the buffer were written to.
   * Default: whether `debugPools` was called.
   */
  debug?: boolean;
}

const SMALLEST = 4096;
const LARGEST_IN_SIMD = 16_777_216;
const MAX_FREE_BYTES = 8_388_608;

/**
 * Buffers for messages that are larger than a chunk. Each size is a power of two. A buffer is in
 * the SIMD memory while that has a free block: unmasking is several times as fast there. Otherwise
 * it is in ordinary memory, of which a bounded amount is kept for reuse, since fresh memory costs
 * page faults.
 *
 * @example
 * ```ts
 * import { MessageBuffers } from '@ws/codec';
 *
 * const buffers = new MessageBuffers({ maxFreeBytes: 1024 * 1024 });
 * const buffer = buffers.take(100_000);
 * console.log(buffer.length); // 131072
 * buffers.give(buffer);
 * ```
 */
export class MessageBuffers {
  readonly #maxFreeBytes: number;
  readonly #simd: boolean;
  readonly #guard: PoolGuard | undefined;
  /** Bytes that a buffer needs for its guards and for the headroom between them. */
  readonly #guards: number;
  /** Free ordinary buffers by their size, a power of two. */
  readonly #free = new Map<number, Uint8Array[]>();
  /** The ordinary buffers. The SIMD blocks have their own record. */
  readonly #ordinary = new WeakMap<Uint8Array, Lent>();
  readonly #losses = new Losses();
  #freeBytes = 0;
  #lent = 0;
  /** Leased buffers that no message has: they are kept with their leases. */
  #parked = 0;

  /** @throws RangeError when `maxFreeBytes` is negative or not a number. */
  constructor(options: MessageBuffersOptions = {}) {
    this.#maxFreeBytes = options.maxFreeBytes ?? MAX_FREE_BYTES;
    notNegative('maxFreeBytes', this.#maxFreeBytes);
    this.#simd = options.simd ?? true;
    this.#guard = poolGuard('message buffer', options.debug);
    this.#guards = this.#guard === undefined ? 0 : 2 * GUARD_BYTES + HEADROOM;
  }

  /**
   * How many buffers are leased now. It is 0 when every user has given its buffers back: assert it
   * in tests.
   */
  get lent(): number {
    return this.#lent - this.#parked - this.#losses.count;
  }

  /** How many leases of ordinary memory were lost, see {@link SlabPool.lost}. */
  get lost(): number {
    return this.#losses.count;
  }

  /** @internal A leased buffer is kept for the next message (1), or has a message again (-1). */
  countParked(change: 1 | -1): void {
    this.#parked += change;
  }

  /** Free bytes of ordinary memory that are kept for reuse. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /**
   * Leases a buffer of at least `bytes` bytes: the next power of two, 4 KiB or more. Its contents
   * are arbitrary. The caller owns it until {@link give}, and with it the 16 bytes of memory before
   * its first byte, for example for a frame header.
   *
   * @throws RangeError when `bytes` is not an integer of 0 or more, or too large for the engine.
   *   With `debug`, Error when the buffer was written to after its release.
   */
  take(bytes: number): Uint8Array {
    const free = this.takeFree(bytes);
    if (free !== undefined) return free;
    const size = sizeFor(bytes);
    const buffer =
      this.#guard?.enclose(new Uint8Array(size + this.#guards), size, HEADROOM) ??
      new Uint8Array(new ArrayBuffer(HEADROOM + size), HEADROOM);
    const state = { lent: true };
    this.#ordinary.set(buffer, state);
    this.#losses.watch(buffer, state);
    this.#lent++;
    return buffer;
  }

  /**
   * As {@link take}, if a free buffer exists. Otherwise undefined: no memory is allocated. For
   * lengths that the peer has announced and not yet sent.
   *
   * @throws As {@link take}.
   */
  takeFree(bytes: number): Uint8Array | undefined {
    const size = sizeFor(bytes);
    const fits = this.#simd && size <= LARGEST_IN_SIMD;
    const block = fits ? simd()?.blocks.acquire(size + this.#guards) : undefined;
    if (block !== undefined) {
      this.#lent++;
      return this.#guard?.enclose(block, size, HEADROOM) ?? block;
    }
    const buffer = this.#free.get(size)?.pop();
    if (buffer === undefined) return undefined;
    this.#freeBytes -= size;
    this.#guard?.lend(buffer);
    this.#lent++;
    this.#ordinary.get(buffer)!.lent = true;
    return buffer;
  }

  /**
   * Takes a buffer back: the object that {@link take} returned. Do not touch it afterwards.
   *
   * @throws Error when it is not leased: given twice, or a view of it. With `debug`, also when
   *   memory outside of it was written to.
   */
  give(buffer: Uint8Array): void {
    const guard = this.#guard;
    // Before the block can be leased again.
    guard?.takeBack(buffer);
    const memory = guard?.memoryOf(buffer) ?? buffer;
    const isBlock = this.#simd && simd()?.blocks.release(memory) === true;
    const state = isBlock ? undefined : this.#ordinary.get(buffer);
    if (!isBlock && state?.lent !== true) {
      throw new Error('this buffer is not leased from this pool');
    }
    if (state !== undefined) state.lent = false;
    this.#lent--;
    if (isBlock) return;
    const size = buffer.byteLength;
    // A detached buffer has no memory left.
    if (size === 0 || this.#freeBytes + size > this.#maxFreeBytes) return;
    const free = this.#free.get(size);
    if (free === undefined) this.#free.set(size, [buffer]);
    else free.push(buffer);
    this.#freeBytes += size;
  }
}

function sizeFor(bytes: number): number {
  integer('bytes', bytes, 0);
  let size = SMALLEST;
  while (size < bytes) size *= 2;
  return size;
}

let shared: MessageBuffers | undefined;

/**
 * The thread's shared message buffers, created at the first call.
 *
 * See {@link MessageBuffers}.
 */
export function sharedMessageBuffers(): MessageBuffers {
  shared ??= new MessageBuffers();
  return shared;
}
