/** Part of the bytes unsent at our close frame. A slow peer has to take it in each `closeTimeout`. */
const LEAST_PROGRESS = 0.1;
/** Most times `closeTimeout` from our close frame on. */
const LONGEST = 10;

/**
 * A peer that reads slowly when we close. It gets the accepted messages while it takes them. Bytes are
 * `flushed` when the operating system has them, and `unsent` until then. Times are of the platform's
 * clock, in ms.
 */
export class SlowPeer {
  readonly #closeTimeout: number;
  /** When we closed, and the bytes that were flushed then. Together they give the speed of the peer. */
  readonly #since: number;
  readonly #flushedAtClose: number;
  /** Bytes that the peer has to take until the deadline. */
  readonly #least: number;
  /** The bytes that were flushed, and unsent, when the deadline was set. */
  #flushed: number;
  #unsent: number;
  /** When the transport has drained last since then. */
  #drainedAt: number | undefined;

  constructor(closeTimeout: number, now: number, flushed: number, unsent: number) {
    this.#closeTimeout = closeTimeout;
    this.#since = now;
    this.#flushedAtClose = this.#flushed = flushed;
    this.#unsent = unsent;
    this.#least = Math.ceil(unsent * LEAST_PROGRESS);
  }

  drained(now: number): void {
    this.#drainedAt = now;
  }

  /**
   * The deadline has come.
   *
   * @param inTransit - Bytes that the operating systems may have.
   * @returns The time in ms until the next deadline; 0 gives up the peer.
   */
  extend(now: number, flushed: number, unsent: number, inTransit: number): number {
    const closeTimeout = this.#closeTimeout;
    const taken = flushed - this.#flushed;
    if (this.#unsent === 0 || taken < Math.min(this.#least, this.#unsent)) return 0;
    let until = (this.#drainedAt ?? now) + closeTimeout;
    if (unsent === 0) {
      // The time that the peer needs for them at its speed since we closed.
      until += ((now - this.#since) * inTransit) / (flushed - this.#flushedAtClose);
    }
    this.#flushed = flushed;
    this.#unsent = unsent;
    this.#drainedAt = undefined;
    return Math.max(0, Math.min(until, this.#since + LONGEST * closeTimeout) - now);
  }
}
