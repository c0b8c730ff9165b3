/** How often something may be done: `burst` times at once, and `perSecond` times a second in the long run. */
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

  /** Whether it may be done at `now`, in ms of `performance.now()`; if so, it is counted. */
  take(now: number = performance.now()): boolean {
    const earned = ((now - this.#since) / 1_000) * this.#perSecond;
    this.#left = Math.min(this.#burst, this.#left + earned);
    this.#since = now;
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
