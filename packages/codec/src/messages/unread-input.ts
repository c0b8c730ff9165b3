import type { FrameDecoder } from '../frames/decoder.ts';
import { Lease, type LeaseSource } from './lease.ts';

/** The bytes of a lent chunk that are unread when the loan ends: a copy in pooled memory. */
export class UnreadInput {
  readonly #frames: FrameDecoder;
  readonly #leases: LeaseSource;
  /** Undefined while the chunk has all unread bytes. */
  copy: Lease | undefined;
  /** Bytes that were added to {@link copy} after it was made. */
  #appended = 0;
  /** Whether the copy is in pooled memory. */
  pooled = true;

  /** @param frames - Reads the bytes. */
  constructor(frames: FrameDecoder, leases: LeaseSource) {
    this.#frames = frames;
    this.#leases = leases;
  }

  /** Bytes that arrived while others were unread. */
  get waiting(): number {
    return this.#appended === 0 ? 0 : Math.min(this.#appended, this.#frames.unread);
  }

  /** Copies what is unread of the chunk. */
  keep(): void {
    if (this.copy !== undefined) return;
    const { unread } = this.#frames;
    if (unread === 0) return;
    this.copy = this.#memoryFor(unread);
    this.#frames.moveInput(this.copy.bytes);
  }

  /** Adds a copy of `chunk[0, end)` after the bytes that were kept, in memory that doubles. */
  append(chunk: Uint8Array, end: number): void {
    this.#appended += end;
    const before = this.copy!;
    const frames = this.#frames;
    if (frames.appendInput(before.bytes, chunk, end)) return;
    this.copy = this.#memoryFor(Math.max(frames.unread + end, 2 * frames.unread));
    frames.moveInput(this.copy.bytes);
    before.release();
    frames.appendInput(this.copy.bytes, chunk, end);
  }

  /** All bytes are read. */
  release(): void {
    this.copy?.release();
    this.copy = undefined;
    this.#appended = 0;
  }

  /** Needs no pooled memory from now on. */
  leavePools(): void {
    this.pooled = false;
    const copy = this.copy;
    if (copy === undefined) return;
    this.copy = Lease.of(new Uint8Array(this.#frames.unread));
    this.#frames.moveInput(this.copy.bytes);
    copy.release();
  }

  #memoryFor(bytes: number): Lease {
    return this.pooled ? this.#leases.acquire(bytes) : Lease.of(new Uint8Array(bytes));
  }
}
