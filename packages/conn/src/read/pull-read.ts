import { markHandled } from '../time/promises.ts';

/**
 * A call of `readMessage` or `nextReader`, or of `next` of an iterator, until it has its message. Its
 * promise is created when it has to wait. A message that has arrived needs none of its own.
 */
export class PullRead<Result> {
  /** Name of the method that began the read, for error messages. */
  readonly name: string;
  /** Of `for await`: `next` returns the promise of this read itself, so no second one is created. */
  readonly iterator: object | undefined;
  /** The result of a read that does not wait. */
  taken: Result | undefined;
  /** The promise of a read that waits. */
  promise: Promise<unknown> | undefined;
  #resolve!: (value: unknown) => void;
  #reject!: (reason: unknown) => void;

  constructor(name: string, iterator?: object) {
    this.name = name;
    this.iterator = iterator;
  }

  /** Whether the read takes its message as a stream. */
  get streams(): boolean {
    return this.name === 'nextReader';
  }

  /** The message has not arrived: returns the promise of it. */
  wait(): Promise<unknown> {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    return this.promise;
  }

  give(taken: Result): void {
    if (this.promise === undefined) this.taken = taken;
    else this.#resolve(resultOf(taken, this.iterator));
  }

  /** Reading has ended with `error`; `normally`: an iteration is done. */
  finish(error: unknown, normally: boolean): void {
    if (normally && this.iterator !== undefined) this.leave();
    else this.reject(error);
  }

  /** The loop was left. It gets no message. */
  leave(): void {
    if (this.promise !== undefined) this.#resolve({ done: true, value: undefined });
  }

  reject(reason: unknown): void {
    if (this.promise === undefined) return;
    void markHandled(this.promise);
    this.#reject(reason);
  }
}

/** The value with which a read settles: `taken`, or the result of an iterator. */
export function resultOf(taken: unknown, iterator: object | undefined): unknown {
  return iterator === undefined ? taken : { done: false, value: taken };
}
