const PING = 0x89;
/** RFC 6455, section 5.5: the header and the most that a control frame carries. */
const MAX_PING = 2 + 125;

/**
 * What a connection is to get, known to the last byte: replies of one size, one after the other and then from the first
 * again. A chunk is compared with it as a whole, which is cheap enough to be done while it is measured.
 */
export class EchoStream {
  /** Payloads of pings that came in between; to be taken out. */
  readonly pings: Buffer[] = [];
  /** Bytes of replies that were as they should be. */
  bytes = 0;
  readonly #ring: Buffer;
  readonly #size: number;
  #at: number;
  /** The beginning of a ping that has not come as a whole. */
  #ping: Buffer | undefined;

  /**
   * @param ring - All replies.
   * @param size - Bytes of each of them.
   * @param first - The number of the first reply.
   */
  constructor(ring: Buffer, size: number, first: number) {
    this.#ring = ring;
    this.#size = size;
    this.#at = first * size;
  }

  /**
   * @returns How many replies are complete with this chunk.
   * @throws Error when a byte differs.
   */
  push(chunk: Buffer): number {
    const before = Math.floor(this.bytes / this.#size);
    let from = 0;
    while (from < chunk.length) {
      from += this.#isPing(chunk, from) ? this.#takePing(chunk, from) : this.#compare(chunk, from);
    }
    return Math.floor(this.bytes / this.#size) - before;
  }

  /** Between two replies a server may ask whether we are there. */
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
      // A ping may stand behind this reply: frame by frame, as long as it lasts.
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
