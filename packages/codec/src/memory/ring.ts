import { wordsOver } from './mask.ts';
import type { Slab, SlabSource } from './pool.ts';

/** The longest tail a ring keeps: a frame of 4 KiB with its header, rounded up. */
export const MAX_TAIL = 4112;
/** The landing place grows up to what one slab of the largest class leaves beside the headroom. */
const LARGEST_SLAB = 64 * 1024;
const EMPTY = new Uint8Array(0);
/** Below this a byte loop copies faster than `set` of a new view, and leaves no garbage. */
const VIEW_FROM = 2048;

/**
 * The bytes that have arrived and could not be parsed yet. Linear, in one slab:
 *
 *     [ headroom ...... tail | landing place ...... ]
 *                            ^ base
 *
 * The tail always ends at `base`, whichever way its bytes came: they are moved there, which is short work, instead of
 * wrapping the index, which every read of a byte would pay for. So a read may land behind it at any time, and what is
 * parsed is always one piece. Without {@link writable} there is no landing place, and no slab while there is no tail.
 */
export class ReceiveRing {
  readonly #pool: SlabSource;
  readonly #firstSize: number;
  #slab: Slab | undefined;
  #landing: Uint8Array = EMPTY;
  #filled = false;
  /** The memory; empty while none is held. */
  bytes: Uint8Array = EMPTY;
  /** Where the tail ends and the landing place begins. */
  base = 0;
  /** Length of the tail in bytes. */
  size = 0;

  /**
   * @param pool - Lends the slab.
   * @param firstSize - Least size of the landing place in bytes, to begin with.
   */
  constructor(pool: SlabSource, firstSize: number) {
    this.#pool = pool;
    this.#firstSize = firstSize;
  }

  /**
   * The landing place: the same view at every call, until a read has filled it; then a larger one takes its place, up
   * to a slab of 64 KiB. Held until {@link release}.
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

  /** Notes that `n` bytes came into the landing place. */
  landed(n: number): void {
    if (n > this.#landing.length) {
      throw new RangeError(
        `${n} bytes do not fit into writable(), which has ${this.#landing.length}`,
      );
    }
    this.#filled = n === this.#landing.length;
  }

  /** The memory as 64-bit words, for unmasking. Kept with the slab, where the pool does. */
  get words(): BigInt64Array {
    return this.#slab?.words ?? wordsOver(this.bytes);
  }

  /** The view for `bytes[start, end)` when it is the whole landing place, which needs no new one. */
  landingAt(start: number, end: number): Uint8Array | undefined {
    return start === this.base && end - start === this.#landing.length ? this.#landing : undefined;
  }

  /** Makes the landed bytes `[start, end)` of this very ring the tail. */
  keep(start: number, end: number): void {
    this.size = end - start;
    if (this.size !== 0) this.bytes.copyWithin(this.base - this.size, start, end);
  }

  /** Appends `from[start, end)` to a tail that will grow to `need` bytes at most, {@link MAX_TAIL} or less. */
  append(from: Uint8Array, start: number, end: number, need: number): void {
    const n = end - start;
    if (n === 0) return;
    if (this.base < need) this.#move(need, -1);
    const { bytes, base, size } = this;
    if (size !== 0) bytes.copyWithin(base - size - n, base - size, base);
    if (n < VIEW_FROM) {
      for (let i = start, o = base - n; i < end; i++, o++) bytes[o] = from[i]!;
    } else {
      bytes.set(from.subarray(start, end), base - n);
    }
    this.size = size + n;
  }

  /** Forgets the tail. The slab goes back unless it has a landing place. */
  clear(): void {
    this.size = 0;
    if (this.#landing.length === 0) this.release();
  }

  /** Gives everything back. */
  release(): void {
    this.#slab?.release();
    this.#slab = undefined;
    this.#landing = EMPTY;
    this.#filled = false;
    this.bytes = EMPTY;
    this.base = 0;
    this.size = 0;
  }

  /** Into a slab of `capacity` bytes or more. A `base` of -1 is its end: no landing place. */
  #move(capacity: number, base: number): void {
    const slab = this.#pool.take(capacity);
    const to = base === -1 ? slab.bytes.length : base;
    for (let i = 1; i <= this.size; i++) slab.bytes[to - i] = this.bytes[this.base - i]!;
    this.#slab?.release();
    this.#slab = slab;
    this.bytes = slab.bytes;
    this.base = to;
    this.#landing = base === -1 ? EMPTY : slab.bytes.subarray(to);
  }
}
