import { Lease } from '@ws/codec/internal';
import { Deferred } from '../time/promises.ts';
import { watchChanges } from './pending-bytes.ts';

type Sender = {
  reference(written: Deferred<void>): void;
  released(written: Deferred<void>, bytes: number): void;
  bytesChanged(error: unknown): void;
};

/**
 * A write of bytes that the frame queue, and then the transport, refer to. They stay unchanged until
 * {@link release}.
 */
export class ReferencedWrite {
  /** Settles after the release. Pinned memory is not waited for. */
  readonly written: Deferred<void> | undefined;
  readonly #sender: Sender;
  readonly #lease: Lease | undefined;
  readonly #size: number;
  readonly #check: (() => void) | undefined;
  #isReleased = false;

  private constructor(
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

  /** Bytes of a caller, who may use them again when {@link written} settles. */
  static ofCaller(sender: Sender, bytes: Uint8Array, start: number, end: number): ReferencedWrite {
    return new ReferencedWrite(
      sender,
      bytes,
      start,
      end,
      Lease.holding(bytes),
      new Deferred<void>(),
    );
  }

  /** The start of the memory of a borrowed message. */
  static ofLease(sender: Sender, lease: Lease, length: number): ReferencedWrite {
    return new ReferencedWrite(sender, lease.bytes, 0, length, lease, undefined);
  }

  /** The frame is in the queue, and the transport may release the bytes from now on. */
  added(): void {
    this.#lease?.pin();
    if (this.written !== undefined) this.#sender.reference(this.written);
  }

  /** The bytes are no longer read. Bound, so that it can be passed to a transport. */
  readonly release = (): void => {
    // A second release would free bytes that another write still refers to.
    if (this.#isReleased) return;
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
