/** A callback that waits. A list, because to shift a long array costs as much as to copy it. */
interface Waiting {
  readonly callback: () => void;
  next: Waiting | undefined;
}

/**
 * The callbacks that wait for a later turn of the event loop. Test tools replace the timers of a
 * runtime, and drop the callbacks of a clock that they remove. So every callback is posted again
 * when the timers have changed since the last call.
 */
export class Turns {
  readonly #post: (run: () => void) => void;
  #first: Waiting | undefined;
  #last: Waiting | undefined;
  #count = 0;
  #timers: unknown = setTimeout;

  /** @param post - Calls `run` in a later turn. It looks up the function of the runtime. */
  constructor(post: (run: () => void) => void) {
    this.#post = post;
  }

  add(callback: () => void): void {
    if (this.#timers !== setTimeout) this.#postAgain();
    const waiting: Waiting = { callback, next: undefined };
    if (this.#last === undefined) this.#first = waiting;
    else this.#last.next = waiting;
    this.#last = waiting;
    this.#count++;
    this.#post(this.#run);
  }

  #postAgain(): void {
    this.#timers = setTimeout;
    for (let i = 0; i < this.#count; i++) this.#post(this.#run);
  }

  /** A turn for each callback: microtasks run between two of them. */
  readonly #run = (): void => {
    const first = this.#first;
    if (first === undefined) return;
    this.#first = first.next;
    if (first.next === undefined) this.#last = undefined;
    this.#count--;
    first.callback();
  };
}
