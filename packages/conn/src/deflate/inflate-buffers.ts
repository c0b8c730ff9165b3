import { poolGuard } from '@ws/codec';
import { Lease, type LeaseHome } from '../lease.ts';

/** What is lent, in bytes, and how many of each are kept. */
const SIZES = [1_024, 8_192, 65_536] as const;
const KEPT = [64, 16, 8] as const;

/**
 * Buffers to inflate into. They are lent again as they are, leases and all: a message that fits in one costs no
 * allocation.
 */
export class PlainBuffers implements LeaseHome {
  readonly #free: Lease[][] = SIZES.map(() => []);
  readonly #guard = poolGuard('buffer of plain text');

  /** A buffer for about `bytes` bytes: larger ones than the largest are not lent. */
  take(bytes: number): Lease {
    const size = classOf(bytes);
    const lease = this.#free[size]!.pop() ?? new Lease(new Uint8Array(SIZES[size]), this);
    this.#guard?.lend(lease.bytes);
    lease.lendAgain();
    return lease;
  }

  takeBack(lease: Lease): boolean {
    const { byteLength } = lease.bytes;
    // Somebody has given it to another thread.
    if (byteLength === 0) return false;
    this.#guard?.takeBack(lease.bytes);
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
