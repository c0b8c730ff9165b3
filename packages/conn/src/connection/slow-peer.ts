/** In each `closeTimeout`, a slow peer must take this part of the bytes that were unsent at our close. */
const LEAST_PROGRESS = 0.1;
/** A slow peer gets at most this many times `closeTimeout`, from our close frame on. */
const MAX_TIMEOUTS = 10;

/**
 * Gives a peer that reads slowly more time for the closing handshake, as long as it takes the accepted
 * messages. Bytes are `unsent` until the operating system has them, then `flushed`. Times are in ms of
 * the platform's clock.
 */
export class SlowPeer {
  readonly #closeTimeout: number;
  /** When we closed, and the flushed bytes at that time, to compute the speed of the peer. */
  readonly #closedAt: number;
  readonly #flushedAtClose: number;
  /** Bytes that the peer must take before each deadline. */
  readonly #least: number;
  /** The flushed bytes, and the unsent bytes, when the deadline was set. */
  #flushed: number;
  #unsent: number;
  /** When the transport last drained since the deadline was set; undefined if it did not. */
  #drainedAt: number | undefined;

  constructor(closeTimeout: number, now: number, flushed: number, unsent: number) {
    this.#closeTimeout = closeTimeout;
    this.#closedAt = now;
    this.#flushedAtClose = this.#flushed = flushed;
    this.#unsent = unsent;
    this.#least = Math.ceil(unsent * LEAST_PROGRESS);
  }

  drained(now: number): void {
    this.#drainedAt = now;
  }

  /**
   * Called at the deadline.
   *
   * @param inTransit - Bound of the flushed bytes that the peer has not read.
   * @returns Ms until the next deadline; 0 to give up the peer.
   */
  extend(now: number, flushed: number, unsent: number, inTransit: number): number {
    const closeTimeout = this.#closeTimeout;
    const taken = flushed - this.#flushed;
    if (this.#unsent === 0 || taken < Math.min(this.#least, this.#unsent)) return 0;
    let deadline = (this.#drainedAt ?? now) + closeTimeout;
    if (unsent === 0) {
      // Adds the time that the peer needs for `inTransit`, at its speed since we closed.
      deadline += ((now - this.#closedAt) * inTransit) / (flushed - this.#flushedAtClose);
    }
    this.#flushed = flushed;
    this.#unsent = unsent;
    this.#drainedAt = undefined;
    return Math.max(0, Math.min(deadline, this.#closedAt + MAX_TIMEOUTS * closeTimeout) - now);
  }
}
