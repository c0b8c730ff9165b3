/**
 * Unused objects for reuse. The object that came back last goes out first: its memory is still in
 * the cache.
 *
 * Unstable: for the packages of this repository.
 */
export class Pool<T> {
  readonly #most: number;
  readonly #free: (T | undefined)[] = [];
  #count = 0;

  /** @param most - How many objects are kept at most. Default: no limit. */
  constructor(most: number = Infinity) {
    this.#most = most;
  }

  /** How many objects are in the pool. */
  get size(): number {
    return this.#count;
  }

  /** Takes the newest object out, or returns undefined when the pool is empty. */
  acquire(): T | undefined {
    if (this.#count === 0) return undefined;
    const object = this.#free[--this.#count];
    // The array keeps its length. V8 frees the memory of an array that is popped empty, and the
    // next push allocates again.
    this.#free[this.#count] = undefined;
    return object;
  }

  /** Puts an object in. The pool drops it when it is full. */
  release(object: T): void {
    if (this.#count < this.#most) this.#free[this.#count++] = object;
  }
}
