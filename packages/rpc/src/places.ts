/** The places of handlers that run at the same time: bounds of their number, and of their size. */
export class Places {
  readonly #max: number;
  readonly #maxSize: number;
  /** Number of the taken places. */
  taken = 0;
  /** Characters of the messages of the running handlers. */
  #size = 0;

  constructor(max: number, maxSize: number) {
    this.#max = max;
    this.#maxSize = maxSize;
  }

  /** Whether a handler with a message of `size` characters may start. One handler may have any size. */
  hasRoom(size: number): boolean {
    if (this.taken === 0) return true;
    return this.taken < this.#max && this.#size + size <= this.#maxSize;
  }

  take(size: number): void {
    this.taken++;
    this.#size += size;
  }

  release(size: number): void {
    this.taken--;
    this.#size -= size;
  }
}
