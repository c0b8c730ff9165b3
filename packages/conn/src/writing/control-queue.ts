import { PongMessage } from '@ws/codec';
import { BackpressureError } from '../errors.ts';
import { copyOf } from '../memory/copy.ts';

/** Bound of the user's pings that wait for the transport, and of those without a pong. */
export const MAX_PENDING_PINGS = 64;

/** A waiting ping or pong. */
type ControlFrame = {
  readonly opcode: number;
  readonly payload: Uint8Array;
  /** Whether the library sends the frame; false for the user. */
  readonly ours: boolean;
};

/**
 * Pings and pongs that wait for a blocked transport. They overtake queued messages between two
 * frames (RFC 6455, section 5.4). Of three kinds the queue keeps only the newest: pings of the
 * library, pongs of the library, and pongs of the user.
 */
export class ControlQueue {
  #frames: ControlFrame[] = [];
  /** Number of waiting pings of the user. */
  #pings = 0;

  /**
   * Adds a frame with a copy of `payload`.
   *
   * @returns An error, when {@link MAX_PENDING_PINGS} pings of the user wait. The frame is not
   *   added.
   */
  add(opcode: number, payload: Uint8Array, ours: boolean): BackpressureError | undefined {
    if (ours || opcode === PongMessage) {
      // RFC 6455, section 5.5.3: an endpoint may answer only the most recent ping.
      this.#frames = this.#frames.filter((frame) => frame.opcode !== opcode || frame.ours !== ours);
    } else if (this.#pings >= MAX_PENDING_PINGS) {
      return new BackpressureError(`${this.#pings} pings are already waiting for the peer`);
    } else this.#pings++;
    this.#frames.push({ opcode, payload: copyOf(payload), ours });
    return undefined;
  }

  /** Removes all frames and returns them, oldest first. */
  takeAll(): readonly ControlFrame[] {
    const frames = this.#frames;
    this.#frames = [];
    this.#pings = 0;
    return frames;
  }
}
