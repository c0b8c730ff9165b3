import { callRelease, takeSlab } from '../callbacks.ts';
import { copyInto } from '../memory/copy.ts';
import { Segments } from '../memory/segments.ts';
import { LARGEST_SLAB, type Slab, type SlabSource } from '../memory/slab.ts';
import { FrameWriter, type WriteUtf8 } from './frame-writer.ts';

const NONE = -1;

/**
 * The slab that an encoder fills, and the segments that were sealed before it. An encoder reserves
 * room and writes frames.
 */
export class SlabWriter extends FrameWriter {
  readonly sealed: Segments = new Segments();
  readonly #pool: SlabSource;
  readonly #firstSlab: number;
  #lease: Slab | undefined = undefined;
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
   */
  constructor(
    pool: SlabSource,
    firstSlab: number,
    nextKey: (() => number) | undefined,
    writeUtf8: WriteUtf8,
  ) {
    super(nextKey, writeUtf8);
    this.#pool = pool;
    this.#firstSlab = firstSlab;
  }

  /**
   * Makes room for `need` more bytes, if there is less: a larger slab with the same contents, or a
   * new one.
   */
  reserve(need: number): void {
    if (this.limit - this.pos >= need) return;
    const old = this.#lease;
    const { bytes } = this;
    if (old === undefined || this.pos + need > LARGEST_SLAB) {
      this.seal();
      const least = old === undefined ? Math.max(this.#firstSlab, this.#expected) : bytes.length;
      this.#take(Math.max(need, least));
      return;
    }
    // Doubled: a pool may lease exactly the requested size, and would be asked at every frame.
    this.#take(Math.min(LARGEST_SLAB, Math.max(this.pos + need, 2 * bytes.length)));
    // Copies the whole slab, although only a part is used: a view would be garbage, and this
    // happens a few times per segment at most.
    copyInto(this.bytes, bytes, 0);
    callRelease(old.release);
  }

  /** Continues a frame in a new slab. */
  nextSlab(): void {
    this.seal();
    this.#take(LARGEST_SLAB);
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

  /** Turns the contents of the slab into a segment. */
  seal(): void {
    const slab = this.#lease;
    if (slab === undefined) return;
    // Decays by half: connections with small and with large turns share an encoder.
    this.#expected = Math.max(this.pos, this.#expected >> 1);
    // Nothing was written to a slab that was leased for a frame which was then rejected.
    const unused = this.pos === 0;
    if (!unused) {
      const boundary = this.#boundary === NONE ? this.pos : this.#boundary;
      this.sealed.push(this.bytes, 0, this.pos, boundary, slab.release);
    }
    this.leave();
    this.#lease = undefined;
    this.#boundary = 0;
    if (unused) callRelease(slab.release);
  }

  #take(least: number): void {
    const slab = takeSlab(this.#pool, least, this.nextKey !== undefined);
    this.#lease = slab;
    this.use(slab);
  }
}
