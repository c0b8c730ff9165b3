/** An entry of a linked list: to shift a long array costs as much as to copy it. */
interface Waiting {
  readonly callback: () => void;
  next: Waiting | undefined;
}

/**
 * Callbacks that wait for later turns of the event loop, one turn for each. Test tools replace the
 * runtime's timers, and drop the callbacks of fake timers that they remove. When the timers have
 * changed since the last call, the queue posts every callback again.
 */
export class TurnQueue {
  readonly #post: (run: () => void) => void;
  #first: Waiting | undefined;
  #last: Waiting | undefined;
  #count = 0;
  /** The runtime's timers when the last callback was posted. */
  #scheduledBy: unknown = setTimeout;

  /** @param post - Calls `run` in a later turn. It looks up the function of the runtime. */
  constructor(post: (run: () => void) => void) {
    this.#post = post;
  }

  add(callback: () => void): void {
    if (this.#scheduledBy !== setTimeout) this.#postAgain();
    const waiting: Waiting = { callback, next: undefined };
    if (this.#last === undefined) this.#first = waiting;
    else this.#last.next = waiting;
    this.#last = waiting;
    this.#count++;
    this.#post(this.#run);
  }

  #postAgain(): void {
    this.#scheduledBy = setTimeout;
    for (let i = 0; i < this.#count; i++) this.#post(this.#run);
  }

  /** Runs each callback in its own turn, so that microtasks run between two callbacks. */
  readonly #run = (): void => {
    const first = this.#first;
    if (first === undefined) return;
    this.#first = first.next;
    if (first.next === undefined) this.#last = undefined;
    this.#count--;
    first.callback();
  };
}
