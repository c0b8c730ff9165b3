import type { WebSocketError } from '@ws/codec';
import type { Platform } from '../platform/platform.ts';
import { Deferred } from '../time/promises.ts';
import type { ControlQueue } from './control-queue.ts';

/**
 * Most bytes and frames that one turn of the event loop writes. Above either number a write
 * resolves in a later turn, so that timers and I/O run.
 */
export const TURN_BYTES = 1_048_576;
export const TURN_FRAMES = 1_000;

/** Whether one turn of the event loop has written enough. */
export function isTurnFull(bytes: number, frames: number): boolean {
  return frames >= TURN_FRAMES || bytes >= TURN_BYTES;
}

/**
 * Writers, pings and pongs of one connection that wait for its transport or for a turn. The
 * FrameSender creates this object when the first of them has to wait.
 */
export class DrainWaits {
  /** When the transport was blocked last, in ms of the platform's clock. */
  blockedAt = 0;
  /** Bytes that the operating system had at that time. */
  flushedWhenBlocked = 0;
  /** Pings and pongs that wait for a blocked transport. */
  controls: ControlQueue | undefined;
  /**
   * One promise for all writes above the high-water mark. One drain settles them all, and there may
   * be a million.
   */
  #drain: Deferred<void> | undefined;
  /** One promise for all writes after the turn was full. */
  #nextTurn: Deferred<void> | undefined;
  /** Writes with bytes that the frame queue or the transport references. */
  #referenced: Set<Deferred<void>> | undefined;
  #releaseError: WebSocketError | undefined;
  /** Referenced bytes of this turn that the transport has released within `write`, and their frames. */
  #releasedBytes = 0;
  #releasedFrames = 0;

  get empty(): boolean {
    return (
      this.#drain === undefined && this.#nextTurn === undefined && this.#referenced === undefined
    );
  }

  forDrain(): Promise<void> {
    this.#drain ??= new Deferred<void>();
    return this.#drain.promise;
  }

  /** Settles what {@link forDrain} returned: resolves it, or rejects it with `error`. */
  drained(error?: WebSocketError): void {
    const drain = this.#drain;
    this.#drain = undefined;
    if (error === undefined) drain?.resolve();
    else drain?.reject(error);
  }

  /** @param queue - Its budget is reset when the next turn begins. */
  forNextTurn(platform: Platform, queue: { resetBudget(): void }): Promise<void> {
    if (this.#nextTurn === undefined) {
      const turn = new Deferred<void>();
      this.#nextTurn = turn;
      platform.yield(() => {
        this.#nextTurn = undefined;
        queue.resetBudget();
        turn.resolve();
      });
    }
    return this.#nextTurn.promise;
  }

  /** Adds a write. Its bytes are referenced from now on. */
  reference(write: Deferred<void>): void {
    this.#referenced ??= new Set();
    this.#referenced.add(write);
  }

  /**
   * While `error` is set, a write rejects with `error` when its bytes are released.
   *
   * @returns The error that was set before.
   */
  setReleaseError(error: WebSocketError | undefined): WebSocketError | undefined {
    const before = this.#releaseError;
    this.#releaseError = error;
    return before;
  }

  /**
   * The `bytes` of `write` were released. Rejects the write while a release error is set.
   *
   * @param within - Whether the transport has released them within its `write`.
   */
  released(write: Deferred<void>, bytes: number, within: boolean): void {
    if (this.#releaseError !== undefined) write.reject(this.#releaseError);
    this.#releasedBytes = within ? this.#releasedBytes + bytes : 0;
    this.#releasedFrames = within ? this.#releasedFrames + 1 : 0;
  }

  /** Whether writes that the transport released at once have used up this turn. */
  get releasesFillTurn(): boolean {
    return isTurnFull(this.#releasedBytes, this.#releasedFrames);
  }

  resetReleases(): void {
    this.#releasedBytes = 0;
    this.#releasedFrames = 0;
  }

  /**
   * Resolves a write of released bytes, with `next` if given. No effect on a write that was
   * rejected.
   */
  settle(write: Deferred<void>, next: Promise<void> | undefined): void {
    write.resolve(next);
    if (this.#referenced?.delete(write) !== true || this.#referenced.size > 0) return;
    this.#referenced = undefined;
  }

  /** Rejects all waiting writers and drops pings and pongs, because the transport is closed. */
  rejectAll(error: WebSocketError): void {
    this.controls = undefined;
    this.drained(error);
    for (const write of this.#referenced ?? []) write.reject(error);
    this.#referenced = undefined;
  }
}
