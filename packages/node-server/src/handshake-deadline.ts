/** The time that one handshake has, from its request to its answer. */
export class HandshakeDeadline {
  #timeout: number;
  readonly #startedAt = performance.now();
  readonly #onExpired: () => void;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param timeout - Milliseconds; Infinity for no bound.
   * @param onExpired - Called when the timer of {@link start} expires.
   */
  constructor(timeout: number, onExpired: () => void) {
    this.#timeout = timeout;
    this.#onExpired = onExpired;
  }

  /** Milliseconds; Infinity for no bound. */
  get timeout(): number {
    return this.#timeout;
  }

  /** Replaces the timeout. The new one, too, starts at the request. */
  set timeout(timeout: number) {
    this.#timeout = timeout;
    if (this.#timer === undefined) return;
    this.stop();
    this.start();
  }

  /** Milliseconds left since the request, 0 or more; Infinity for no bound. */
  get remaining(): number {
    return Math.max(this.timeout - (performance.now() - this.#startedAt), 0);
  }

  /** Starts the timer, with the time that remains, unless it runs already. */
  start(): void {
    if (this.timeout === Infinity) return;
    this.#timer ??= setTimeout(this.#onExpired, this.remaining);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
