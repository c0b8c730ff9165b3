/** Part of the bytes unsent at our close frame that a slow peer must take in each `closeTimeout`. */
const LEAST_PROGRESS = 0.1;
/** A slow peer gets at most this many times `closeTimeout`, from our close frame on. */
const MAX_TIMEOUTS = 10;

/**
 * A peer that reads slowly when we close. The closing handshake gets more time while the peer takes the
 * accepted messages. Bytes are `flushed` when the operating system has them, and `unsent` until then.
 * Times are of the platform's clock, in ms.
 */
export class SlowPeer {
  readonly #closeTimeout: number;
  /** When we closed, and the bytes that were flushed then. Together they give the speed of the peer. */
  readonly #since: number;
  readonly #flushedAtClose: number;
  /** Bytes that the peer must take before each deadline. */
  readonly #least: number;
  /** The bytes that were flushed, and unsent, when the deadline was set. */
  #flushed: number;
  #unsent: number;
  /** When the transport last drained since then. */
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
   * @param inTransit - Flushed bytes that the operating systems may still have.
   * @returns The time in ms until the next deadline; 0 to give up the peer.
   */
  extend(now: number, flushed: number, unsent: number, inTransit: number): number {
    const closeTimeout = this.#closeTimeout;
    const taken = flushed - this.#flushed;
    if (this.#unsent === 0 || taken < Math.min(this.#least, this.#unsent)) return 0;
    let deadline = (this.#drainedAt ?? now) + closeTimeout;
    if (unsent === 0) {
      // Adds the time that the peer needs for `inTransit`, at its speed since we closed.
      deadline += ((now - this.#since) * inTransit) / (flushed - this.#flushedAtClose);
    }
    this.#flushed = flushed;
    this.#unsent = unsent;
    this.#drainedAt = undefined;
    return Math.max(0, Math.min(deadline, this.#since + MAX_TIMEOUTS * closeTimeout) - now);
  }
}
