import { poolGuard } from '@ws/codec/internal';
import { Lease, type LeaseHome } from '../memory/lease.ts';

/** Sizes of the buffers, in bytes, and the number of free ones that are kept of each. */
const SIZES = [1_024, 8_192, 65_536] as const;
const KEPT = [64, 16, 8] as const;

/**
 * Buffers to inflate into. A buffer is lent again together with its lease: a message that fits in
 * one buffer costs no allocation.
 */
export class InflateBuffers implements LeaseHome {
  readonly #free: Lease[][] = SIZES.map(() => []);
  readonly #guard = poolGuard('buffer of plain text');

  /** A buffer for about `bytes` bytes, at most 64 KiB. */
  acquire(bytes: number): Lease {
    const size = classOf(bytes);
    const lease = this.#free[size]!.pop() ?? new Lease(new Uint8Array(SIZES[size]), this);
    this.#guard?.lend(lease.memory);
    lease.lendAgain();
    return lease;
  }

  takeBack(lease: Lease): boolean {
    const { byteLength } = lease.memory;
    // The application gave the buffer to another thread.
    if (byteLength === 0) return false;
    this.#guard?.takeBack(lease.memory);
    const size = classOf(byteLength);
    const free = this.#free[size]!;
    if (free.length >= KEPT[size]) return false;
    free.push(lease);
    return true;
  }
}

function classOf(bytes: number): 0 | 1 | 2 {
  if (bytes <= SIZES[0]) return 0;
  return bytes <= SIZES[1] ? 1 : 2;
}
