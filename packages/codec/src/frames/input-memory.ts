import { integer } from '../arguments.ts';
import { bufferOf, lengthOf, viewOf } from '../byte-facts.ts';
import { copyRange, xorCopy } from '../masking/copy.ts';
import { type Words, wordsOver } from '../masking/mask.ts';
import {
  callRelease,
  LARGEST_SLAB,
  NO_BYTES,
  type OwnedBytes,
  type Slab,
  type SlabSource,
  takeSlab,
} from '../memory/slab.ts';

/** Longest tail in bytes: a frame of 4 KiB with its header, rounded up. */
export const MAX_TAIL = 4112;
/** Largest first size of the landing place: larger reads are not faster. */
const MAX_READ_BUFFER = 1_048_576;
/** Below this many bytes a loop copies faster than `set` with a new view. It leaves no garbage. */
const VIEW_FROM = 2048;

/**
 * The memory of a decoder's input. The tail is the cut-off frame at the end of a chunk: its bytes are
 * kept here. The next chunk completes it, and is not copied: the tail takes only the bytes that it
 * lacks. Then the decoder reads the rest of the chunk in place. Linear, in one slab:
 *
 *     [ headroom ...... tail | landing place ...... ]
 *                            ^ base
 *
 * The tail always ends at `base`: its bytes are moved there. The move is cheaper than a wrapped
 * index, which slows every byte read. New bytes land after the tail, so the input is always one
 * piece. Without {@link writable} there is no landing place, and no slab while there is no tail.
 */
export class InputMemory {
  readonly #pool: SlabSource;
  readonly #firstSize: number;
  readonly #masked: boolean;
  #slab: Slab | undefined;
  #landing: Uint8Array = NO_BYTES;
  #filled = false;
  /** The memory; empty while none is held. */
  bytes: Uint8Array = NO_BYTES;
  /** Index where the tail ends and the landing place begins. */
  base = 0;
  /** Length of the tail in bytes. */
  size = 0;
  /** Length in bytes up to which the tail has to grow. */
  #need = 0;
  /** The chunk that completes the tail. Its bytes `[chunkPos, chunkEnd)` are unread. */
  chunk: Uint8Array = NO_BYTES;
  chunkPos = 0;
  chunkEnd = 0;

  /**
   * @param pool - Source of the slab.
   * @param firstSize - Smallest first size of the landing place, in bytes.
   * @param masked - Whether frames are masked. They are unmasked in the landing place.
   * @throws RangeError for a `firstSize` that the option `readBufferSize` does not have.
   */
  constructor(pool: SlabSource, firstSize: number, masked: boolean) {
    integer('readBufferSize', firstSize, 1, MAX_READ_BUFFER);
    this.#pool = pool;
    this.#firstSize = firstSize;
    this.#masked = masked;
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

  /**
   * Keeps `bytes[pos, lim)` as the tail. They are in this memory already, or they follow the tail.
   *
   * @param need - Length in bytes up to which the tail has to grow, as far as its frame is known.
   * @throws TypeError when `bytes` were detached or have shrunk.
   */
  keep(bytes: Uint8Array, pos: number, lim: number, need: number): void {
    if (pos === lim) return;
    this.#require(need);
    checkChunk(bytes, lim);
    if (bytes !== this.bytes) return this.#append(bytes, pos, lim);
    this.size = lim - pos;
    this.bytes.copyWithin(this.base - this.size, pos, lim);
  }

  /** As {@link keep}, for the tail as it is. Returns whether the chunk has bytes for it. */
  canGrow(need: number): boolean {
    this.#require(need);
    return this.unread > 0;
  }

  /** Unread bytes of the chunk. */
  get unread(): number {
    return this.chunkEnd - this.chunkPos;
  }

  /** A view of them. */
  get rest(): Uint8Array {
    return viewOfChunk(this.chunk, this.chunkPos, this.chunkEnd);
  }

  /** A copy of the tail, if it is wanted, of `input`, and of the {@link rest}. */
  joined(withTail: boolean, input: Uint8Array): OwnedBytes {
    const tail = viewOf(this.bytes, withTail ? this.base - this.size : this.base, this.base);
    const all = new Uint8Array(tail.length + input.length + this.unread);
    all.set(tail);
    all.set(input, tail.length);
    all.set(this.rest, tail.length + input.length);
    return all;
  }

  /** Sets the chunk to `chunk[pos, end)`. */
  setChunk(chunk: Uint8Array, pos: number, end: number): void {
    this.chunk = chunk;
    this.chunkPos = pos;
    this.chunkEnd = end;
  }

  dropChunk(): void {
    this.setChunk(NO_BYTES, 0, 0);
  }

  /** A masked header has at least six bytes: one pass over them is faster than two. */
  #require(need: number): void {
    this.#need = this.#masked ? Math.max(need, 6) : need;
  }

  /**
   * Takes bytes of the chunk until the tail has all that its frame needs, or the chunk ends.
   *
   * @throws TypeError when the chunk was detached or has shrunk.
   */
  fill(): void {
    const from = this.chunkPos;
    checkChunk(this.chunk, this.chunkEnd);
    const to = Math.min(from + this.#need - this.size, this.chunkEnd);
    this.#append(this.chunk, from, to);
    this.chunkPos = to;
  }

  /** Appends `from[start, end)` to the tail. */
  #append(from: Uint8Array, start: number, end: number): void {
    const n = end - start;
    if (n === 0) return;
    if (this.base < this.#need) this.#move(this.#need, -1);
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
    const slab = takeSlab(this.#pool, capacity, base !== -1 && this.#masked);
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

/** @throws TypeError when `chunk` no longer has the bytes `[0, end)`. */
export function checkChunk(chunk: Uint8Array, end: number): void {
  if (lengthOf(chunk) < end) throw missingChunk(chunk);
}

/** @throws As {@link checkChunk}. */
export function viewOfChunk(chunk: Uint8Array, start: number, end: number): Uint8Array {
  checkChunk(chunk, end);
  return viewOf(chunk, start, end);
}

/** The error for a chunk that lost bytes before all its frames were read. */
export function missingChunk(chunk: Uint8Array): TypeError {
  return new TypeError(
    bufferOf(chunk).byteLength > 0
      ? 'the buffer of a received chunk has shrunk; resize it after all frames were read'
      : 'the buffer of a received chunk was detached; transfer a copy of a message: data.slice()',
  );
}
