import type { FrameDecoder } from '@ws/codec';
import { copyOf } from './copy.ts';
import { Lease } from './lease.ts';

/**
 * The announced length is trusted up to this many times the received bytes. A message of 1 MiB
 * that comes in chunks of 64 KiB is not moved.
 */
const BELIEVED = 16;

/**
 * Assembles a message that is not whole in one chunk. A header alone takes no memory. Memory
 * doubles with the bytes that have arrived. It grows further, to at most 16 times the received
 * bytes, only when the header announces that much and the pool has free memory.
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

  /** Whether a frame of {@link expect} is not complete. */
  get incomplete(): boolean {
    return this.length < this.#expected;
  }

  /**
   * Lets `decoder` write the next piece of an {@link incomplete} frame directly into the buffer.
   * Does nothing while no further byte has arrived: call it again with the next chunk.
   */
  offer(decoder: FrameDecoder): void {
    const { available } = decoder;
    if (available === 0) return;
    if (this.#isFull()) this.#grow(this.length + available);
    decoder.assembleInto(this.#lease!.bytes, this.length);
  }

  /** The decoder wrote `bytes` to the place of {@link offer}. */
  arrived(bytes: number): void {
    this.length += bytes;
  }

  /** Adds a copy of the whole fragment `bytes[start, end)`. */
  append(bytes: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    const length = this.length + end - start;
    this.expect(end - start);
    if (this.#lease === undefined || length > this.#lease.bytes.length) this.#grow(length);
    this.#lease!.bytes.set(bytes.subarray(start, end), this.length);
    this.length = length;
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

  #isFull(): boolean {
    return this.#lease === undefined || this.length === this.#lease.bytes.length;
  }

  /**
   * Moves the message to memory for at least the `arrived` bytes. The pool rounds up to a power of
   * two, so memory doubles.
   */
  #grow(arrived: number): void {
    const grown =
      Lease.acquireFree(Math.min(this.#expected, arrived * BELIEVED)) ?? Lease.acquire(arrived);
    const lease = this.#lease;
    this.#lease = grown;
    if (lease === undefined) return;
    grown.bytes.set(lease.bytes.subarray(0, this.length));
    lease.release();
  }
}
