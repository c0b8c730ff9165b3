import { Fifo } from '@ws/conn/internal';

/** Runs at most `most` tasks at a time, in the order of the calls. */
export class Limit {
  readonly #most: number;
  readonly #waiting = new Fifo<() => void>();
  #running = 0;

  constructor(most: number) {
    this.#most = most;
  }

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running < this.#most) this.#running++;
    else await new Promise<void>((resolve) => void this.#waiting.add(resolve));
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      // The next task gets the place.
      else next();
    }
  }
}
