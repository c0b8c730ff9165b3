import { copyInto, xorCopy } from './copy.ts';
import { skewOf, wordsOver, xorWords } from './mask.ts';
import type { Simd } from './simd.ts';

const EMPTY = new Uint8Array(0);
/** The target does not lie in the SIMD memory. */
const FOREIGN = -1;
/** Below this a byte loop copies and unmasks faster than a copy of a new view. */
const COPY_BY_VIEW_FROM = 32;

/** The memory in which a large payload is put together, and how far that has come. */
export class Assembly {
  /** Whether there is a target. */
  active = false;
  /** The caller's memory. */
  target: Uint8Array = EMPTY;
  /** Where the next piece goes. */
  at = 0;
  #words: BigInt64Array | undefined = undefined;
  #simd: Simd | undefined = undefined;
  #address = FOREIGN;

  /** Goes on in `target` from index `at`. `simd`: unmasks there when the target lies in its memory. */
  begin(target: Uint8Array, at: number, simd: Simd | undefined): void {
    if (this.target !== target) {
      this.target = target;
      this.#words = undefined;
      this.#simd = simd;
      this.#address = target.buffer === simd?.buffer ? target.byteOffset : FOREIGN;
    }
    this.at = at;
    this.active = true;
  }

  /** How many bytes still fit. */
  get room(): number {
    return this.target.length - this.at;
  }

  /**
   * Copies `from[start, end)`, for which there is room, and unmasks it. `view` are these very bytes, if there is a view
   * of them already; `key` is little-endian.
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
    if (n < COPY_BY_VIEW_FROM) {
      xorCopy(from, start, end, target, at, key);
      return;
    }
    copyInto(target, view ?? (n === from.length ? from : from.subarray(start, end)), at);
    if (key === 0) return;
    if (this.#address >= 0) {
      this.#simd!.xor(this.#address + at, this.#address + at + n, key);
    } else {
      this.#words ??= wordsOver(target);
      xorWords(target, this.#words, skewOf(target), at, at + n, key);
    }
  }

  /** Lets go of the target. */
  forget(): void {
    this.target = EMPTY;
    this.#words = undefined;
    this.active = false;
  }
}
