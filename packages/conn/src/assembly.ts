import { type FrameDecoder, sharedMessageBuffers } from '@ws/codec';

/** The first buffer of a message whose length nobody believes yet. */
const FIRST = 65_536;

/**
 * Pooled memory with one message in it. It goes back to the pool when the message is done with and no write refers to
 * its bytes any more: each of those holds a pin.
 */
export class Lease {
  bytes: Uint8Array;
  #pins = 1;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    const others = leased.get(bytes.buffer);
    if (others === undefined) leased.set(bytes.buffer, [this]);
    else others.push(this);
  }

  pin(): void {
    this.#pins++;
  }

  /** Bound once: a transport can be given it as it is. */
  readonly release = (): void => {
    if (--this.#pins > 0) return;
    const { bytes } = this;
    const others = leased.get(bytes.buffer);
    if (others?.length === 1) leased.delete(bytes.buffer);
    else others?.splice(others.indexOf(this), 1);
    sharedMessageBuffers().give(bytes);
  };
}

const leased = new Map<ArrayBufferLike, Lease[]>();

/** The lease that `view` lies in, when it is a piece of a pooled message. */
export function leaseOf(view: Uint8Array): Lease | undefined {
  return leased.get(view.buffer)?.find(({ bytes }) => {
    return (
      view.byteOffset >= bytes.byteOffset &&
      view.byteOffset + view.byteLength <= bytes.byteOffset + bytes.byteLength
    );
  });
}

/**
 * Puts a message together that does not lie whole in one chunk. Memory grows by doubling with the bytes that have
 * arrived; what a header announces is never believed further than that.
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

  #room(bytes: number): Uint8Array {
    const needed = this.length + bytes;
    const lease = this.#lease;
    if (lease === undefined) {
      this.#lease = new Lease(
        sharedMessageBuffers().take(Math.max(needed, Math.min(this.#expected, FIRST))),
      );
    } else if (needed > lease.bytes.length) {
      const grown = new Lease(
        sharedMessageBuffers().take(Math.max(needed, lease.bytes.length * 2)),
      );
      grown.bytes.set(lease.bytes.subarray(0, this.length));
      this.#lease = grown;
      lease.release();
    }
    return this.#lease!.bytes;
  }
}
