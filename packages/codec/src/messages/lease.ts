import { sharedMessageBuffers } from '../memory/message-buffers.ts';
import { type PoolGuard, poolGuard } from '../pool-guard.ts';

/** Sizes in bytes of the leases that are kept for the next message. */
const SIZES = [4_096, 16_384, 65_536] as const;
/** Most free leases that are kept of each size. */
const KEPT = [64, 16, 8] as const;

/** The owner of the memory of a {@link Lease}. */
interface LeaseHome {
  /** Takes the memory back. Returns whether the lease object is kept and lent again. */
  takeBack(lease: Lease): boolean;
}

/**
 * Pooled memory with one message. It returns to the pool when the message is no longer needed and
 * no write refers to its bytes: each such write holds a pin.
 */
export class Lease {
  /** The memory, also while it is free: for the pool only. */
  readonly memory: Uint8Array;
  readonly #home: LeaseHome;
  #pins = 1;
  /** First byte of the frame header that is in front of the memory; 0 while there is none. */
  #header = 0;

  /** @internal Use {@link Lease.acquire} or {@link Lease.of}. */
  constructor(bytes: Uint8Array, home: LeaseHome) {
    this.memory = bytes;
    this.#home = home;
    // Memory of no pool is never lent again. Listing it here would keep it for ever when its
    // connection has died.
    if (home === nowhere) return;
    const others = leased.get(bytes.buffer);
    if (others === undefined) leased.set(bytes.buffer, [this]);
    else others.push(this);
  }

  /** Leases at least `bytes` bytes of the thread's message memory. */
  static acquire(bytes: number): Lease {
    const size = classOf(bytes);
    if (size === SIZES.length) return new Lease(sharedMessageBuffers().take(bytes), large);
    kept ??= new KeptLeases();
    return kept.take(size);
  }

  /** The same, if that much memory is free; else undefined. */
  static acquireFree(bytes: number): Lease | undefined {
    if (classOf(bytes) < SIZES.length) return Lease.acquire(bytes);
    const free = sharedMessageBuffers().takeFree(bytes);
    return free === undefined ? undefined : new Lease(free, large);
  }

  /** A lease of `bytes` that belong to no pool. */
  static of(bytes: Uint8Array): Lease {
    return new Lease(bytes, nowhere);
  }

  /** A lease of a copy of `bytes[start, end)`. The last release fills the copy with 0xDD. */
  static overwritten(bytes: Uint8Array, start: number, end: number): Lease {
    const copy = new Uint8Array(end - start);
    copy.set(bytes.subarray(start, end));
    return new Lease(copy, overwritten);
  }

  /** The lease that contains `view`, if it is part of a pooled message that is lent now. */
  static holding(view: Uint8Array): Lease | undefined {
    return leased.get(view.buffer)?.find(({ memory, isLent }) => {
      return (
        isLent &&
        view.byteOffset >= memory.byteOffset &&
        view.byteOffset + view.byteLength <= memory.byteOffset + memory.byteLength
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

  /** @internal Lends a kept lease again. */
  lendAgain(): void {
    this.#pins = 1;
    this.#header = 0;
  }

  /**
   * Whether a frame with the whole message may have its header in front of the memory: it is of the
   * message buffers, and no frame with another first byte is there.
   */
  takesHeader(b0: number): boolean {
    if (this.#home === nowhere || this.#home === overwritten) return false;
    if (this.#header === 0) this.#header = b0;
    return this.#header === b0;
  }

  /**
   * Removes a pin; the last one returns the memory. Bound, so that it can be passed to a transport.
   */
  readonly release = (): void => {
    // A second release must not lend the bytes twice. It is ignored; with pool debugging it throws.
    if (this.#pins === 0) return poolGuard('message')?.takeBack(this.memory);
    if (--this.#pins > 0 || this.#home.takeBack(this)) return;
    const { buffer } = this.memory;
    const others = leased.get(buffer);
    const at = others === undefined ? -1 : others.indexOf(this);
    if (at < 0) return;
    if (others!.length === 1) leased.delete(buffer);
    else others!.splice(at, 1);
  };
}

/**
 * Leases that are kept with their memory. A message that fits in one costs no allocation.
 */
class KeptLeases implements LeaseHome {
  readonly #free: Lease[][] = SIZES.map(() => []);
  readonly #guard: PoolGuard | undefined = poolGuard('message');

  take(size: number): Lease {
    const lease = this.#free[size]!.pop();
    if (lease === undefined) {
      const memory = sharedMessageBuffers().take(SIZES[size]!);
      this.#guard?.lend(memory);
      return new Lease(memory, this);
    }
    sharedMessageBuffers().parked--;
    this.#guard?.lend(lease.memory);
    lease.lendAgain();
    return lease;
  }

  takeBack(lease: Lease): boolean {
    const { memory } = lease;
    // The application gave the buffer to another thread.
    const detached = memory.byteLength === 0;
    if (!detached) this.#guard?.takeBack(memory);
    const size = classOf(memory.byteLength);
    const free = this.#free[size]!;
    if (detached || free.length >= KEPT[size]!) {
      sharedMessageBuffers().give(memory);
      return false;
    }
    sharedMessageBuffers().parked++;
    free.push(lease);
    return true;
  }
}

/** Created by the first lease: `debugPools` comes before. */
let kept: KeptLeases | undefined;

const large: LeaseHome = {
  takeBack({ memory }) {
    sharedMessageBuffers().give(memory);
    return false;
  },
};

const overwritten: LeaseHome = {
  takeBack({ memory }) {
    if (memory.byteLength > 0) memory.fill(0xdd);
    return false;
  },
};

const nowhere: LeaseHome = {
  takeBack() {
    return false;
  },
};

const leased = new Map<ArrayBufferLike, Lease[]>();

/** Index of the smallest of {@link SIZES} that holds `bytes`; their number when none does. */
function classOf(bytes: number): number {
  if (bytes <= SIZES[0]) return 0;
  if (bytes <= SIZES[1]) return 1;
  return bytes <= SIZES[2] ? 2 : 3;
}
