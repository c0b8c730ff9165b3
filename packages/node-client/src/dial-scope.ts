import { TimeoutError } from '@ws/conn';
import { addAbortListener, removeAbortListener } from '@ws/conn/internal';

/**
 * Bounds one dial in all its stages, by the handshake timeout and the caller's signal. `stop`
 * removes the timer and the listener.
 */
export class DialScope {
  /** The other end, for the message of the timeout. */
  peer = '';
  /** The current stage, for the message of the timeout. */
  stage = 'connecting';
  /** Whether the time is over, or the caller's signal was aborted. */
  isAborted = false;
  /** Why the dial was aborted: a TimeoutError, or the reason of the caller's signal. */
  reason: unknown = undefined;
  readonly #outer: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  #afterReads: NodeJS.Immediate | undefined;
  /** The time at which the timeout is over, by `performance.now()`. */
  readonly #endsAt: number;
  /** Rejects the waits of {@link race}. */
  readonly #waits = new Set<(reason: unknown) => void>();
  /** Created on demand: most dials have no function that takes a signal. */
  #controller: AbortController | undefined;

  /** @param timeout - Milliseconds; Infinity for none. */
  constructor(timeout: number, outer: AbortSignal | undefined) {
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
      this.#abort(new TimeoutError(message));
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

  /** Returns a signal for a function of the application. It aborts with the dial. */
  makeSignal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.isAborted) this.#controller.abort(this.reason);
    return this.#controller.signal;
  }

  /**
   * Waits for `work` until the dial is aborted. After that the result of `work` is ignored.
   *
   * @throws the error of `work`, or the reason of the abort.
   */
  async race<T>(work: T | PromiseLike<T>): Promise<T> {
    let fail!: (reason: unknown) => void;
    try {
      return await new Promise<T>((resolve, reject) => {
        fail = reject;
        if (this.isAborted) fail(this.reason);
        else this.#waits.add(fail);
        Promise.resolve(work).then(resolve, reject);
      });
    } finally {
      this.#waits.delete(fail);
    }
  }

  /** Removes the timer and the listener. */
  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#afterReads);
    if (this.#outer !== undefined) removeAbortListener(this.#outer, this.#onAbort);
  }

  readonly #onAbort = (): void => {
    const reason: unknown = this.#outer!.reason;
    // A signal of another library may have no reason.
    this.#abort(reason === undefined ? AbortSignal.abort().reason : reason);
  };

  #abort(reason: unknown): void {
    if (this.isAborted) return;
    this.isAborted = true;
    this.reason = reason;
    for (const fail of this.#waits) fail(reason);
    this.#controller?.abort(reason);
  }
}
