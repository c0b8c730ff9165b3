import { poolGuard, sharedMessageBuffers } from '@ws/codec';

/** Where the memory of a {@link Lease} comes from and goes back to. */
export interface LeaseHome {
  /** Takes it back; says whether the lease itself is kept, to be lent again. */
  takeBack(lease: Lease): boolean;
}

/**
 * Pooled memory with one message in it. It goes back to the pool when the message is done with and no write refers to
 * its bytes any more: each of those holds a pin.
 */
export class Lease {
  readonly bytes: Uint8Array;
  readonly #home: LeaseHome;
  #pins = 1;

  constructor(bytes: Uint8Array, home: LeaseHome) {
    this.bytes = bytes;
    this.#home = home;
    const others = leased.get(bytes.buffer);
    if (others === undefined) leased.set(bytes.buffer, [this]);
    else others.push(this);
  }

  /** At least `bytes` bytes of the thread's message buffers. */
  static take(bytes: number): Lease {
    return new Lease(sharedMessageBuffers().take(bytes), messageBuffers);
  }

  /** The same, if the pool has that much lying unused. */
  static takeFree(bytes: number): Lease | undefined {
    const free = sharedMessageBuffers().takeFree(bytes);
    return free === undefined ? undefined : new Lease(free, messageBuffers);
  }

  /** `bytes` that are in no pool. */
  static of(bytes: Uint8Array): Lease {
    return new Lease(bytes, nowhere);
  }

  pin(): void {
    this.#pins++;
  }

  /** One that was kept is lent once more. */
  lendAgain(): void {
    this.#pins = 1;
  }

  /** Bound once: a transport can be given it as it is. */
  readonly release = (): void => {
    // A transport that gives bytes back twice must not have them lent to two: told where pools are made to debug.
    if (this.#pins === 0) return poolGuard('message')?.takeBack(this.bytes);
    if (--this.#pins > 0 || this.#home.takeBack(this)) return;
    const { buffer } = this.bytes;
    const others = leased.get(buffer);
    if (others?.length === 1) leased.delete(buffer);
    else others?.splice(others.indexOf(this), 1);
  };
}

const messageBuffers: LeaseHome = {
  takeBack({ bytes }) {
    sharedMessageBuffers().give(bytes);
    return false;
  },
};

const nowhere: LeaseHome = {
  takeBack() {
    return false;
  },
};

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
