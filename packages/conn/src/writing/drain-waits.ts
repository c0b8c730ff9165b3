import { PongMessage, type WebSocketError } from '@ws/codec';
import { BackpressureError } from '../errors.ts';
import { copyOf } from '../memory/copy.ts';
import type { Platform } from '../platform/platform.ts';
import { Deferred } from '../time/promises.ts';

/**
 * Bounds of the bytes and frames that a connection writes in one turn. Above either bound, a write
 * resolves in a later turn, so that timers and I/O run between.
 */
export const TURN_BYTES = 1_048_576;
export const TURN_FRAMES = 1_000;

/** Bound of the user's pings that wait for the transport, and of the user's pings without a pong. */
export const MAX_PENDING_PINGS = 64;

/** A ping or pong that waits for the transport. */
type ControlFrame = {
  readonly opcode: number;
  readonly payload: Uint8Array;
  /** Whether the library itself sends the frame, not the user. */
  readonly ours: boolean;
};

/** Whether `bytes` or `frames` reach the bound of a turn. */
export function isTurnFull(bytes: number, frames: number): boolean {
  return frames >= TURN_FRAMES || bytes >= TURN_BYTES;
}

/**
 * Writes, pings and pongs of one connection that wait for its transport or for the next turn. The
 * Outbox creates this object for the first wait.
 */
export class DrainWaits {
  /**
   * Pings and pongs that wait for a blocked transport. They overtake queued messages between two frames
   * (RFC 6455, section 5.4).
   */
  #controls: ControlFrame[] = [];
  /** One promise for all writes above the high-water mark. One drain settles all of them. */
  #drain: Deferred<void> | undefined;
  /** One promise for all writes after the turn was full. */
  #nextTurn: Deferred<void> | undefined;
  /** The promises of writes with bytes that the frame queue or the transport references. */
  #referenced: Set<Deferred<void>> | undefined;
  /** See {@link setReleaseError}. */
  #releaseError: WebSocketError | undefined;
  /** Referenced bytes and frames that the transport has released within its `write` in this turn. */
  #releasedBytes = 0;
  #releasedFrames = 0;

  get empty(): boolean {
    return (
      this.#drain === undefined && this.#nextTurn === undefined && this.#referenced === undefined
    );
  }

  /**
   * Adds a control frame with a copy of `payload`. Only the newest ping of the library, the newest pong of the
   * library and the newest pong of the user wait.
   *
   * @returns An error if {@link MAX_PENDING_PINGS} pings of the user already wait. Then the frame is not
   *   added.
   */
  addControl(opcode: number, payload: Uint8Array, ours: boolean): BackpressureError | undefined {
    const isOfKind = (frame: ControlFrame): boolean =>
      frame.opcode === opcode && frame.ours === ours;
    if (ours || opcode === PongMessage) {
      // RFC 6455, section 5.5.3: an endpoint may answer only the most recent ping.
      this.#controls = this.#controls.filter((frame) => !isOfKind(frame));
    } else if (this.#controls.filter(isOfKind).length >= MAX_PENDING_PINGS) {
      return new BackpressureError(`${MAX_PENDING_PINGS} pings are already waiting for the peer`);
    }
    this.#controls.push({ opcode, payload: copyOf(payload), ours });
    return undefined;
  }

  get hasControls(): boolean {
    return this.#controls.length > 0;
  }

  /** Removes all control frames and returns them, oldest first. */
  takeControls(): readonly ControlFrame[] {
    return this.#controls.splice(0);
  }

  forDrain(): Promise<void> {
    this.#drain ??= new Deferred<void>();
    return this.#drain.promise;
  }

  /** Resolves the promise of {@link forDrain}; with `error`, rejects it. */
  drained(error?: WebSocketError): void {
    const drain = this.#drain;
    this.#drain = undefined;
    if (error === undefined) drain?.resolve();
    else drain?.reject(error);
  }

  /** Resolves in the next turn, which also resets the budget of `sender`. */
  forNextTurn(platform: Platform, sender: { resetBudget(): void }): Promise<void> {
    if (this.#nextTurn === undefined) {
      const turn = new Deferred<void>();
      this.#nextTurn = turn;
      platform.yield(() => {
        this.#nextTurn = undefined;
        sender.resetBudget();
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
   * Sets an error, or removes it. While an error is set, a write whose bytes are released rejects.
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

  /** Whether the releases within `write` have reached a bound of this turn. */
  get releasesFillTurn(): boolean {
    return isTurnFull(this.#releasedBytes, this.#releasedFrames);
  }

  resetReleases(): void {
    this.#releasedBytes = 0;
    this.#releasedFrames = 0;
  }

  /** Settles a released write: at once, or as `next` if given. A rejected write stays rejected. */
  settle(write: Deferred<void>, next: Promise<void> | undefined): void {
    write.resolve(next);
    if (this.#referenced?.delete(write) !== true || this.#referenced.size > 0) return;
    this.#referenced = undefined;
  }

  /** The transport is closed: rejects all waiting writes, discards pings and pongs. */
  rejectAll(error: WebSocketError): void {
    this.#controls = [];
    this.drained(error);
    for (const write of this.#referenced ?? []) write.reject(error);
    this.#referenced = undefined;
  }
}
