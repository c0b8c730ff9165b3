import { RuntimeTimers } from './runtime-timers.ts';

/** An entry of a linked list: to shift a long array costs as much as to copy it. */
interface Waiting {
  readonly callback: () => void;
  next: Waiting | undefined;
}

/** The callbacks of a platform's `yield`. They run in later turns of the event loop, one in each. */
export class YieldQueue {
  readonly #post: (run: () => void) => void;
  readonly #runtime: RuntimeTimers;
  #first: Waiting | undefined;
  #last: Waiting | undefined;
  #count = 0;

  /** @param post - Calls `run` in a later turn. It looks up the function of the runtime. */
  constructor(post: (run: () => void) => void) {
    this.#post = post;
    this.#runtime = new RuntimeTimers(() => this.#postAgain());
  }

  add(callback: () => void): void {
    this.#runtime.check();
    const waiting: Waiting = { callback, next: undefined };
    if (this.#last === undefined) this.#first = waiting;
    else this.#last.next = waiting;
    this.#last = waiting;
    this.#count++;
    this.#post(this.#run);
  }

  #postAgain(): void {
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
