import { GUARD_BYTES, type PoolGuard, poolGuard } from './pool-guard.ts';
import { simd } from './simd.ts';

/** Options of {@link MessageBuffers}. */
export interface MessageBuffersOptions {
  /** How many free bytes of ordinary memory are kept for reuse. Default 8 MiB. */
  maxFreeBytes?: number;
  /** Take buffers inside the SIMD memory while it has a slot. Default true. */
  simd?: boolean;
  /**
   * For tests: memory that was given back is filled with 0xDB, which a view that was kept too long shows. Then a take
   * throws when somebody has written to it since, and {@link MessageBuffers.give} when somebody has written to the 64
   * bytes before or behind it. New memory is filled with 0xDB too. Default: whether `debugPools` was called.
   */
  debug?: boolean;
}

const SMALLEST = 4096;
const LARGEST_IN_SIMD = 4 * 1024 * 1024;
const MAX_FREE_BYTES = 8 * 1024 * 1024;

/**
 * Buffers in which messages larger than a chunk are assembled: a power of two in size, in the SIMD memory while that
 * has a slot, where unmasking is several times as fast; in ordinary memory otherwise, of which a bounded amount is kept
 * for reuse, since fresh memory costs page faults.
 */
export class MessageBuffers {
  readonly #maxFreeBytes: number;
  readonly #simd: boolean;
  readonly #guard: PoolGuard | undefined;
  /** What a buffer needs besides its own bytes. */
  readonly #guards: number;
  /** Free ordinary buffers by the power of two that is their size. */
  readonly #free = new Map<number, Uint8Array[]>();
  /** The ordinary buffers that are lent; slots know that of themselves. */
  readonly #ordinary = new WeakSet<Uint8Array>();
  #freeBytes = 0;
  #lent = 0;

  /** @throws RangeError when `maxFreeBytes` is negative or no number. */
  constructor(options: MessageBuffersOptions = {}) {
    this.#maxFreeBytes = options.maxFreeBytes ?? MAX_FREE_BYTES;
    if (!(this.#maxFreeBytes >= 0)) throw new RangeError('maxFreeBytes must be 0 or more');
    this.#simd = options.simd ?? true;
    this.#guard = poolGuard('message buffer', options.debug);
    this.#guards = this.#guard === undefined ? 0 : 2 * GUARD_BYTES;
  }

  /** How many buffers are lent out now. Back to 0 when every user has given back: what a test of your own can check. */
  get lent(): number {
    return this.#lent;
  }

  /** How many bytes of ordinary memory lie here for reuse. */
  get freeBytes(): number {
    return this.#freeBytes;
  }

  /**
   * Lends a buffer of at least `bytes` bytes: the next power of two, 4 KiB or more. Its contents are whatever they
   * were. It is yours until {@link give}.
   *
   * @throws RangeError when `bytes` is no integer of 0 or more, or more than memory can hold. With `debug`, Error when
   *   somebody has written to the buffer since it was given back.
   */
  take(bytes: number): Uint8Array {
    const free = this.takeFree(bytes);
    if (free !== undefined) return free;
    const size = sizeFor(bytes);
    const memory = new Uint8Array(size + this.#guards);
    const buffer = this.#guard?.enclose(memory, size) ?? memory;
    this.#ordinary.add(buffer);
    this.#lent++;
    return buffer;
  }

  /**
   * As {@link take}, if it needs no more memory than there is already; undefined otherwise. For those who do not trust
   * a length yet.
   *
   * @throws As {@link take}.
   */
  takeFree(bytes: number): Uint8Array | undefined {
    const size = sizeFor(bytes);
    const fits = this.#simd && size <= LARGEST_IN_SIMD;
    const slot = fits ? simd()?.slots.take(size + this.#guards) : undefined;
    if (slot !== undefined) {
      this.#lent++;
      return this.#guard?.enclose(slot, size) ?? slot;
    }
    const buffer = this.#free.get(size)?.pop();
    if (buffer === undefined) return undefined;
    this.#freeBytes -= size;
    this.#guard?.lend(buffer);
    this.#lent++;
    this.#ordinary.add(buffer);
    return buffer;
  }

  /**
   * Takes a buffer back: the very object that {@link take} gave. It must not be touched afterwards.
   *
   * @throws Error when it is not lent: given twice, or a view of it. With `debug`, also when somebody has written beyond
   *   it.
   */
  give(buffer: Uint8Array): void {
    const guard = this.#guard;
    // Before the slot can be somebody else's.
    guard?.takeBack(buffer);
    const memory = guard?.memoryOf(buffer) ?? buffer;
    const isSlot = this.#simd && simd()?.slots.give(memory) === true;
    if (!isSlot && !this.#ordinary.delete(buffer)) {
      throw new Error('this buffer is not lent by this pool');
    }
    this.#lent--;
    if (isSlot) return;
    const size = buffer.byteLength;
    // Of one that was detached meanwhile nothing is left.
    if (size === 0 || this.#freeBytes + size > this.#maxFreeBytes) return;
    const free = this.#free.get(size);
    if (free === undefined) this.#free.set(size, [buffer]);
    else free.push(buffer);
    this.#freeBytes += size;
  }
}

function sizeFor(bytes: number): number {
  if (!(Number.isInteger(bytes) && bytes >= 0)) {
    throw new RangeError('bytes must be an integer of 0 or more');
  }
  let size = SMALLEST;
  while (size < bytes) size *= 2;
  return size;
}

let shared: MessageBuffers | undefined;

/** The thread's own message buffers, made at the first call. */
export function sharedMessageBuffers(): MessageBuffers {
  shared ??= new MessageBuffers();
  return shared;
}
