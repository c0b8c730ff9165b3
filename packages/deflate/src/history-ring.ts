import { NO_BYTES, viewOf } from '@ws/codec/internal';
import type { History } from './engines.ts';

/** Lends memory to histories and counts it. */
export interface HistoryMemory {
  /** A buffer for a history, of exactly `bytes`, a power of two. */
  acquire(bytes: number): Uint8Array;
  release(buffer: Uint8Array): void;
}

const SMALLEST = 512;

/**
 * The newest plain bytes of one direction of a connection: the only part of its compression context
 * that is kept. The memory grows with the bytes, up to the window.
 */
export class HistoryRing implements History {
  length = 0;
  #memory: HistoryMemory;
  readonly #window: number;
  #bytes: Uint8Array = NO_BYTES;
  /** Index of the next byte. */
  #at = 0;

  /** @param window - Size in bytes: a power of two, at least 256. */
  constructor(memory: HistoryMemory, window: number) {
    this.#memory = memory;
    this.#window = window;
  }

  /** Bytes of memory that are held. */
  get held(): number {
    return this.#bytes.length;
  }

  append(bytes: Uint8Array, start: number, end: number): void {
    const from = Math.max(start, end - this.#window);
    const size = end - from;
    if (size === 0) return;
    this.#reserve(this.length + size);
    const ring = this.#bytes;
    const first = Math.min(size, ring.length - this.#at);
    ring.set(viewOf(bytes, from, from + first), this.#at);
    if (first < size) ring.set(viewOf(bytes, from + first, end), 0);
    this.#at = (this.#at + size) % ring.length;
    this.length = Math.min(this.length + size, ring.length);
  }

  copyTo(into: Uint8Array, at: number): void {
    const ring = this.#bytes;
    const oldest = this.length < ring.length ? 0 : this.#at;
    into.set(ring.subarray(oldest, this.length), at);
    if (oldest > 0) into.set(ring.subarray(0, oldest), at + this.length - oldest);
  }

  /** Uses `memory` from now on, also to release the current buffer. */
  moveTo(memory: HistoryMemory): void {
    this.#memory = memory;
  }

  /** Forgets all bytes and releases the memory. */
  release(): void {
    if (this.#bytes !== NO_BYTES) this.#memory.release(this.#bytes);
    this.#bytes = NO_BYTES;
    this.length = 0;
    this.#at = 0;
  }

  /**
   * Makes room for `bytes`, up to the window. A ring below its largest size has never wrapped
   * around.
   */
  #reserve(bytes: number): void {
    const before = this.#bytes;
    let size = Math.max(before.length, Math.min(SMALLEST, this.#window));
    while (size < bytes && size < this.#window) size *= 2;
    if (size === before.length) return;
    const grown = this.#memory.acquire(size);
    this.copyTo(grown, 0);
    if (before !== NO_BYTES) this.#memory.release(before);
    this.#bytes = grown;
    this.#at = this.length % size;
  }
}
