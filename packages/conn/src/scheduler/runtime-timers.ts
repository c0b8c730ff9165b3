/**
 * The rule for fake timers. Test tools replace the runtime's timers, and drop the callbacks of fake
 * timers that they remove. Code that waits for a callback calls {@link check} whenever it gets more
 * work, and gives the callback to the runtime again when the timers were replaced. A callback that
 * comes twice finds nothing to do.
 */
export class RuntimeTimers {
  readonly #onReplaced: () => void;
  #current: unknown = setTimeout;

  /** @param onReplaced - Gives all waiting callbacks to the runtime again. */
  constructor(onReplaced: () => void) {
    this.#onReplaced = onReplaced;
  }

  check(): void {
    if (this.#current === setTimeout) return;
    this.#current = setTimeout;
    this.#onReplaced();
  }
}
