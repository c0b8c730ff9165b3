import { PongMessage } from '@ws/codec';
import { BackpressureError } from '../errors.ts';
import { copyOf } from '../memory/copy.ts';

/** Bound of the user's pings that wait for the transport, and of the user's pings without a pong. */
export const MAX_PENDING_PINGS = 64;

/** A waiting ping or pong. */
type ControlFrame = {
  readonly opcode: number;
  readonly payload: Uint8Array;
  /** Whether the library itself sends the frame, not the user. */
  readonly ours: boolean;
};

/**
 * Pings and pongs that wait for a blocked transport. They overtake queued messages between two
 * frames (RFC 6455, section 5.4). The queue keeps only the newest ping of the library, the newest pong
 * of the library and the newest pong of the user.
 */
export class ControlQueue {
  #frames: ControlFrame[] = [];
  /** Number of waiting pings of the user. */
  #pings = 0;

  /**
   * Adds a frame with a copy of `payload`.
   *
   * @returns An error if {@link MAX_PENDING_PINGS} pings of the user already wait. Then the frame is not
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
