import type { ReceiveRing } from '../memory/ring.ts';
import { NO_BYTES } from '../memory/slab.ts';
import { isControl, MAX_CONTROL_PAYLOAD } from '../protocol.ts';
import { extendedLengthSize, readLength } from './header.ts';

/**
 * The cut-off frame at the end of a chunk, which is kept in the ring, and the next chunk, which
 * completes it. The next chunk is not copied: the tail takes only the bytes that it lacks. Then the
 * decoder reads the rest of the chunk in place.
 */
export class Tail {
  /** The chunk that completes the tail. Its bytes from {@link chunkPos} on are unread. */
  chunk: Uint8Array = NO_BYTES;
  chunkPos = 0;
  readonly #ring: ReceiveRing;
  readonly #keySize: number;
  readonly #holdLimit: number;

  /**
   * @param ring - Keeps the bytes.
   * @param keySize - Size in bytes of a masking key: 4, or 0 for frames that are not masked.
   * @param holdLimit - Largest data frame that is held, in bytes with its header.
   */
  constructor(ring: ReceiveRing, keySize: number, holdLimit: number) {
    this.#ring = ring;
    this.#keySize = keySize;
    this.#holdLimit = holdLimit;
  }

  /**
   * Keeps `bytes[pos, lim)`. `need` is the largest size that the tail will have, as far as it is
   * known.
   *
   * @throws TypeError when the buffer of `bytes` was detached.
   */
  keep(bytes: Uint8Array, pos: number, lim: number, need: number): void {
    if (pos === lim) return;
    if (bytes[pos] === undefined) throw detachedChunk();
    if (bytes === this.#ring.bytes) this.#ring.keep(pos, lim);
    else this.#ring.append(bytes, pos, lim, need);
  }

  /**
   * Takes bytes of the chunk: the header, then the rest of the frame if the frame is to be held. It
   * checks no rule; `FrameDecoder.next` does.
   */
  complete(): void {
    if (!this.#fill(2)) return;
    const lengthSize = extendedLengthSize(this.#byte(1));
    const headerSize = 2 + lengthSize + this.#keySize;
    if (!this.#fill(headerSize)) return;
    const { bytes, base, size } = this.#ring;
    const length = readLength(bytes, base - size + 1, lengthSize);
    const most = isControl(this.#byte(0)) ? headerSize + MAX_CONTROL_PAYLOAD : this.#holdLimit;
    if (headerSize + length <= most) this.#fill(headerSize + length);
  }

  #byte(i: number): number {
    const { bytes, base, size } = this.#ring;
    return bytes[base - size + i]!;
  }

  /**
   * Takes bytes of the chunk until the tail has `size` bytes. False: the chunk ended before that.
   */
  #fill(size: number): boolean {
    const missing = size - this.#ring.size;
    if (missing <= 0) return true;
    const from = this.chunkPos;
    const n = Math.min(missing, this.chunk.length - from);
    this.#ring.append(this.chunk, from, from + n, size);
    this.chunkPos = from + n;
    return n === missing;
  }
}

/** The error for a chunk that was transferred to another thread before all its frames were read. */
export function detachedChunk(): TypeError {
  return new TypeError(
    'the buffer of a received chunk was detached; transfer a copy of a message: data.slice()',
  );
}
