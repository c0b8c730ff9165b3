import { FrameHeader, MaskKeys, unmask } from '@ws/codec';

const keys = new MaskKeys((words) => crypto.getRandomValues(words));

/**
 * The client's half of a proxy: forwards the frames of a client to a server as they are, each with a
 * new mask. Payloads are changed in place, and never copied. It checks no rule: the server does.
 */
export class Forwarder {
  readonly #header = new FrameHeader();
  /** The bytes so far of a header that is cut. */
  readonly #part = new Uint8Array(14);
  #size = 0;
  /** Bytes of the payload that have not arrived. */
  #missing = 0;
  /** Old key ^ new key, for the next byte of payload. */
  #change = 0;

  /**
   * Calls `write` with the bytes to forward, in order: views of `chunk`, and copies of cut headers.
   *
   * @throws ProtocolError for a header of 2^53 bytes or more.
   */
  push(chunk: Uint8Array, write: (bytes: Uint8Array) => void): void {
    let at = this.#size === 0 ? 0 : this.#completeHeader(chunk, write);
    const start = at;
    while (at < chunk.length) {
      const end = Math.min(chunk.length, at + this.#missing);
      this.#change = unmask(chunk, at, end, this.#change);
      this.#missing -= end - at;
      at = end;
      if (at === chunk.length) break;
      const size = this.#header.read(chunk, at);
      if (size === 0) break;
      this.#remask(chunk, at);
      at += size;
    }
    if (at > start) write(chunk.subarray(start, at));
    for (; at < chunk.length; at++) this.#part[this.#size++] = chunk[at]!;
  }

  /** Returns the number of bytes of `chunk` that it has used. */
  #completeHeader(chunk: Uint8Array, write: (bytes: Uint8Array) => void): number {
    for (let at = 0; at < chunk.length; ) {
      this.#part[this.#size++] = chunk[at++]!;
      if (this.#header.read(this.#part, 0, this.#size) === 0) continue;
      this.#remask(this.#part, 0);
      write(this.#part.slice(0, this.#size));
      this.#size = 0;
      return at;
    }
    return chunk.length;
  }

  /** Gives the frame whose header was read another key. */
  #remask(bytes: Uint8Array, at: number): void {
    const header = this.#header;
    // The server refuses a frame without a mask.
    const key = header.masked ? keys.next() : 0;
    this.#change = header.maskKey ^ key;
    header.maskKey = key;
    header.write(bytes, at);
    this.#missing = header.length;
  }
}
