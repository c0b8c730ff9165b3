import { addAbortListener, removeAbortListener, TimeoutError } from '@ws/conn';

/**
 * What may end a dial before its time: the handshake's timeout and the caller's signal, as one signal for all its
 * stages. `end` forgets both.
 */
export class Bounds {
  /** Aborts with a TimeoutError, or with the reason of the caller's signal. */
  readonly signal: AbortSignal;
  /** With whom, for the message of the timeout. */
  peer = '';
  /** What is going on, for the message of the timeout. */
  stage = 'connecting';
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;

  /** @param timeout - Milliseconds; Infinity for none. */
  constructor(timeout: number, outer: AbortSignal | undefined) {
    this.signal = this.#controller.signal;
    this.#outer = outer;
    if (outer?.aborted) {
      this.#onAbort();
      return;
    }
    if (outer !== undefined) addAbortListener(outer, this.#onAbort);
    if (timeout === Infinity) return;
    this.#timer = setTimeout(() => {
      const message = `handshake with ${this.peer} timed out after ${timeout} ms while ${this.stage}`;
      this.#controller.abort(new TimeoutError(message));
    }, timeout);
  }

  /** Waits for `work` no longer than the bounds allow. When they end it first, `work` goes on unheard. */
  async race<T>(work: T | PromiseLike<T>): Promise<T> {
    const { signal } = this;
    let abort: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      abort = () => reject(signal.reason);
      if (signal.aborted) abort();
      else signal.addEventListener('abort', abort);
    });
    try {
      return await Promise.race([aborted, work]);
    } finally {
      signal.removeEventListener('abort', abort!);
    }
  }

  /** Nothing is bounded any more; the timer and the listener are gone. */
  end(): void {
    clearTimeout(this.#timer);
    if (this.#outer !== undefined) removeAbortListener(this.#outer, this.#onAbort);
  }

  readonly #onAbort = (): void => {
    this.#controller.abort(this.#outer?.reason);
  };
}
