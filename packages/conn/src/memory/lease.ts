import { sharedMessageBuffers } from '@ws/codec';
import { poolGuard } from '@ws/codec/internal';
import { copyOf } from './copy.ts';

/** The owner of the memory of a {@link Lease}. */
export interface LeaseHome {
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

  /** Leases at least `bytes` bytes of the thread's message buffers. */
  static acquire(bytes: number): Lease {
    return new Lease(sharedMessageBuffers().take(bytes), messageBuffers);
  }

  /** The same, if the pool has that much free memory; else undefined. */
  static acquireFree(bytes: number): Lease | undefined {
    const free = sharedMessageBuffers().takeFree(bytes);
    return free === undefined ? undefined : new Lease(free, messageBuffers);
  }

  /** A lease of `bytes` that belong to no pool. */
  static of(bytes: Uint8Array): Lease {
    return new Lease(bytes, nowhere);
  }

  /** A lease of a copy of `bytes[start, end)`. The last release fills the copy with 0xDD. */
  static overwritten(bytes: Uint8Array, start: number, end: number): Lease {
    return new Lease(copyOf(bytes, start, end), overwritten);
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

  /** Whether the memory is lent. That of a kept lease may be free. */
  get isLent(): boolean {
    return this.#pins > 0;
  }

  pin(): void {
    this.#pins++;
  }

  /** Lends a kept lease again. */
  lendAgain(): void {
    this.#pins = 1;
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

const messageBuffers: LeaseHome = {
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

/** The lease that contains `view`, if it is part of a pooled message that is lent now. */
export function leaseOf(view: Uint8Array): Lease | undefined {
  return leased.get(view.buffer)?.find(({ memory, isLent }) => {
    return (
      isLent &&
      view.byteOffset >= memory.byteOffset &&
      view.byteOffset + view.byteLength <= memory.byteOffset + memory.byteLength
    );
  });
}
