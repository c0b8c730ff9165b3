import { bufferOf, byteOffsetOf, lengthOf, viewOf } from '../byte-facts.ts';
import { type MessageBuffers, sharedMessageBuffers } from '../memory/message-buffers.ts';
import { type PoolGuard, poolGuard } from '../pool-guard.ts';

/** Sizes in bytes of the leases that are kept for the next message. */
const SIZES = [4_096, 16_384, 65_536] as const;
/** Most free leases that are kept of each size. */
const KEPT: readonly number[] = [64, 16, 8];

// The fate of the memory at the last release.
/** It returns to the message buffers. */
const RETURN = 0;
/** It is filled with 0xDD: a view that was kept too long shows these bytes. */
const OVERWRITE = 1;
/** It is left to the garbage collector. */
const LEAVE = 2;
/** It returns to the buffers of the lease, which are not the thread's. */
const GIVE = 3;
type LastRelease = typeof RETURN | typeof OVERWRITE | typeof LEAVE | typeof GIVE;

/** Lends memory for messages: the class {@link Lease}, or a {@link BufferLeases}. */
export interface LeaseSource {
  /** Leases at least `bytes` bytes. */
  acquire(bytes: number): Lease;
  /** The same, if that much memory is free; else undefined. */
  acquireFree(bytes: number): Lease | undefined;
}

/**
 * Pooled memory with one message. It returns to the pool when the message is no longer needed and
 * no write refers to its bytes: each such write holds a pin.
 */
export class Lease {
  /** The memory, also while it is free: for the pool only. */
  readonly memory: Uint8Array;
  readonly #lastRelease: LastRelease;
  /** With {@link GIVE}. */
  readonly #buffers: MessageBuffers | undefined;
  #pins = 1;
  /** First byte of the frame header that is in front of the memory; 0 while there is none. */
  #header = 0;

  private constructor(memory: Uint8Array, lastRelease: LastRelease, buffers?: MessageBuffers) {
    this.memory = memory;
    this.#lastRelease = lastRelease;
    this.#buffers = buffers;
    // Listing other memory here would keep it for ever when its connection has died.
    if (lastRelease === LEAVE || lastRelease === GIVE) return;
    const others = leased.get(memory.buffer);
    if (others === undefined) leased.set(memory.buffer, [this]);
    else others.push(this);
  }

  /** Leases at least `bytes` bytes of the thread's message memory. */
  static acquire(bytes: number): Lease {
    const size = classOf(bytes);
    const lease = free[size]?.pop();
    if (lease === undefined) return Lease.#make(sharedMessageBuffers().take(SIZES[size] ?? bytes));
    sharedMessageBuffers().countParked(-1);
    guard?.lend(lease.memory);
    lease.#pins = 1;
    lease.#header = 0;
    return lease;
  }

  /** The same, if that much memory is free; else undefined. */
  static acquireFree(bytes: number): Lease | undefined {
    if (classOf(bytes) < SIZES.length) return Lease.acquire(bytes);
    const memory = sharedMessageBuffers().takeFree(bytes);
    return memory && Lease.#make(memory);
  }

  static #make(memory: Uint8Array): Lease {
    guard ??= poolGuard('message');
    guard?.lend(memory);
    return new Lease(memory, RETURN);
  }

  /** A lease of `memory`, which the last release gives back to `buffers`. */
  static from(buffers: MessageBuffers, memory: Uint8Array): Lease {
    return new Lease(memory, GIVE, buffers);
  }

  /** A lease of `bytes` that belong to no pool. */
  static of(bytes: Uint8Array): Lease {
    return new Lease(bytes, LEAVE);
  }

  /** A lease of a copy of `bytes[start, end)`. The last release fills the copy with 0xDD. */
  static overwritten(bytes: Uint8Array, start: number, end: number): Lease {
    return new Lease(new Uint8Array(viewOf(bytes, start, end)), OVERWRITE);
  }

  /** The lease that contains `view`, if it is part of a pooled message that is lent now. */
  static holding(view: Uint8Array): Lease | undefined {
    const start = byteOffsetOf(view);
    return leased.get(bufferOf(view))?.find(({ memory, isLent }) => {
      return (
        isLent &&
        start >= memory.byteOffset &&
        start + lengthOf(view) <= memory.byteOffset + memory.byteLength
      );
    });
  }

  /**
   * The memory of the message.
   *
   * @throws Error after the last release: another message may own the memory.
   */
  get bytes(): Uint8Array {
    if (this.#pins === 0) throw new Error('the memory of a message was used after its release');
    return this.memory;
  }

  /** Whether the memory is lent. A kept lease may have free memory. */
  get isLent(): boolean {
    return this.#pins > 0;
  }

  pin(): void {
    this.#pins++;
  }

  /**
   * Whether a frame with the whole message may have its header in front of the memory: it is of the
   * message buffers, and no frame with another first byte is there.
   */
  takesHeader(b0: number): boolean {
    if (this.#lastRelease !== RETURN) return false;
    if (this.#header === 0) this.#header = b0;
    return this.#header === b0;
  }

  /**
   * Removes a pin; the last one returns the memory. Bound, so that it can be passed to a transport.
   */
  readonly release = (): void => {
    // A second release must not lend the bytes twice. It is ignored; with pool debugging it throws.
    if (this.#pins === 0) return poolGuard('message')?.takeBack(this.memory);
    if (--this.#pins > 0) return;
    if (this.#lastRelease === GIVE) return this.#buffers!.give(this.memory);
    if (this.#lastRelease === OVERWRITE && this.memory.byteLength > 0) this.memory.fill(0xdd);
    if (this.#lastRelease === RETURN && this.#park()) return;
    const { buffer } = this.memory;
    const others = leased.get(buffer);
    const at = others === undefined ? -1 : others.indexOf(this);
    if (at < 0) return;
    if (others!.length === 1) leased.delete(buffer);
    else others!.splice(at, 1);
  };

  /**
   * Keeps the lease with its memory for a later message, or gives the memory back. Returns whether the
   * lease is kept.
   */
  #park(): boolean {
    const { memory } = this;
    // The application gave the buffer to another thread.
    const detached = memory.byteLength === 0;
    if (!detached) guard?.takeBack(memory);
    const size = classOf(memory.byteLength);
    const others = free[size];
    if (detached || others === undefined || others.length >= KEPT[size]!) {
      sharedMessageBuffers().give(memory);
      return false;
    }
    sharedMessageBuffers().countParked(1);
    others.push(this);
    return true;
  }
}

/** Leases of `buffers` that are not the thread's. */
export class BufferLeases implements LeaseSource {
  readonly #buffers: MessageBuffers;

  constructor(buffers: MessageBuffers) {
    this.#buffers = buffers;
  }

  acquire(bytes: number): Lease {
    return Lease.from(this.#buffers, this.#buffers.take(bytes));
  }

  acquireFree(bytes: number): Lease | undefined {
    const memory = this.#buffers.takeFree(bytes);
    return memory && Lease.from(this.#buffers, memory);
  }
}

/** Free leases by their size. A message that fits in one costs no allocation. */
const free: readonly Lease[][] = /* @__PURE__ */ SIZES.map(() => []);

/** Made for the first pooled lease: `debugPools` comes before. */
let guard: PoolGuard | undefined;

/** All leases of pooled memory by its buffer, lent and kept ones. */
const leased = new Map<ArrayBufferLike, Lease[]>();

/** Index of the smallest of {@link SIZES} that holds `bytes`; their number when none does. */
function classOf(bytes: number): number {
  if (bytes <= SIZES[0]) return 0;
  if (bytes <= SIZES[1]) return 1;
  return bytes <= SIZES[2] ? 2 : 3;
}
