/** Errors that nobody caught: in a run of a target they are findings, like those that are thrown. */
export class Uncaught {
  #error: unknown;

  readonly #onError = (error: unknown): void => {
    this.#error ??= new Error(`uncaught: ${String(error)}`, { cause: error });
  };

  listen(): void {
    process.on('uncaughtException', this.#onError);
    process.on('unhandledRejection', this.#onError);
  }

  leave(): void {
    process.off('uncaughtException', this.#onError);
    process.off('unhandledRejection', this.#onError);
  }

  /** The first one since the last call. */
  take(): unknown {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }
}
