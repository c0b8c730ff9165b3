import type { FrameDecoder } from '@ws/codec';
import { copyOf } from './copy.ts';
import { Lease } from './lease.ts';

/** The first buffer of a message whose length nobody believes yet. */
const FIRST = 65_536;
/** A message of 1 MiB is moved once. */
const BELIEVED = 16;

/**
 * Puts a message together that does not lie whole in one chunk. Memory grows by doubling with the bytes that have
 * arrived. What a header announces is believed further than that only where memory lies unused in the pool, and to
 * 16 times of what has arrived.
 */
export class Assembly {
  /** Bytes so far. */
  length = 0;
  #expected = 0;
  #lease: Lease | undefined;

  /** A frame of `bytes` payload follows, in pieces. */
  expect(bytes: number): void {
    this.#expected = this.length + bytes;
  }

  /** Lets `decoder` put the next piece right where it belongs. */
  offer(decoder: FrameDecoder): void {
    if (this.length === this.#expected) return;
    decoder.assembleInto(this.#room(1), this.length);
  }

  /** `bytes` more lie where {@link offer} said. */
  arrived(bytes: number): void {
    this.length += bytes;
  }

  /** Adds a whole fragment that lies elsewhere. */
  append(bytes: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    this.expect(end - start);
    this.#room(end - start).set(bytes.subarray(start, end), this.length);
    this.length += end - start;
  }

  /** Hands the message over, whose bytes stand at the lease's start; undefined when it is empty. */
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

  /** What there is of the message is kept in memory that is nobody else's: it may never be taken. */
  leave(): void {
    const lease = this.#lease;
    if (lease === undefined) return;
    this.#lease = Lease.of(copyOf(lease.bytes, 0, this.length));
    lease.release();
  }

  #room(bytes: number): Uint8Array {
    const needed = this.length + bytes;
    const lease = this.#lease;
    if (lease === undefined) {
      this.#lease = Lease.take(Math.max(needed, Math.min(this.#expected, FIRST)));
    } else if (needed > lease.bytes.length) {
      const grown =
        Lease.takeFree(Math.max(needed, Math.min(this.#expected, this.length * BELIEVED))) ??
        Lease.take(Math.max(needed, lease.bytes.length * 2));
      grown.bytes.set(lease.bytes.subarray(0, this.length));
      this.#lease = grown;
      lease.release();
    }
    return this.#lease!.bytes;
  }
}
