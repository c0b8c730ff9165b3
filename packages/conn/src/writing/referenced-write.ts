import { type Lease, releasedAgain } from '@ws/codec/internal';
import type { Deferred } from '../time/promises.ts';
import { watchChanges } from './pending-bytes.ts';

type Sender = {
  reference(written: Deferred<void>): void;
  released(written: Deferred<void>, bytes: number): void;
  bytesChanged(error: unknown): void;
};

/**
 * A write without a copy: the frame queue, and then the transport, reference the caller's bytes. The
 * bytes must not change until {@link release}.
 */
export class ReferencedWrite {
  /** The promise of the caller, which settles after the release. Undefined for pinned memory. */
  readonly written: Deferred<void> | undefined;
  readonly #sender: Sender;
  readonly #lease: Lease | undefined;
  readonly #size: number;
  readonly #check: (() => void) | undefined;
  #isReleased = false;

  /**
   * @param lease - The pooled memory of a borrowed message.
   * @param written - For bytes of a caller, who may change them once this promise settles.
   */
  constructor(
    sender: Sender,
    bytes: Uint8Array,
    start: number,
    end: number,
    lease: Lease | undefined,
    written: Deferred<void> | undefined,
  ) {
    this.#sender = sender;
    this.#size = end - start;
    this.#lease = lease;
    this.#check = watchChanges(bytes, start, end);
    this.written = written;
  }

  /** Called when the frame is in the queue. From now on {@link release} may be called. */
  added(): void {
    this.#lease?.pin();
    if (this.written !== undefined) this.#sender.reference(this.written);
  }

  /** The transport no longer reads the bytes. A bound function, to pass to a transport. */
  readonly release = (): void => {
    // A second release would release bytes that another write references.
    if (this.#isReleased) return releasedAgain(this.release, 'payload');
    this.#isReleased = true;
    if (this.#check !== undefined) this.#failIfChanged(this.#check);
    this.#lease?.release();
    if (this.written !== undefined) this.#sender.released(this.written, this.#size);
  };

  #failIfChanged(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.written?.reject(error);
      this.#sender.bytesChanged(error);
    }
  }
}
