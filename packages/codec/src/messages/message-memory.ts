import { moveUnmasked } from '../masking/move-unmasked.ts';
import { NO_BYTES, type OwnedBytes } from '../memory/slab.ts';
import { Lease, type LeaseSource } from './lease.ts';

/**
 * The announced length is trusted up to this many times the received bytes. A message of 1 MiB
 * that comes in chunks of 64 KiB is not moved again: with 2 instead of 32 a loop takes twice as long.
 */
const BELIEVED = 32;
/**
 * Bytes of all messages of the thread that are reserved above twice the received bytes. Peers that
 * announce much and send little share them: the memory of later messages doubles.
 */
const MOST_AHEAD = 16_777_216;

/** Bytes that are reserved of {@link MOST_AHEAD}. */
let reservedAhead = 0;
/**
 * Smallest memory in bytes for a message before its last frame. Ten fragments of 100 bytes
 * take 4 us with it instead of 10.
 */
const SMALLEST = 1024;

/**
 * Memory of the message under way, contiguous over all its frames and reads. Payload moves into it
 * once, unmasked on the way.
 *
 * The memory is leased, or the caller's own: then it has exactly the size of the message at the
 * end. A header alone takes no memory. Memory doubles with the bytes that have arrived. It grows
 * further, to at most 32 times the received bytes, only when the header announces that much, and
 * while few messages of the thread do so.
 */
export class MessageMemory {
  /** Bytes so far. */
  length = 0;
  /** The memory. Its first {@link length} bytes are the message. */
  bytes: Uint8Array = NO_BYTES;
  /** The lease of {@link bytes}. */
  lease: Lease | undefined;
  /** Length that the frames so far have announced. */
  #announced = 0;
  /** Whether the last frame of the message has announced its length. */
  #final = false;
  /** Whether memory is taken from the pools. */
  pooled = true;
  /** Bytes of {@link bytes} that count as {@link reservedAhead}. */
  #ahead = 0;
  /** Lends the memory. */
  readonly leases: LeaseSource;

  constructor(leases: LeaseSource = Lease) {
    this.leases = leases;
  }

  /** A frame with `bytes` of payload follows; `fin`: the message ends with it. */
  announce(bytes: number, fin: boolean): void {
    this.#announced = this.length + bytes;
    this.#final = fin;
  }

  /**
   * Moves payload to the end of the message.
   *
   * @param own - Whether memory that is allocated now is of the caller.
   * @param key - Little-endian masking key for the first byte; 0 for plain bytes.
   * @returns Whether all of it is ASCII.
   */
  append(from: Uint8Array, start: number, end: number, key: number, own: boolean): boolean {
    if (start === end) return true;
    const at = this.length;
    const length = at + end - start;
    if (length > this.bytes.length) this.#grow(length, own);
    this.length = length;
    return moveUnmasked(this.bytes, at, from, start, end, key);
  }

  /** The message in memory of the caller, of exact size. Empties this object. */
  takeOwn(): OwnedBytes {
    const { bytes, length, lease } = this;
    // Memory of the pools has a lease, so other memory is ordinary.
    const exact = lease === undefined && bytes.length === length;
    const own = exact ? (bytes as OwnedBytes) : new Uint8Array(bytes.subarray(0, length));
    this.release();
    return own;
  }

  /** The lease of the message, which is at its start. Empties this object. */
  takeLease(): Lease {
    const lease = this.lease ?? Lease.of(this.bytes);
    this.#clear();
    return lease;
  }

  release(): void {
    this.lease?.release();
    this.#clear();
  }

  #clear(): void {
    this.#reserve(0);
    this.bytes = NO_BYTES;
    this.lease = undefined;
    this.length = 0;
    this.#announced = 0;
    this.#final = false;
  }

  /**
   * Takes no more memory from the pools, and moves the received bytes out of them: the connection
   * has ended, and its messages may never be read.
   */
  leavePools(): void {
    this.pooled = false;
    if (this.lease !== undefined) this.#moveTo(new Uint8Array(this.length), undefined);
  }

  #grow(needed: number, own: boolean): void {
    const believed = Math.min(Math.max(this.#announced, needed), needed * BELIEVED);
    if (own || !this.pooled) {
      // Memory doubles until the last frame, which has a known size.
      const doubled = Math.max(2 * this.bytes.length, SMALLEST);
      const size = this.#final ? believed : Math.max(believed, doubled);
      const ahead = size - Math.max(doubled, needed * 2);
      return this.#moveTo(new Uint8Array(this.#reserve(ahead) ? size : size - ahead), undefined);
    }
    const lease = this.leases.acquireFree(believed) ?? this.leases.acquire(needed);
    this.#moveTo(lease.bytes, lease);
  }

  /** Whether `bytes` may be reserved ahead. They replace the reserved bytes of this message. */
  #reserve(bytes: number): boolean {
    reservedAhead -= this.#ahead;
    this.#ahead = Math.max(bytes, 0);
    if (bytes <= 0 || reservedAhead + bytes <= MOST_AHEAD) {
      reservedAhead += this.#ahead;
      return true;
    }
    this.#ahead = 0;
    return false;
  }

  #moveTo(bytes: Uint8Array, lease: Lease | undefined): void {
    const { length } = this;
    if (length > 0) bytes.set(this.bytes.subarray(0, length));
    this.lease?.release();
    this.bytes = bytes;
    this.lease = lease;
  }
}
