/** Runs at most `most` tasks at a time, in the order of the calls. */
export class Limit {
  readonly #most: number;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** @throws (rejects) the error of `task`; the reason of `signal`, if it aborts before. */
  async run<T>(task: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#running < this.#most) this.#running++;
    else await this.#untilPlace(signal);
    try {
      return await task();
    } finally {
      const [next] = this.#waiting;
      if (next === undefined) this.#running--;
      // `#running` stays: the next task gets the place of this one.
      else if (this.#waiting.delete(next)) next();
    }
  }

  #untilPlace(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(resolve);
      // Removes the aborted task at once. Otherwise it would get a place, and never release it.
      const giveUp = (): void => {
        if (this.#waiting.delete(resolve)) reject(signal!.reason);
      };
      if (signal?.aborted) giveUp();
      else signal?.addEventListener('abort', giveUp);
    });
  }
}
