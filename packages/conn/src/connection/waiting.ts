import type { Lease } from '@ws/codec/internal';
import type { FifoEntry } from '../memory/fifo.ts';
import { Deferred, markHandled } from '../time/promises.ts';

/** A call that waits for the end of an earlier message, for a later turn, or for a drain. */
export class Waiting<T = unknown> extends Deferred<T> {
  /** Bytes of a message; 0 for other calls. */
  readonly size: number;
  /** The place of this call in the queue. */
  entry: FifoEntry<Waiting> | undefined;
  /** Whether the call can be aborted: it becomes a frame only when the transport takes it. */
  mayAbort = false;
  /** Whether the call finishes the open writer, and the writers of earlier waiting calls. */
  supersedes = false;
  readonly #action: () => T | Promise<T>;
  /** The pooled memory of the bytes of a message. */
  readonly #lease: Lease | undefined;

  /** @param action - Called when no message is before this call. The promise gets its result. */
  constructor(size: number, action: () => T | Promise<T>, lease?: Lease) {
    super();
    this.size = size;
    this.#action = action;
    this.#lease = lease;
    lease?.pin();
    void markHandled(this.promise);
  }

  /** @throws the error of its action. Reject the call then. */
  begin(): void {
    this.resolve(this.#action());
    this.#lease?.release();
  }

  override reject(error: unknown): void {
    super.reject(error);
    this.#lease?.release();
  }
}
