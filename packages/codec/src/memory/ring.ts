import { copyRange, xorCopy } from '../masking/copy.ts';
import { type Words, wordsOver } from '../masking/mask.ts';
import {
  callRelease,
  LARGEST_SLAB,
  NO_BYTES,
  type Slab,
  type SlabSource,
  takeSlab,
} from './slab.ts';

/** Longest tail in bytes: a frame of 4 KiB with its header, rounded up. */
export const MAX_TAIL = 4112;
/** Below this many bytes a loop copies faster than `set` with a new view. It leaves no garbage. */
const VIEW_FROM = 2048;

/**
 * Bytes that have arrived and are not parsed yet. Linear, in one slab:
 *
 *     [ headroom ...... tail | landing place ...... ]
 *                            ^ base
 *
 * The tail always ends at `base`: its bytes are moved there. The move is cheaper than a wrapped
 * index, which slows every byte read. New bytes land after the tail, so the input is always one
 * piece. Without {@link writable} there is no landing place, and no slab while there is no tail.
 */
export class ReceiveRing {
  readonly #pool: SlabSource;
  readonly #firstSize: number;
  readonly #unmasks: boolean;
  #slab: Slab | undefined;
  #landing: Uint8Array = NO_BYTES;
  #filled = false;
  /** The memory; empty while none is held. */
  bytes: Uint8Array = NO_BYTES;
  /** Index where the tail ends and the landing place begins. */
  base = 0;
  /** Length of the tail in bytes. */
  size = 0;

  /**
   * @param pool - Source of the slab.
   * @param firstSize - Smallest first size of the landing place, in bytes.
   * @param unmasks - Whether bytes are unmasked in the landing place.
   */
  constructor(pool: SlabSource, firstSize: number, unmasks: boolean) {
    this.#pool = pool;
    this.#unmasks = unmasks;
    this.#firstSize = firstSize;
  }

  /**
   * The landing place: the same view at every call until a read fills it. The next call then
   * returns a larger one, up to a slab of 64 KiB. Held until {@link release}.
   */
  writable(): Uint8Array {
    if (this.#landing.length === 0) {
      this.#move(MAX_TAIL + this.#firstSize, MAX_TAIL);
    } else if (this.#filled && this.bytes.length < LARGEST_SLAB) {
      this.#move(Math.min(LARGEST_SLAB, this.bytes.length * 4), MAX_TAIL);
    }
    this.#filled = false;
    return this.#landing;
  }

  /**
   * Records that `n` bytes have arrived in the landing place.
   *
   * @throws RangeError when it is smaller.
   */
  landed(n: number): void {
    if (n > this.#landing.length) {
      throw new RangeError(
        `${n} bytes do not fit into ${this.#landing.length}: call writable() before each read`,
      );
    }
    this.#filled = n === this.#landing.length;
  }

  /** The memory as 64-bit words, for unmasking. Cached with the slab, if the pool does that. */
  get words(): Words {
    return this.#slab?.words ?? wordsOver(this.bytes);
  }

  /** Makes the bytes `[start, end)` of this ring the tail. */
  keep(start: number, end: number): void {
    this.size = end - start;
    if (this.size !== 0) this.bytes.copyWithin(this.base - this.size, start, end);
  }

  /**
   * Appends `from[start, end)` to the tail. `need` is the largest size that the tail will have, at
   * most {@link MAX_TAIL}.
   */
  append(from: Uint8Array, start: number, end: number, need: number): void {
    const n = end - start;
    if (n === 0) return;
    if (this.base < need) this.#move(need, -1);
    const { bytes, base, size } = this;
    if (size !== 0) bytes.copyWithin(base - size - n, base - size, base);
    if (n < VIEW_FROM) {
      xorCopy(from, start, end, bytes, base - n, 0);
    } else {
      copyRange(bytes, from, start, end, base - n);
    }
    this.size = size + n;
  }

  /** Drops the tail. Releases the slab unless it has a landing place. */
  clear(): void {
    this.size = 0;
    if (this.#landing.length === 0) this.release();
  }

  /** Releases all memory. */
  release(): void {
    const slab = this.#slab;
    this.#slab = undefined;
    this.#landing = NO_BYTES;
    this.#filled = false;
    this.bytes = NO_BYTES;
    this.base = 0;
    this.size = 0;
    if (slab !== undefined) callRelease(slab.release);
  }

  /**
   * Moves the tail to a slab of at least `capacity` bytes. A `base` of -1 means its end: no landing
   * place.
   */
  #move(capacity: number, base: number): void {
    // A tail is short: it leaves the SIMD memory to messages. A peer could fill it with tails.
    const slab = takeSlab(this.#pool, capacity, base !== -1 && this.#unmasks);
    const to = base === -1 ? slab.bytes.length : base;
    for (let i = 1; i <= this.size; i++) slab.bytes[to - i] = this.bytes[this.base - i]!;
    const old = this.#slab;
    this.#slab = slab;
    this.bytes = slab.bytes;
    this.base = to;
    this.#landing = base === -1 ? NO_BYTES : slab.bytes.subarray(to);
    // Last: the pool's release function may throw.
    if (old !== undefined) callRelease(old.release);
  }
}
