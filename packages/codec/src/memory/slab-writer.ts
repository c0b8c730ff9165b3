import { callRelease, takeSlab } from '../callbacks.ts';
import {
  misalignmentOf,
  swap,
  type Words,
  wordsOver,
  xorBytes,
  xorOwned,
} from '../masking/mask.ts';
import { existingSimd, type Simd } from '../masking/simd.ts';
import { WORDS_FROM } from '../masking/size-thresholds.ts';
import { copyInto, copyRange, VIEW_FROM } from './copy.ts';
import { Segments } from './segments.ts';
import { LARGEST_SLAB, NO_BYTES, type Slab, type SlabSource } from './slab.ts';

const NONE = -1;
/** A constant: reading `buffer` calls the runtime. */
const NO_BUFFER = NO_BYTES.buffer;
const NO_VIEW = new DataView(NO_BUFFER);

/**
 * The slab that an encoder fills, and the segments that were sealed before it. An encoder reserves
 * room, writes to `bytes` or `view` from `pos` on, and moves `pos`.
 */
export class SlabWriter {
  /** Memory of the slab: its bytes `[0, pos)` will be a segment. Empty while there is none. */
  bytes: Uint8Array = NO_BYTES;
  /** The same memory, for stores of more than one byte. */
  view: DataView = NO_VIEW;
  /** Index for the next byte. */
  pos = 0;
  /** Index where the room ends. */
  limit = 0;
  readonly sealed: Segments = new Segments();

  // Plain fields, not `#`: see `FrameEncoder`, which has the measurement.
  private simd: Simd | undefined = undefined;
  /** Place of the slab in the SIMD memory, or NONE. */
  private address = NONE;
  /**
   * The payload of the last {@link fill}, and its place. Reading `buffer` calls the runtime, so it is
   * cached: most payloads of a turn are ranges of one chunk.
   */
  private source: Uint8Array = NO_BYTES;
  private sourceBuffer: ArrayBufferLike = NO_BUFFER;
  private sourceOffset = 0;
  readonly #pool: SlabSource;
  readonly #firstSlab: number;
  readonly #masks: boolean;
  #slab: Slab | undefined = undefined;
  #words: Words | undefined = undefined;
  #misalignment = 0;
  /**
   * Index of the first byte in the slab that begins a frame. NONE while the slab continues a frame.
   */
  #boundary = 0;
  /**
   * The next first slab has room for this many bytes: a turn is often as large as the turn before.
   * Without this a turn of 16 messages of 1 KiB moves its bytes twice, a tenth of its cost.
   */
  #expected = 0;

  /**
   * @param pool - Source of the slabs.
   * @param firstSlab - Smallest size in bytes of a slab that is leased while there is none.
   * @param masks - Whether {@link mask} will be called with keys other than 0.
   */
  constructor(pool: SlabSource, firstSlab: number, masks: boolean) {
    this.#pool = pool;
    this.#firstSlab = firstSlab;
    this.#masks = masks;
  }

  /**
   * Makes room for `need` more bytes, if there is less: a larger slab with the same contents, or a
   * new one.
   */
  reserve(need: number): void {
    if (this.limit - this.pos >= need) return;
    const old = this.#slab;
    const { bytes } = this;
    if (old === undefined || this.pos + need > LARGEST_SLAB) {
      this.seal();
      const least = old === undefined ? Math.max(this.#firstSlab, this.#expected) : bytes.length;
      this.#lease(Math.max(need, least));
      return;
    }
    // Doubled: a pool may lease exactly the requested size, and would be asked at every frame.
    this.#lease(Math.min(LARGEST_SLAB, Math.max(this.pos + need, 2 * bytes.length)));
    // Copies the whole slab, although only a part is used: a view would be garbage, and this
    // happens a few times per segment at most.
    copyInto(this.bytes, bytes, 0);
    callRelease(old.release);
  }

  /** Continues a frame in a new slab. */
  nextSlab(): void {
    this.seal();
    this.#lease(LARGEST_SLAB);
    this.#boundary = NONE;
  }

  /**
   * Ends a frame of several slabs. The next frame begins at `pos`: records that for a slab that
   * continued the frame.
   */
  endLarge(): void {
    if (this.#boundary === NONE) this.#boundary = this.pos;
  }

  /**
   * Removes the bytes that were appended after `pos` was `from` in the slab of segment `segment`.
   */
  undo(segment: number, from: number): void {
    this.seal();
    this.sealed.cut(segment, from);
  }

  /**
   * Copies `payload[start, end)` to `at` and masks it there. The caller has reserved the room.
   * `key` is big-endian.
   */
  fill(at: number, payload: Uint8Array, start: number, end: number, key: number): void {
    const n = end - start;
    if (n < VIEW_FROM || n === payload.length) copyRange(this.bytes, payload, start, end, at);
    else copyInto(this.bytes, this.viewOf(payload, start, n), at);
    this.mask(at, at + n, key);
  }

  private viewOf(payload: Uint8Array, start: number, n: number): Uint8Array {
    if (this.source !== payload) {
      this.source = payload;
      this.sourceBuffer = payload.buffer;
      this.sourceOffset = payload.byteOffset;
    }
    return new Uint8Array(this.sourceBuffer, this.sourceOffset + start, n);
  }

  /** Masks `[start, end)` of the slab. `key` is big-endian. */
  mask(start: number, end: number, key: number): void {
    if (key === 0) return;
    const { address } = this;
    if (address >= 0) this.simd!.xor(address + start, address + end, swap(key));
    else this.maskWithoutSimd(start, end, swap(key));
  }

  /** Turns the contents of the slab into a segment. */
  seal(): void {
    const slab = this.#slab;
    if (slab === undefined) return;
    // Decays by half: connections with small and with large turns share an encoder.
    this.#expected = Math.max(this.pos, this.#expected >> 1);
    // Nothing was written to a slab that was leased for a frame which was then rejected.
    const unused = this.pos === 0;
    if (!unused) {
      const boundary = this.#boundary === NONE ? this.pos : this.#boundary;
      this.sealed.push(this.bytes, 0, this.pos, boundary, slab.release);
    }
    this.source = NO_BYTES;
    this.sourceBuffer = NO_BUFFER;
    this.#slab = undefined;
    this.bytes = NO_BYTES;
    this.view = NO_VIEW;
    this.#words = undefined;
    this.address = NONE;
    this.pos = 0;
    this.limit = 0;
    this.#boundary = 0;
    if (unused) callRelease(slab.release);
  }

  private maskWithoutSimd(start: number, end: number, key: number): void {
    if (end - start < WORDS_FROM) {
      xorBytes(this.bytes, start, end, key);
      return;
    }
    if (this.#words === undefined) {
      this.#words = this.#slab!.words ?? wordsOver(this.bytes);
      this.#misalignment = misalignmentOf(this.bytes);
    }
    xorOwned(this.bytes, this.#words, this.#misalignment, start, end, key);
  }

  #lease(least: number): void {
    const slab = takeSlab(this.#pool, least, this.#masks);
    const { bytes } = slab;
    this.#slab = slab;
    this.bytes = bytes;
    this.view = slab.view ?? new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.limit = Math.min(bytes.length, LARGEST_SLAB);
    this.#words = undefined;
    this.address = NONE;
    if (!this.#masks) return;
    // A slab is in the SIMD memory only when that exists.
    this.simd = existingSimd();
    if (bytes.buffer === this.simd?.buffer) this.address = bytes.byteOffset;
  }
}
