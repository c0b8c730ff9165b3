import { Deferred, handled } from './promises.ts';

interface Waiting {
  readonly promise: Promise<unknown>;
  /** Bytes that wait with it. */
  readonly size: number;
  /** Its turn has come. */
  start(): void;
  /** Its turn will not come. */
  refuse(error: unknown): void;
}

/**
 * Writes that wait behind an open MessageWriter, first in first out: a message must not begin before the one before it
 * has ended (RFC 6455, section 5.4).
 */
export class Line {
  /** Bytes that wait. */
  bytes = 0;
  #waiting: Waiting[] = [];
  /** Those before this one have had their turn: an index, since there may be very many. */
  #first = 0;

  get empty(): boolean {
    return this.#first === this.#waiting.length;
  }

  /** Waits for its turn, then does what `start` does. `drop` is called when the turn never comes. */
  join<T>(size: number, start: () => T | PromiseLike<T>, drop?: () => void): Promise<T> {
    const turn = new Deferred<T>();
    this.bytes += size;
    this.#waiting.push({
      promise: turn.promise,
      size,
      start: () => {
        try {
          turn.resolve(start());
        } catch (error) {
          turn.reject(error);
        }
      },
      refuse: (error) => {
        drop?.();
        turn.reject(error);
      },
    });
    return handled(turn.promise);
  }

  /** The next one's turn. */
  advance(): void {
    const next = this.#waiting[this.#first];
    if (next === undefined) return;
    this.#first++;
    if (this.empty) this.#clear();
    this.bytes -= next.size;
    next.start();
  }

  /** Nobody's turn comes any more. */
  refuse(error: unknown): void {
    const waiting = this.#waiting.slice(this.#first);
    this.bytes = 0;
    this.#clear();
    for (const one of waiting) one.refuse(error);
  }

  /** Lets the one that `promise` stands for leave the line; nothing happens when its turn has come already. */
  leave(promise: Promise<unknown>, reason: unknown): void {
    const at = this.#waiting.findIndex((one, i) => i >= this.#first && one.promise === promise);
    if (at < 0) return;
    const [one] = this.#waiting.splice(at, 1);
    this.bytes -= one!.size;
    one!.refuse(reason);
  }

  #clear(): void {
    this.#waiting = [];
    this.#first = 0;
  }
}
