/** Bytes of several chunks as one. Chunks of a byte would cost 200 bytes each. */
export class GatheredBytes {
  /** Its first `length` bytes are gathered. */
  #bytes: Uint8Array;
  #length: number;
  /** Whether this object may write to `#bytes`. */
  #isOwned = false;

  /** @param first - Referenced, not changed. */
  constructor(first: Uint8Array) {
    this.#bytes = first;
    this.#length = first.length;
  }

  get length(): number {
    return this.#length;
  }

  /** Adds a chunk. The first one is referenced. */
  append(chunk: Uint8Array): void {
    const length = this.#length + chunk.length;
    if (this.#length === 0) {
      this.#bytes = chunk;
      this.#isOwned = false;
    } else {
      if (!this.#isOwned || length > this.#bytes.length) this.#grow(length);
      this.#bytes.set(chunk, this.#length);
    }
    this.#length = length;
  }

  /** Returns all bytes in order, as memory that the caller may change, and forgets them. */
  take(): Uint8Array {
    const bytes = this.#bytes.subarray(0, this.#length);
    const taken = this.#isOwned ? bytes : new Uint8Array(bytes);
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
    this.#isOwned = false;
    return taken;
  }

  /** Doubles, so that `needed` bytes take at most twice their size. */
  #grow(needed: number): void {
    // A message may be a view of it, so no other memory may be behind that view.
    const bytes = Buffer.alloc(Math.max(needed, 2 * this.#length));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#isOwned = true;
  }
}
