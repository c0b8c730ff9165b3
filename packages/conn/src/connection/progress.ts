/**
 * How fast the peer takes our bytes, from one moment on: the only measure of a slow peer. The heartbeat
 * measures from its ping, the close from our last frame, `blocked` from the moment when the transport was
 * blocked. Bytes are `flushed` once the operating system has them. Times are in ms of the platform's clock.
 */
export class Progress {
  /** When the measurement began, and the flushed bytes at that time. */
  readonly at: number;
  readonly flushed: number;
  /** When the flushed bytes last grew, as far as {@link look} has seen, and their number. */
  grownAt: number;
  #seen: number;

  /** @param grownAt - Since when no byte was flushed, if that began before the measurement. */
  constructor(at: number, flushed: number, grownAt: number = at) {
    this.at = at;
    this.flushed = this.#seen = flushed;
    this.grownAt = grownAt;
  }

  /** Returns the number of bytes that were flushed since the last look. */
  look(now: number, flushed: number): number {
    const taken = flushed - this.#seen;
    if (taken <= 0) return 0;
    this.#seen = flushed;
    this.grownAt = now;
    return taken;
  }

  /**
   * Time in ms in which the peer takes `bytes` at its speed so far; 0 if it has taken none.
   *
   * @param until - The end of the time in which the peer has taken bytes. Default: their last growth.
   */
  timeFor(bytes: number, until: number = this.grownAt): number {
    const taken = this.#seen - this.flushed;
    return taken === 0 ? 0 : Math.ceil(((until - this.at) * bytes) / taken);
  }
}
