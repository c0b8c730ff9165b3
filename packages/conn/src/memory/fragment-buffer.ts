import type { FrameDecoder } from '@ws/codec';
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
 *
 * The frame decoder may write straight into the memory. Only this class sets and clears the
 * decoder's target, together with the lease: the decoder never points to released memory.
 */
export class FragmentBuffer {
  /** Bytes so far. */
  length = 0;
  readonly #frames: FrameDecoder | undefined;
  #expected = 0;
  #lease: Lease | undefined;
  #pooled = true;

  /** @param frames - Decodes the frames that {@link offer} assembles. */
  constructor(frames?: FrameDecoder) {
    this.#frames = frames;
  }

  /** A frame with `bytes` of payload follows in pieces. */
  expect(bytes: number): void {
    this.#expected = this.length + bytes;
  }

  /** Whether a frame of {@link expect} is not complete. */
  get incomplete(): boolean {
    return this.length < this.#expected;
  }

  /**
   * Lets the frame decoder write the next piece of an {@link incomplete} frame directly into the
   * buffer. Does nothing while no further byte has arrived: call it again with the next chunk.
   */
  offer(): void {
    const frames = this.#frames!;
    const { available } = frames;
    if (available === 0) return;
    if (this.#isFull()) this.#grow(this.length + available);
    frames.assembleInto(this.#lease!.bytes, this.length);
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
    const lease = this.#replace(undefined);
    this.length = 0;
    this.#expected = 0;
    return lease;
  }

  drop(): void {
    this.complete()?.release();
  }

  /** Takes memory from the pools again: another connection uses this buffer. */
  usePools(): void {
    this.#pooled = true;
  }

  /**
   * Takes no more memory from the pools, and moves the received bytes out of them: the connection
   * has ended, and its messages may never be read.
   */
  leavePools(): void {
    this.#pooled = false;
    if (this.#lease === undefined) return;
    this.#move(Lease.of(new Uint8Array(this.length)));
    if (this.incomplete) this.offer();
  }

  #isFull(): boolean {
    return this.#lease === undefined || this.length === this.#lease.bytes.length;
  }

  /**
   * Moves the message to memory for at least the `arrived` bytes. The pool rounds up to a power of
   * two, so memory doubles.
   */
  #grow(arrived: number): void {
    this.#move(
      this.#pooled
        ? (Lease.acquireFree(Math.min(this.#expected, arrived * BELIEVED)) ??
            Lease.acquire(arrived))
        : Lease.of(new Uint8Array(arrived * 2)),
    );
  }

  #move(to: Lease): void {
    const from = this.#replace(to);
    if (from === undefined) return;
    to.bytes.set(from.bytes.subarray(0, this.length));
    from.release();
  }

  /** Replaces the memory and returns the earlier one, to which the decoder no longer writes. */
  #replace(lease: Lease | undefined): Lease | undefined {
    const before = this.#lease;
    this.#frames?.deliverInPlace();
    this.#lease = lease;
    return before;
  }
}
