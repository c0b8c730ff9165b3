import { bufferOf, byteOffsetOf } from '../byte-facts.ts';
import { misalignmentOf, type Words, wordsOver, xorBytes, xorOwned } from '../masking/mask.ts';
import { existingSimd, type Simd, simd } from '../masking/simd.ts';
import {
  SHORT_FRAME,
  SHORT_FRAME_VIEW_AHEAD,
  SIMD_FROM,
  STAGE_FROM,
  VIEW_AHEAD,
  WORDS_FROM,
} from '../masking/size-thresholds.ts';
import type { InputMemory } from './input-memory.ts';

/** The bytes are not in the SIMD memory, or their place is not yet looked up. */
const NO_ADDRESS = -1;

/**
 * Unmasks payloads in place with the fastest kernel for their size and memory. It caches facts
 * about the decoder's current chunk: call {@link forget} when the chunk changes.
 *
 * A connection does not use it: `MessageDecoder` unmasks while it moves the payload, see
 * masking/move-unmasked.ts.
 */
export class Unmasker {
  readonly #memory: InputMemory;
  #simd: Simd | undefined = undefined;
  /** Place of the chunk in the SIMD memory, or {@link NO_ADDRESS}. */
  #address = NO_ADDRESS;
  /** One view for all frames of a chunk. */
  #words: Words | undefined = undefined;
  #misalignment = 0;

  /** @param memory - Caches the view of its bytes as words. */
  constructor(memory: InputMemory) {
    this.#memory = memory;
  }

  /** Drops what is known about the chunk. */
  forget(): void {
    this.#words = undefined;
    this.#address = NO_ADDRESS;
  }

  /**
   * Unmasks `bytes[start, end)`.
   *
   * @param lim - Index after the last byte of the chunk: a view pays off only when much of the
   *   chunk is left.
   * @param key - Little-endian.
   */
  unmask(bytes: Uint8Array, start: number, end: number, lim: number, key: number): void {
    const n = end - start;
    if (this.#words !== undefined && n >= WORDS_FROM && n < STAGE_FROM) {
      xorOwned(bytes, this.#words, this.#misalignment, start, end, key);
    } else if (this.#address >= 0 && n >= SIMD_FROM) {
      this.#simd!.xor(this.#address + start, this.#address + end, key);
    } else if (
      n < WORDS_FROM ||
      lim - start < (n < SHORT_FRAME ? SHORT_FRAME_VIEW_AHEAD : VIEW_AHEAD)
    ) {
      xorBytes(bytes, start, end, key);
    } else {
      this.#unmaskAfterLookup(bytes, start, end, key);
    }
  }

  /** The same, when the place of the chunk is unknown or the view of words does not exist yet. */
  #unmaskAfterLookup(bytes: Uint8Array, start: number, end: number, key: number): void {
    const fast = end - start >= STAGE_FROM ? simd() : existingSimd();
    this.#simd = fast;
    if (fast !== undefined && bufferOf(bytes) === fast.buffer) {
      this.#address = byteOffsetOf(bytes);
      fast.xor(this.#address + start, this.#address + end, key);
    } else if (fast !== undefined && end - start >= STAGE_FROM) {
      fast.xorForeign(bytes, start, end, key);
    } else {
      if (this.#words === undefined) {
        this.#words = bytes === this.#memory.bytes ? this.#memory.words : wordsOver(bytes);
        this.#misalignment = misalignmentOf(bytes);
      }
      xorOwned(bytes, this.#words, this.#misalignment, start, end, key);
    }
  }
}
