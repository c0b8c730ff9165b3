/** Time between two looks at the clock, in ms. */
const INTERVAL = 20;

/**
 * Measures how late the timers of this process are: other programs have the processor, or the machine
 * was asleep. What a case times then says nothing about its target.
 */
export class Lateness {
  readonly #start = performance.now();
  readonly #timer: NodeJS.Timeout;
  #late = 0;
  #due: number;

  constructor() {
    this.#due = this.#start + INTERVAL;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#late += Math.max(0, now - this.#due);
      this.#due = now + INTERVAL;
    }, INTERVAL);
    this.#timer.unref();
  }

  /** Sum of the delays so far, in ms. */
  get total(): number {
    // A delay that is not over counts too.
    return this.#late + Math.max(0, performance.now() - this.#due);
  }

  /** Share of the time since the start, 0 to 1. */
  get share(): number {
    const elapsed = performance.now() - this.#start;
    return elapsed === 0 ? 0 : Math.min(1, this.total / elapsed);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
