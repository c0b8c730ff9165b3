import { type Lease, leaseOf } from '@ws/codec/internal';
import { Deferred } from '../time/promises.ts';
import { watchChanges } from '../writing/pending-bytes.ts';
import type { SendQueue } from './send-queue.ts';

/**
 * A write whose bytes the send queue, and then the transport, refer to. They stay unchanged until
 * {@link release}.
 */
export class ReferencedWrite {
  /** Settles after the release. Pinned memory is not waited for. */
  readonly written: Deferred<void> | undefined;
  readonly #queue: SendQueue;
  readonly #lease: Lease | undefined;
  readonly #size: number;
  readonly #check: (() => void) | undefined;
  #isReleased = false;

  private constructor(
    queue: SendQueue,
    bytes: Uint8Array,
    start: number,
    end: number,
    lease: Lease | undefined,
    written: Deferred<void> | undefined,
  ) {
    this.#queue = queue;
    this.#size = end - start;
    this.#lease = lease;
    this.#check = watchChanges(bytes, start, end);
    this.written = written;
  }

  /** Bytes of a caller, who may use them again when {@link written} settles. */
  static ofCaller(
    queue: SendQueue,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): ReferencedWrite {
    return new ReferencedWrite(queue, bytes, start, end, leaseOf(bytes), new Deferred<void>());
  }

  /** The start of the memory of a borrowed message. */
  static ofLease(queue: SendQueue, lease: Lease, length: number): ReferencedWrite {
    return new ReferencedWrite(queue, lease.bytes, 0, length, lease, undefined);
  }

  /** The frame is in the queue. */
  pin(): void {
    this.#lease?.pin();
  }

  /** The bytes are no longer read. Bound, so that it can be passed to a transport. */
  readonly release = (): void => {
    // A second release would free bytes that another write still refers to.
    if (this.#isReleased) return;
    this.#isReleased = true;
    if (this.#check !== undefined) this.#failIfChanged(this.#check);
    this.#lease?.release();
    if (this.written !== undefined) this.#queue.released(this.written, this.#size);
  };

  #failIfChanged(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.written?.reject(error);
      this.#queue.bytesChanged(error);
    }
  }
}
