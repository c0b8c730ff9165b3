import { copyInto, copyRange } from './copy.ts';
import { skewOf, swap, WORDS_FROM, wordsOver, xorBytes, xorOwned } from './mask.ts';
import type { Slab, SlabSource } from './pool.ts';
import { Segments } from './segments.ts';
import { type Simd, simd } from './simd.ts';

/** A slab is sealed when it has this many bytes; smaller ones grow to it. */
export const LARGEST_SLAB: number = 64 * 1024;
const NONE = -1;
const NO_BYTES = new Uint8Array(0);
const NO_VIEW = new DataView(NO_BYTES.buffer);

/**
 * The slab that is being filled, and the segments that were sealed before it. An encoder asks for room, writes to
 * `bytes` or `view` from `pos` on, and moves `pos`.
 */
export class SlabWriter {
  /** The slab's memory: its bytes `[0, pos)` will be a segment. Empty while there is none. */
  bytes: Uint8Array = NO_BYTES;
  /** The same memory, for stores of more than a byte. */
  view: DataView = NO_VIEW;
  /** Where the next byte goes. */
  pos = 0;
  /** Where the room ends. */
  limit = 0;
  readonly sealed: Segments = new Segments();

  // Plain fields: `#` ones are longer in bytecode, and what small frames need must be short enough to be inlined.
  private simd: Simd | undefined = undefined;
  /** Where the slab lies in the SIMD memory, or NONE. */
  private address = NONE;
  readonly #pool: SlabSource;
  readonly #firstSlab: number;
  readonly #masks: boolean;
  #slab: Slab | undefined = undefined;
  #words: BigInt64Array | undefined = undefined;
  #skew = 0;
  /** Index of the first byte in the slab with which a frame begins; NONE while one goes on that began before. */
  #boundary = 0;

  /**
   * @param pool - Lends the slabs.
   * @param firstSlab - Least size of the first slab of a turn, in bytes.
   * @param masks - Whether {@link mask} will be called with keys other than 0.
   */
  constructor(pool: SlabSource, firstSlab: number, masks: boolean) {
    this.#pool = pool;
    this.#firstSlab = firstSlab;
    this.#masks = masks;
  }

  /** Makes room for `need` more bytes, if there is less: a larger slab with the same contents, or a fresh one. */
  reserve(need: number): void {
    if (this.limit - this.pos >= need) return;
    const old = this.#slab;
    const { bytes } = this;
    if (old === undefined || this.pos + need > LARGEST_SLAB) {
      this.seal();
      this.#lease(Math.max(need, old === undefined ? this.#firstSlab : bytes.length));
      return;
    }
    // Doubled: a pool may lend no more than is asked for, and be asked at every frame else.
    this.#lease(Math.min(LARGEST_SLAB, Math.max(this.pos + need, 2 * bytes.length)));
    // The whole slab, though less is used: a view would be garbage, and this happens a few times in a turn at most.
    copyInto(this.bytes, bytes, 0);
    old.release();
  }

  /** Goes on in a fresh slab in the middle of a frame. */
  next(): void {
    this.seal();
    this.#lease(LARGEST_SLAB);
    this.#boundary = NONE;
  }

  /** A frame of several slabs is whole: in a slab that began in the middle of it, the next frame begins here. */
  endLarge(): void {
    if (this.#boundary === NONE) this.#boundary = this.pos;
  }

  /** Takes back what was appended since `pos` was `from` in the slab that segment `segment` is, or will be. */
  undo(segment: number, from: number): void {
    this.seal();
    this.sealed.cut(segment, from);
  }

  /** Copies `payload[start, end)` to `at`, where there is room for it, and masks it there. `key` is big-endian. */
  fill(at: number, payload: Uint8Array, start: number, end: number, key: number): void {
    copyRange(this.bytes, payload, start, end, at);
    this.mask(at, at + end - start, key);
  }

  /** Masks the slab's `[start, end)`. `key` is big-endian. */
  mask(start: number, end: number, key: number): void {
    if (key === 0) return;
    const { address } = this;
    if (address >= 0) this.simd!.xor(address + start, address + end, swap(key));
    else this.maskWithoutSimd(start, end, swap(key));
  }

  /** Turns what the slab holds into a segment. */
  seal(): void {
    if (this.#slab === undefined) return;
    if (this.pos !== 0) {
      const boundary = this.#boundary === NONE ? this.pos : this.#boundary;
      this.sealed.push(this.bytes, 0, this.pos, boundary, this.#slab.release);
    } else {
      // Leased for a frame that was refused.
      this.#slab.release();
    }
    this.#slab = undefined;
    this.bytes = NO_BYTES;
    this.view = NO_VIEW;
    this.#words = undefined;
    this.address = NONE;
    this.pos = 0;
    this.limit = 0;
    this.#boundary = 0;
  }

  private maskWithoutSimd(start: number, end: number, key: number): void {
    if (end - start < WORDS_FROM) {
      xorBytes(this.bytes, start, end, key);
      return;
    }
    if (this.#words === undefined) {
      this.#words = this.#slab!.words ?? wordsOver(this.bytes);
      this.#skew = skewOf(this.bytes);
    }
    xorOwned(this.bytes, this.#words, this.#skew, start, end, key);
  }

  #lease(least: number): void {
    const slab = this.#pool.take(least);
    const { bytes } = slab;
    this.#slab = slab;
    this.bytes = bytes;
    this.view = slab.view ?? new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.limit = Math.min(bytes.length, LARGEST_SLAB);
    this.#words = undefined;
    this.address = NONE;
    if (!this.#masks) return;
    this.simd = simd();
    if (bytes.buffer === this.simd?.buffer) this.address = bytes.byteOffset;
  }
}
