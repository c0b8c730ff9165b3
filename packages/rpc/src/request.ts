import { CloseError, type ConnLike } from '@ws/conn';
import type { Carrier } from './carrier.ts';
import type { Definition } from './definitions.ts';
import { ErrorCode, isRpcError, isTrue, RpcError } from './rpc-error.ts';
import { errorText, type Id } from './wire.ts';

/** A handler of the application, with the definition of its method, event or stream. */
export interface Handler {
  readonly definition: Definition;
  readonly run: (input: unknown, context: unknown) => unknown;
}

/** The handlers and bounds from one call of `serve`, `listener` or `connect`, for all its links. */
export interface Plan<Link> {
  readonly end: 'server' | 'client';
  /** The version of the contract, for a caller that knows more methods. */
  readonly version: number | undefined;
  readonly handlers: ReadonlyMap<string, Handler>;
  /** Bound of the handlers of the application that run at the same time. */
  readonly concurrency: number;
  /** Bound of the streams that this end serves to one connection at the same time. */
  readonly streams: number;
  /** Reported names of events without a handler. */
  readonly unknownEvents: Set<string>;
  /** Creates the second argument of a handler. */
  readonly contextOf: (link: Link, request: Request) => unknown;
}

/** A request or an event of the peer whose handler runs. */
export class Request {
  /** Undefined for an event. */
  readonly id: Id | undefined;
  readonly handler: Handler;
  readonly params: unknown;
  /** Characters of the message. */
  readonly size: number;
  readonly connection: ConnLike | undefined;
  /** Whether the connection has ended without a normal close. */
  isDropped = false;
  /** Called after the signal has aborted. */
  onCancel: (() => void) | undefined = undefined;
  #control: AbortController | undefined;
  #cancelled: { readonly reason: unknown } | undefined;

  constructor(
    id: Id | undefined,
    handler: Handler,
    params: unknown,
    size: number,
    connection: ConnLike | undefined,
  ) {
    this.id = id;
    this.handler = handler;
    this.params = params;
    this.size = size;
    this.connection = connection;
  }

  /** The name of the method, event or stream. */
  get name(): string {
    return this.handler.definition.name;
  }

  /** Aborts when the caller gives up, or the connection ends. Created when a handler reads it. */
  get signal(): AbortSignal {
    if (this.#control === undefined) {
      this.#control = new AbortController();
      if (this.#cancelled !== undefined) this.#control.abort(this.#cancelled.reason);
    }
    return this.#control.signal;
  }

  get isCancelled(): boolean {
    return this.#cancelled !== undefined;
  }

  /** Whether a cancel by `id` is for this request. A peer may reuse the id of a cancelled request. */
  isOpen(id: unknown, connection: ConnLike | undefined): boolean {
    return this.id === id && this.connection === connection && this.#cancelled === undefined;
  }

  /** @param why - The reason of the signal; a text is the message of an RpcError. */
  cancel(why: unknown): void {
    if (this.#cancelled !== undefined) return;
    const reason = typeof why === 'string' ? new RpcError(ErrorCode.Cancelled, why) : why;
    this.#cancelled = { reason };
    this.#control?.abort(reason);
    this.onCancel?.();
  }

  /**
   * The answer for an error of the handler; undefined for an event. Reports an error that is no RpcError,
   * and hides it from the caller.
   */
  errorText(error: unknown, carrier: Carrier): string | undefined {
    const { id, name, connection } = this;
    if (isRpcError(error) && id !== undefined) {
      try {
        // Checks the fields: a handler may have changed them.
        const { code, message, data } = new RpcError(error.code, error.message, error.data);
        return errorText(id, code, message, data);
      } catch (fault) {
        error = fault;
      }
    }
    // For example, the connection ended while the handler called the peer.
    const isEnd = connection?.state !== 'open' && isTrue(() => error instanceof CloseError);
    // For example, the handler passed its signal to `fetch`.
    const isAbort = this.isCancelled && isTrue(() => (error as Error).name === 'AbortError');
    if (!isEnd && !isAbort) carrier.report(error, name);
    return id === undefined ? undefined : errorText(id, ErrorCode.InternalError, 'Internal error');
  }
}
