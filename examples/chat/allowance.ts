/** A token bucket: allows `burst` actions at once, and `perSecond` actions per second on average. */
export class Allowance {
  readonly #burst: number;
  readonly #perSecond: number;
  #left: number;
  #since: number;

  constructor(burst: number, perSecond: number, now: number = performance.now()) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#left = burst;
    this.#since = now;
  }

  /**
   * Counts an action at `now`, in ms of `performance.now()`.
   *
   * @returns Whether the action is allowed. A refused action is not counted.
   */
  take(now: number = performance.now()): boolean {
    const earned = ((now - this.#since) / 1_000) * this.#perSecond;
    this.#left = Math.min(this.#burst, this.#left + earned);
    this.#since = now;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
