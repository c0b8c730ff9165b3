import type { WebSocketError } from '@ws/codec';
import type { Platform } from '../platform/platform.ts';
import { Deferred } from '../time/promises.ts';
import type { ControlQueue } from './control-queue.ts';

/**
 * Bounds of the bytes and frames that one turn of the event loop writes. Above either bound a write
 * resolves in a later turn, so that timers and I/O run.
 */
export const TURN_BYTES = 1_048_576;
export const TURN_FRAMES = 1_000;

/** Whether `bytes` or `frames` reach the bound of a turn. */
export function isTurnFull(bytes: number, frames: number): boolean {
  return frames >= TURN_FRAMES || bytes >= TURN_BYTES;
}

/**
 * Writes, pings and pongs of one connection that wait for its transport or for the next turn. The
 * FrameSender creates this object for the first wait.
 */
export class DrainWaits {
  /** When the transport was blocked last, in ms of the platform's clock. */
  blockedAt = 0;
  /** Bytes that the operating system had accepted at that time. */
  flushedWhenBlocked = 0;
  /** Pings and pongs that wait for a blocked transport. */
  controls: ControlQueue | undefined;
  /** One promise for all writes above the high-water mark. One drain settles all of them. */
  #drain: Deferred<void> | undefined;
  /** One promise for all writes after the turn was full. */
  #nextTurn: Deferred<void> | undefined;
  /** Writes with bytes that the frame queue or the transport references. */
  #referenced: Set<Deferred<void>> | undefined;
  #releaseError: WebSocketError | undefined;
  /** Referenced bytes and frames of this turn that the transport has released within `write`. */
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

  /** Settles the promise of {@link forDrain}: resolves it, or rejects it with `error`. */
  drained(error?: WebSocketError): void {
    const drain = this.#drain;
    this.#drain = undefined;
    if (error === undefined) drain?.resolve();
    else drain?.reject(error);
  }

  /** Resolves in the next turn, which also resets the budget of `queue`, the frame queue. */
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

  /** Adds a write with referenced bytes. */
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
   * The transport has released `write`. Rejects the write while a release error is set.
   *
   * @param bytes - Number of the released bytes.
   * @param isWithin - Whether the release came within the transport's `write`.
   */
  released(write: Deferred<void>, bytes: number, isWithin: boolean): void {
    if (this.#releaseError !== undefined) write.reject(this.#releaseError);
    this.#releasedBytes = isWithin ? this.#releasedBytes + bytes : 0;
    this.#releasedFrames = isWithin ? this.#releasedFrames + 1 : 0;
  }

  /** Whether the bytes released within `write` fill this turn. */
  get releasesFillTurn(): boolean {
    return isTurnFull(this.#releasedBytes, this.#releasedFrames);
  }

  resetReleases(): void {
    this.#releasedBytes = 0;
    this.#releasedFrames = 0;
  }

  /** Resolves a write after its release, as `next` if given. A rejected write stays rejected. */
  settle(write: Deferred<void>, next: Promise<void> | undefined): void {
    write.resolve(next);
    if (this.#referenced?.delete(write) !== true || this.#referenced.size > 0) return;
    this.#referenced = undefined;
  }

  /** The transport is closed: rejects all waiting writes, discards pings and pongs. */
  rejectAll(error: WebSocketError): void {
    this.controls = undefined;
    this.drained(error);
    for (const write of this.#referenced ?? []) write.reject(error);
    this.#referenced = undefined;
  }
}
