import { Deferred, handled } from './promises.ts';

interface Waiting {
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
  readonly #waiting: Waiting[] = [];

  get empty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Waits for its turn, then does what `start` does. `drop` is called when the turn never comes. */
  join<T>(size: number, start: () => T | PromiseLike<T>, drop?: () => void): Promise<T> {
    const turn = new Deferred<T>();
    this.bytes += size;
    this.#waiting.push({
      size,
      start: () => turn.resolve(start()),
      refuse: (error) => {
        drop?.();
        turn.reject(error);
      },
    });
    return handled(turn.promise);
  }

  /** The next one's turn. */
  advance(): void {
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.bytes -= next.size;
    next.start();
  }

  /** Nobody's turn comes any more. */
  refuse(error: unknown): void {
    this.bytes = 0;
    for (const waiting of this.#waiting.splice(0)) waiting.refuse(error);
  }
}
