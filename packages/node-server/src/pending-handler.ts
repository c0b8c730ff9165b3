import type { Conn } from '@ws/conn';
import { handlerSettled, observeReceive, type ReceiveObserver } from '@ws/conn/internal';
import type { ErrorReporter } from './error-reporter.ts';
import type { PendingWork } from './pending-work.ts';

/**
 * A handler whose promise has not settled. It refers to the connection and not to the request: the
 * promise may be pending as long as the connection lasts.
 */
export class PendingHandler implements ReceiveObserver {
  readonly #conn: Conn;
  readonly #work: PendingWork;
  readonly #reporter: ErrorReporter;
  readonly #route: string | undefined;

  constructor(conn: Conn, work: PendingWork, reporter: ErrorReporter, route: string | undefined) {
    this.#conn = conn;
    this.#work = work;
    this.#reporter = reporter;
    this.#route = route;
  }

  /** Counts the handler as running until `result` settles. */
  waitFor(result: PromiseLike<unknown>): void {
    this.#work.beginHandler();
    if (!observeReceive(result, this)) this.#waitForPromise(result);
  }

  #waitForPromise(result: PromiseLike<unknown>): void {
    // A thenable of the application may settle twice or throw. A promise does neither.
    Promise.resolve(result).then(
      () => this.fulfilled(),
      (error: unknown) => this.rejected(error),
    );
  }

  fulfilled(): void {
    handlerSettled(this.#conn);
    this.#work.endHandler();
  }

  rejected(error: unknown): void {
    this.#reporter.handlerFailed(this.#conn, error, this.#route);
    this.#work.endHandler();
  }
}
