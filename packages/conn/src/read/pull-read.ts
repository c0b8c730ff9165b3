import { markHandled } from '../time/promises.ts';

/**
 * A call of `readMessage`, `nextReader` or an iterator's `next`, until the call has its message. Only
 * a call that must wait creates a promise here.
 */
export class PullRead<Result> {
  /** Name of the method that began the read, for error messages. */
  readonly name: string;
  /** The iterator of `for await`. Its `next` returns the promise of this read. */
  readonly iterator: object | undefined;
  /** Whether the read takes the message as a stream. */
  readonly streams: boolean;
  /** The result, if the message came before {@link wait}. */
  taken: Result | undefined;
  /** The promise of {@link wait}. */
  promise: Promise<unknown> | undefined;
  #resolve!: (value: unknown) => void;
  #reject!: (reason: unknown) => void;

  constructor(name: string, iterator?: object) {
    this.name = name;
    this.iterator = iterator;
    this.streams = name === 'nextReader';
  }

  /** Called when the message has not arrived. Returns a promise of the message. */
  wait(): Promise<unknown> {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    return this.promise;
  }

  give(taken: Result): void {
    if (this.promise === undefined) this.taken = taken;
    else this.#resolve(this.iterator === undefined ? taken : { done: false, value: taken });
  }

  /** Ends the iteration: its pending `next` resolves to `done`. */
  leave(): void {
    if (this.promise !== undefined) this.#resolve({ done: true, value: undefined });
  }

  reject(reason: unknown): void {
    if (this.promise === undefined) return;
    void markHandled(this.promise);
    this.#reject(reason);
  }
}
