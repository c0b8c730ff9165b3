import type { Conn } from '@ws/conn';
import { internalsOf, isThenable, type ReceiveObserver } from '@ws/conn/internal';
import type { AppRequest, ConnHandler, HandlerContext } from './conn-handler.ts';
import type { UpgraderPlan } from './options.ts';
import type { PendingWork } from './pending-work.ts';
import type { NoParams } from './route-table.ts';

/**
 * Runs the handler of a route for each of its connections, and observes the handler's promises: a
 * connection needs no observer of its own.
 */
export class HandlerRunner implements ReceiveObserver<Conn> {
  /** The options of the route. */
  readonly plan: UpgraderPlan;
  readonly #handler: ConnHandler<unknown, NoParams, AppRequest>;
  readonly #work: PendingWork;
  readonly #route: string | undefined;

  constructor(
    handler: ConnHandler<unknown, NoParams, AppRequest>,
    work: PendingWork,
    plan: UpgraderPlan,
    route: string | undefined,
  ) {
    this.plan = plan;
    this.#handler = handler;
    this.#work = work;
    this.#route = route;
  }

  /**
   * Runs the handler. This is no `async` method: a suspended async method would keep the request in
   * memory as long as the connection lasts.
   */
  run(conn: Conn, req: AppRequest, context: HandlerContext<unknown>): void {
    // The handshake was pending when the upgrader began to close.
    if (this.#work.isClosing) return;
    const internals = internalsOf(conn);
    internals.handlerStarted();
    // Called without a receiver, so that `this` is undefined in the handler.
    const handler = this.#handler;
    try {
      const result = handler(conn, req, context);
      if (!isThenable(result)) return internals.handlerSettled();
      this.#work.handlerStarted();
      if (!internals.observeReceive(result, this)) this.#waitForPromise(conn, result);
    } catch (error) {
      this.plan.reporter.handlerFailed(conn, error, this.#route);
    }
  }

  #waitForPromise(conn: Conn, result: PromiseLike<unknown>): void {
    // A thenable of the application may settle twice or throw. A promise does neither.
    Promise.resolve(result).then(
      () => this.fulfilled(conn),
      (error: unknown) => this.rejected(conn, error),
    );
  }

  fulfilled(conn: Conn): void {
    internalsOf(conn).handlerSettled();
    this.#work.handlerSettled();
  }

  rejected(conn: Conn, error: unknown): void {
    this.plan.reporter.handlerFailed(conn, error, this.#route);
    this.#work.handlerSettled();
  }
}
