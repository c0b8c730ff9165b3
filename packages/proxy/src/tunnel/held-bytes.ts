/** First size in bytes. */
const FIRST = 256;

/** The start of a frame whose rest has not arrived. Its memory grows with the bytes and is copied. */
export class HeldBytes {
  length = 0;
  #bytes: Buffer = Buffer.allocUnsafeSlow(0);

  /** The bytes; valid until the next call of `append`. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.length);
  }

  append(chunk: Uint8Array, start: number, end: number): void {
    const length = this.length + end - start;
    if (length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#bytes.length, FIRST));
      larger.set(this.bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(chunk.subarray(start, end), this.length);
    this.length = length;
  }

  /** Returns the bytes, which the caller owns now, and starts empty. */
  take(): Buffer {
    const { bytes } = this;
    this.#bytes = Buffer.allocUnsafeSlow(0);
    this.length = 0;
    return bytes;
  }
}
