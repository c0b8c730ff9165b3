import { misalignmentOf, type Words, wordsOver, xorWords } from '../masking/mask.ts';
import type { Simd } from '../masking/simd.ts';
import { copyInto, copyRange, VIEW_FROM, xorCopy } from '../memory/copy.ts';
import { NO_BYTES } from '../memory/slab.ts';

/** The target is not in the SIMD memory. */
const NO_ADDRESS = -1;
/** From this index on, a piece has a view of its own: the word kernels take indices of 32 bits. */
const FAR = 2 ** 31;

/** The caller's memory for a large payload, and how far it is filled. */
export class PayloadTarget {
  active = false;
  target: Uint8Array = NO_BYTES;
  /** Index for the next piece. */
  at = 0;
  #words: Words | undefined = undefined;
  #simd: Simd | undefined = undefined;
  #address = NO_ADDRESS;

  /**
   * Starts to fill `target` at index `at`. `simd` unmasks there when the target is in its memory.
   */
  set(target: Uint8Array, at: number, simd: Simd | undefined): void {
    if (this.target !== target) {
      this.target = target;
      this.#words = undefined;
      this.#simd = simd;
      this.#address = target.buffer === simd?.buffer ? target.byteOffset : NO_ADDRESS;
    }
    this.at = at;
    this.active = true;
  }

  /** How many bytes still fit. */
  get room(): number {
    return this.target.length - this.at;
  }

  /**
   * Copies `from[start, end)` and unmasks it. The caller has checked that there is room. `view` is
   * an existing view of exactly these bytes, if there is one. `key` is little-endian.
   */
  append(
    from: Uint8Array,
    start: number,
    end: number,
    view: Uint8Array | undefined,
    key: number,
  ): void {
    const { target, at } = this;
    const n = end - start;
    this.at = at + n;
    if (n < VIEW_FROM) {
      xorCopy(from, start, end, target, at, key);
      return;
    }
    if (view === undefined) copyRange(target, from, start, end, at);
    else copyInto(target, view, at);
    if (key === 0) return;
    if (this.#address >= 0) {
      this.#simd!.xor(this.#address + at, this.#address + at + n, key);
    } else if (at < FAR) {
      this.#words ??= wordsOver(target);
      xorWords(target, this.#words, misalignmentOf(target), at, at + n, key);
    } else {
      const piece = target.subarray(at, at + n);
      xorWords(piece, wordsOver(piece), misalignmentOf(piece), 0, n, key);
    }
  }

  clear(): void {
    this.target = NO_BYTES;
    this.#words = undefined;
    this.active = false;
  }
}
