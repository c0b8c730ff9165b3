import { randomBytes } from 'node:crypto';
import type { FrameDirection } from './frame-direction.ts';

/** Bytes of a ping's payload. */
const PING_SIZE = 8;

/** Finds a source from which nothing has come for a while. */
export class SourceHeartbeat {
  readonly #from: FrameDirection;
  readonly #to: FrameDirection;
  #bytes = -1;
  /** Bytes that the source's socket has sent to its peer. */
  #sent = 0;
  #since = 0;
  #pinged = false;
  /** Bytes for the source that the socket had accepted before the ping. */
  #ahead = 0;

  /** @param from, to - The directions from the source and to it. */
  constructor(from: FrameDirection, to: FrameDirection) {
    this.#from = from;
    this.#to = to;
  }

  tick(now: number, { interval, timeout }: { interval?: number; timeout?: number }): void {
    const { bytes, source } = this.#from;
    const quiet = now - this.#since;
    const sent = this.#to.bytes - source.writableLength;
    const sentBefore = this.#sent;
    this.#sent = sent;
    // A source that the proxy has paused cannot answer.
    if (bytes !== this.#bytes || source.isPaused()) {
      this.#bytes = bytes;
      this.#since = now;
      this.#pinged = false;
    } else if (this.#pinged) {
      // The ping waits behind older bytes, and the peer takes them.
      if (sentBefore < this.#ahead && sent !== sentBefore) this.#since = now;
      else if (quiet >= timeout!) source.destroy();
    } else if (quiet >= interval!) {
      const payload = randomBytes(PING_SIZE);
      this.#pinged = this.#to.sendPing(payload);
      if (this.#pinged) this.#from.ping = payload;
      this.#ahead = this.#to.bytes;
      this.#since = now;
    }
  }
}
