import { PongMessage } from '@ws/codec';
import { BackpressureError } from '../errors.ts';
import { copyOf } from '../memory/copy.ts';

/** A waiting ping or pong. */
interface ControlFrame {
  readonly opcode: number;
  readonly payload: Uint8Array;
  /** Whether the library sends the frame, not the user. */
  readonly own: boolean;
}

/**
 * Pings and pongs that wait for a blocked transport. They overtake queued messages between two
 * frames (RFC 6455, section 5.4). At most two pongs wait: the newest answer and the newest pong of the
 * user.
 */
export class ControlQueue {
  #frames: ControlFrame[] = [];

  /**
   * Adds a frame with a copy of `bytes[start, end)`.
   *
   * @returns Why it was not added: more than `maxPings` frames wait. A pong is always added.
   */
  add(
    opcode: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    own: boolean,
    maxPings: number,
  ): BackpressureError | undefined {
    if (opcode === PongMessage) {
      // RFC 6455, section 5.5.3: an endpoint may answer only the most recent ping.
      this.#frames = this.#frames.filter((frame) => {
        return frame.opcode !== PongMessage || frame.own !== own;
      });
    } else if (this.#frames.length > maxPings) {
      return new BackpressureError(
        `${this.#frames.length} pings are already waiting for the peer (option maxPendingPings)`,
      );
    }
    this.#frames.push({ opcode, payload: copyOf(bytes, start, end), own });
    return undefined;
  }

  /** Removes all frames and returns them, oldest first. */
  takeAll(): readonly ControlFrame[] {
    const frames = this.#frames;
    this.#frames = [];
    return frames;
  }
}
