/** How many are kept: as many connections are rarely at work at once, and more are made in no time. */
const MOST = 64;

/** Objects that nobody needs just now. The one that came last goes first, warm from the cache. */
export class FreeList<T> {
  readonly #free: (T | undefined)[] = [];
  #count = 0;

  /** How many there are. */
  get size(): number {
    return this.#count;
  }

  take(): T | undefined {
    if (this.#count === 0) return undefined;
    const one = this.#free[--this.#count];
    // The array keeps its length: one that is popped empty gives its memory up, and a push takes new.
    this.#free[this.#count] = undefined;
    return one;
  }

  /** Keeps `one`, unless there are enough. */
  give(one: T): void {
    if (this.#count < MOST) this.#free[this.#count++] = one;
  }
}

/** The owner of what lies in a free list: nobody asks anything of it. */
export const NOBODY: never = undefined as never;
