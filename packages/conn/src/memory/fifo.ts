export class FifoEntry<T> {
  readonly value: T;
  previous: FifoEntry<T> | undefined;
  next: FifoEntry<T> | undefined = undefined;
  /** Whether the entry is in the queue. */
  queued = true;

  constructor(value: T, previous: FifoEntry<T> | undefined) {
    this.value = value;
    this.previous = previous;
  }
}

/**
 * A queue, first in, first out, from which any entry can be removed. It is a linked list: to empty a
 * long array, Set or Map from its start takes more than linear time.
 */
export class Fifo<T> {
  length = 0;
  #first: FifoEntry<T> | undefined;
  #last: FifoEntry<T> | undefined;

  add(value: T): FifoEntry<T> {
    const entry = new FifoEntry(value, this.#last);
    if (this.#last === undefined) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
    this.length++;
    return entry;
  }

  /** The first value, which stays in the queue. */
  peek(): T | undefined {
    return this.#first?.value;
  }

  /** The first entry, from which `next` leads to the others. */
  get first(): FifoEntry<T> | undefined {
    return this.#first;
  }

  /** The last value, which stays in the queue. */
  get last(): T | undefined {
    return this.#last?.value;
  }

  /** Removes the first value and returns it; undefined when the queue is empty. */
  shift(): T | undefined {
    const first = this.#first;
    if (first !== undefined) this.remove(first);
    return first?.value;
  }

  /** Removes an entry. Returns false when it is no longer in the queue. */
  remove(entry: FifoEntry<T>): boolean {
    if (!entry.queued) return false;
    entry.queued = false;
    if (entry.previous === undefined) this.#first = entry.next;
    else entry.previous.next = entry.next;
    if (entry.next === undefined) this.#last = entry.previous;
    else entry.next.previous = entry.previous;
    this.length--;
    return true;
  }
}
