import type { FrameDecoder } from '@ws/codec';
import { copyOf } from './copy.ts';
import { Lease } from './lease.ts';

/** The most bytes of a message's first buffer: the announced length is not trusted yet. */
const FIRST = 65_536;
/**
 * The announced length is trusted up to this many times the received bytes. A message of 1 MiB is
 * moved once.
 */
const BELIEVED = 16;

/**
 * Assembles a message that is not whole in one chunk. Memory doubles with the bytes that have
 * arrived. It grows further, to at most 16 times the received bytes, only when the header announces
 * that much and the pool has free memory.
 */
export class FragmentBuffer {
  /** Bytes so far. */
  length = 0;
  #expected = 0;
  #lease: Lease | undefined;

  /** A frame with `bytes` of payload follows in pieces. */
  expect(bytes: number): void {
    this.#expected = this.length + bytes;
  }

  /** Lets `decoder` write the next piece directly into the buffer. */
  offer(decoder: FrameDecoder): void {
    if (this.length === this.#expected) return;
    decoder.assembleInto(this.#room(1), this.length);
  }

  /** The decoder wrote `bytes` to the place of {@link offer}. */
  arrived(bytes: number): void {
    this.length += bytes;
  }

  /** Adds a copy of the whole fragment `bytes[start, end)`. */
  append(bytes: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    this.expect(end - start);
    this.#room(end - start).set(bytes.subarray(start, end), this.length);
    this.length += end - start;
  }

  /**
   * Returns the message, at the start of the lease, and empties the buffer; undefined for an empty
   * message.
   */
  complete(): Lease | undefined {
    const lease = this.#lease;
    this.#lease = undefined;
    this.length = 0;
    this.#expected = 0;
    return lease;
  }

  drop(): void {
    this.complete()?.release();
  }

  /** Moves the received part out of pooled memory: the rest of the message may never arrive. */
  moveOutOfPools(): void {
    const lease = this.#lease;
    if (lease === undefined) return;
    this.#lease = Lease.of(copyOf(lease.bytes, 0, this.length));
    lease.release();
  }

  #room(bytes: number): Uint8Array {
    const needed = this.length + bytes;
    const lease = this.#lease;
    if (lease === undefined) {
      this.#lease = Lease.acquire(Math.max(needed, Math.min(this.#expected, FIRST)));
    } else if (needed > lease.bytes.length) {
      const grown =
        Lease.acquireFree(Math.max(needed, Math.min(this.#expected, this.length * BELIEVED))) ??
        Lease.acquire(Math.max(needed, lease.bytes.length * 2));
      grown.bytes.set(lease.bytes.subarray(0, this.length));
      this.#lease = grown;
      lease.release();
    }
    return this.#lease!.bytes;
  }
}
