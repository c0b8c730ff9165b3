/** Collects uncaught errors and unhandled rejections: they are findings of the running input. */
export class UncaughtErrors {
  #error: unknown;

  readonly #onError = (error: unknown): void => {
    this.#error ??= new Error(`uncaught: ${String(error)}`, { cause: error });
  };

  start(): void {
    process.on('uncaughtException', this.#onError);
    process.on('unhandledRejection', this.#onError);
  }

  stop(): void {
    process.off('uncaughtException', this.#onError);
    process.off('unhandledRejection', this.#onError);
  }

  /** Returns the first error since the last call. */
  take(): unknown {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }
}
