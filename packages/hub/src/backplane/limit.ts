import { addAbortListener, Deferred, removeAbortListener } from '@ws/conn/internal';

/** Runs at most `most` tasks at a time, in the order of the calls. */
export class Limit {
  readonly #most: number;
  readonly #waiting = new Set<Deferred<void>>();
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
      // The next task gets the place.
      else {
        this.#waiting.delete(next);
        next.resolve();
      }
    }
  }

  async #untilPlace(signal: AbortSignal | undefined): Promise<void> {
    const place = new Deferred<void>();
    // Removes it at once. An aborted task that got a place would never return it.
    const giveUp = (): void => {
      if (this.#waiting.delete(place)) place.reject(signal!.reason);
    };
    this.#waiting.add(place);
    if (signal?.aborted) giveUp();
    if (signal !== undefined) addAbortListener(signal, giveUp);
    try {
      await place.promise;
    } finally {
      if (signal !== undefined) removeAbortListener(signal, giveUp);
    }
  }
}
