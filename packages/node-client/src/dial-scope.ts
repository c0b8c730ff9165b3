import { TimeoutError } from '@ws/conn';
import { addAbortListener, removeAbortListener } from '@ws/conn/internal';

/**
 * Bounds one dial: combines the handshake timeout and the caller's signal into one signal for all
 * stages. `end` releases both.
 */
export class DialScope {
  /** Aborts with a TimeoutError, or with the reason of the caller's signal. */
  readonly signal: AbortSignal;
  /** The other end, for the message of the timeout. */
  peer = '';
  /** The current stage, for the message of the timeout. */
  stage = 'connecting';
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  #afterReads: NodeJS.Immediate | undefined;
  /** The time at which the timeout is over, by `performance.now()`. */
  readonly #endsAt: number;

  /** @param timeout - Milliseconds; Infinity for none. */
  constructor(timeout: number, outer: AbortSignal | undefined) {
    this.signal = this.#controller.signal;
    this.#outer = outer;
    this.#endsAt = performance.now() + timeout;
    if (outer?.aborted) {
      this.#onAbort();
      return;
    }
    if (outer !== undefined) addAbortListener(outer, this.#onAbort);
    if (timeout === Infinity) return;
    const expire = (): void => {
      const message = `handshake with ${this.peer} timed out after ${timeout} ms (option handshakeTimeout) while ${this.stage}`;
      this.#controller.abort(new TimeoutError(message));
    };
    // Reads the sockets first: the answer may have arrived in a busy process.
    this.#timer = setTimeout(() => {
      this.#afterReads = setImmediate(expire);
    }, timeout);
  }

  /** Milliseconds until the timeout, perhaps negative; Infinity for none. */
  get remaining(): number {
    return this.#endsAt - performance.now();
  }

  /**
   * Waits for `work` until the signal aborts. After an abort the result of `work` is ignored.
   *
   * @throws the error of `work`, or the reason of the signal.
   */
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

  /** Removes the timer and the listener. */
  end(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#afterReads);
    if (this.#outer !== undefined) removeAbortListener(this.#outer, this.#onAbort);
  }

  readonly #onAbort = (): void => {
    this.#controller.abort(this.#outer?.reason);
  };
}
