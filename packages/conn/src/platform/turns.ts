/**
 * The callbacks that wait for a later turn of the event loop. Test tools replace the timers of a
 * runtime, and drop the callbacks of a clock that they remove. So every callback is posted again
 * when the timers have changed since the last call.
 */
export class Turns {
  readonly #post: (run: () => void) => void;
  readonly #waiting: (() => void)[] = [];
  #timers: unknown = setTimeout;

  /** @param post - Calls `run` in a later turn. It looks up the function of the runtime. */
  constructor(post: (run: () => void) => void) {
    this.#post = post;
  }

  add(callback: () => void): void {
    if (this.#timers !== setTimeout) this.#postAgain();
    this.#waiting.push(callback);
    this.#post(this.#run);
  }

  #postAgain(): void {
    this.#timers = setTimeout;
    for (let i = 0; i < this.#waiting.length; i++) this.#post(this.#run);
  }

  /** A turn for each callback: microtasks run between two of them. */
  readonly #run = (): void => this.#waiting.shift()?.();
}
