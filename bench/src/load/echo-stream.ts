import { differenceOf } from './difference.ts';
import type { Pieces } from './pieces.ts';

const PING = 0x89;
/** Largest ping in bytes: header and payload (RFC 6455, section 5.5). */
const MAX_PING = 2 + 125;

/**
 * The expected bytes of a connection: known replies, repeated in order. Each chunk is compared as a
 * whole, which is cheap enough during a measurement.
 */
export class EchoStream {
  /** Payloads of received pings. The caller removes them. */
  readonly pings: Buffer[] = [];
  /** Bytes of correct replies. */
  bytes = 0;
  readonly #ring: Buffer;
  readonly #offsets: Uint32Array;
  /** Number of the next reply in the ring. */
  #next: number;
  #at: number;
  /** The start of an incomplete ping. */
  #ping: Buffer | undefined;

  /** @param first - Number of the first reply. */
  constructor({ bytes, offsets }: Pieces, first: number) {
    this.#ring = bytes;
    this.#offsets = offsets;
    this.#next = first;
    this.#at = offsets[first]!;
  }

  /**
   * @returns Number of replies that this chunk completes.
   * @throws Error for a byte that differs.
   */
  push(chunk: Buffer): number {
    let replies = 0;
    let from = 0;
    while (from < chunk.length) {
      if (this.#isPing(chunk, from)) {
        from += this.#takePing(chunk, from);
        continue;
      }
      from += this.#compare(chunk, from);
      replies += this.#complete();
    }
    return replies;
  }

  /** A server may send a ping between two replies. */
  #isPing(chunk: Buffer, from: number): boolean {
    if (this.#ping !== undefined) return true;
    const between = this.#at === this.#offsets[this.#next];
    return between && chunk[from] === PING && this.#ring[this.#at] !== PING;
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
      length = Math.min(length, this.#offsets[this.#next + 1]! - this.#at);
      if (!this.#equals(chunk, from, length)) {
        throw this.#mismatch(chunk, from);
      }
    }
    this.bytes += length;
    this.#at += length;
    return length;
  }

  /** The frame of the reply, as expected and as received. */
  #mismatch(chunk: Buffer, from: number): Error {
    const [start, end] = [this.#offsets[this.#next]!, this.#offsets[this.#next + 1]!];
    const expected = this.#ring.subarray(start, end);
    // The bytes before this chunk were equal.
    const got = Buffer.concat([this.#ring.subarray(start, this.#at), chunk.subarray(from)]);
    return new Error(
      `the frame of the reply to message ${this.#next} ${closeIn(got)}${differenceOf(got, expected)}`,
    );
  }

  #equals(chunk: Buffer, from: number, length: number): boolean {
    return chunk.compare(this.#ring, this.#at, this.#at + length, from, from + length) === 0;
  }

  /** Number of replies that end at or before the current place. */
  #complete(): number {
    let replies = 0;
    while (this.#offsets[this.#next + 1]! <= this.#at) {
      this.#next++;
      replies++;
      if (this.#next === this.#offsets.length - 1) {
        this.#next = 0;
        this.#at = 0;
      }
    }
    return replies;
  }
}

/** Names a close frame, which differs from every reply. */
function closeIn(got: Uint8Array): string {
  if (got[0] !== 0x88) return '';
  const code = got.length < 4 ? 1005 : (got[2]! << 8) | got[3]!;
  return `is a close frame with ${code}, and `;
}
