const PING = 0x89;
/** Largest ping in bytes: header and payload (RFC 6455, section 5.5). */
const MAX_PING = 2 + 125;

/**
 * The expected bytes of a connection: replies of one size, repeated in order. Each chunk is
 * compared as a whole, which is cheap enough during a measurement.
 */
export class EchoStream {
  /** Payloads of received pings. The caller removes them. */
  readonly pings: Buffer[] = [];
  /** Bytes of correct replies. */
  bytes = 0;
  readonly #ring: Buffer;
  readonly #size: number;
  #at: number;
  /** The start of an incomplete ping. */
  #ping: Buffer | undefined;

  /**
   * @param ring - All replies.
   * @param size - Bytes of each reply.
   * @param first - Number of the first reply.
   */
  constructor(ring: Buffer, size: number, first: number) {
    this.#ring = ring;
    this.#size = size;
    this.#at = first * size;
  }

  /**
   * @returns Number of replies that this chunk completes.
   * @throws Error for a byte that differs.
   */
  push(chunk: Buffer): number {
    const before = Math.floor(this.bytes / this.#size);
    let from = 0;
    while (from < chunk.length) {
      from += this.#isPing(chunk, from) ? this.#takePing(chunk, from) : this.#compare(chunk, from);
    }
    return Math.floor(this.bytes / this.#size) - before;
  }

  /** A server may send a ping between two replies. */
  #isPing(chunk: Buffer, from: number): boolean {
    if (this.#ping !== undefined) return true;
    return this.#at % this.#size === 0 && chunk[from] === PING && this.#ring[this.#at] !== PING;
  }

  #takePing(chunk: Buffer, from: number): number {
    const known = this.#ping?.length ?? 0;
    const ping = Buffer.concat([
      this.#ping ?? chunk.subarray(0, 0),
      chunk.subarray(from, from + MAX_PING),
    ]);
    const end = ping.length < 2 ? MAX_PING : 2 + ping[1]!;
    if (ping.length < end) {
      this.#ping = ping;
      return chunk.length - from;
    }
    this.#ping = undefined;
    this.pings.push(ping.subarray(2, end));
    return end - known;
  }

  #compare(chunk: Buffer, from: number): number {
    let length = Math.min(chunk.length - from, this.#ring.length - this.#at);
    if (!this.#equals(chunk, from, length)) {
      // A ping may follow this reply, so compare this reply alone.
      length = Math.min(length, this.#size - (this.#at % this.#size));
      if (!this.#equals(chunk, from, length)) {
        throw new Error(`the reply to message ${Math.floor(this.#at / this.#size)} differs`);
      }
    }
    this.bytes += length;
    this.#at = (this.#at + length) % this.#ring.length;
    return length;
  }

  #equals(chunk: Buffer, from: number, length: number): boolean {
    return chunk.compare(this.#ring, this.#at, this.#at + length, from, from + length) === 0;
  }
}
