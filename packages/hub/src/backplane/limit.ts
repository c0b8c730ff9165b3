/** Passed tasks that the queue keeps at most. */
const MAX_PASSED = 1_024;

/** Runs at most `most` tasks at a time, in the order of the calls. */
export class Limit {
  readonly #most: number;
  #waiting: (() => void)[] = [];
  /** Index of the first waiting task. */
  #first = 0;
  #running = 0;

  constructor(most: number) {
    this.#most = most;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running < this.#most) this.#running++;
    else await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    try {
      return await task();
    } finally {
      this.#next();
    }
  }

  /** Gives the place of a finished task to the next one. */
  #next(): void {
    if (this.#first === MAX_PASSED) {
      this.#waiting = this.#waiting.slice(MAX_PASSED);
      this.#first = 0;
    }
    const next = this.#waiting[this.#first++];
    if (next !== undefined) return next();
    this.#running--;
    this.#waiting = [];
    this.#first = 0;
  }
}
