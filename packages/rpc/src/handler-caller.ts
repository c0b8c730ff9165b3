import { CloseError, type ConnLike } from '@ws/conn';
import { internalsOf } from '@ws/conn/internal';
import type { Carrier } from './carrier.ts';
import type { StreamDefinition } from './definitions.ts';
import type { Handler, Request } from './request.ts';
import { ErrorCode, isRpcError, isTrue, RpcError } from './rpc-error.ts';
import { after, type Checked, check, checkEither, misfit, valueOf } from './schema.ts';
import { errorText, resultText } from './wire.ts';

/** The text of an answer; undefined if none is sent. */
export type Answer = string | undefined | Promise<string | undefined>;

/** Serves the stream that `handle` returns. */
type Serve = (request: Request, definition: StreamDefinition, handle: () => unknown) => Answer;

/** Calls the handlers of requests and events. */
export class HandlerCaller {
  readonly #carrier: Carrier;
  readonly #contextOf: (request: Request) => unknown;
  readonly #serve: Serve;

  /** @param contextOf - Creates the second argument of a handler. */
  constructor(carrier: Carrier, contextOf: (request: Request) => unknown, serve: Serve) {
    this.#carrier = carrier;
    this.#contextOf = contextOf;
    this.#serve = serve;
  }

  /**
   * Checks the input, calls the handler, and checks the result of the handler.
   *
   * @returns The text of the answer; undefined for an event.
   * @throws (or rejects with) the error of the handler or of a schema.
   */
  answerTo(request: Request): Answer {
    const { handler, params } = request;
    const { input } = handler.definition;
    const isWrapped = Array.isArray(params) && params.length === 1;
    // The peer's `paramsText` may have wrapped a value as `[value]`.
    const checked = isWrapped
      ? checkEither(input, params[0], { value: params })
      : check(input, params);
    return checked instanceof Promise
      ? checked.then((result) => this.#callLater(request, handler, result))
      : this.#call(request, handler, checked);
  }

  /** Calls the handler after an asynchronous schema, unless the request has ended meanwhile. */
  #callLater(request: Request, handler: Handler, checked: Checked): Answer {
    const { connection } = request;
    if (request.isDropped || isRevoked(connection)) return undefined;
    // If the peer has closed the connection, its earlier messages are still handled, with an aborted
    // signal.
    if (request.isCancelled && connection?.state === 'open') throw request.signal.reason;
    return this.#call(request, handler, checked);
  }

  #call(request: Request, { definition, run }: Handler, { value, issues }: Checked): Answer {
    const { id } = request;
    if (issues !== undefined) {
      if (id !== undefined) {
        throw new RpcError(ErrorCode.InvalidParams, 'Invalid params', { issues });
      }
      const what = `an event ${definition.name} does not fit its schema`;
      this.#carrier.reportRarely('misfit', () => misfit(what, issues));
      return undefined;
    }
    if (definition.kind === 'stream') {
      return this.#serve(request, definition, () => run(value, this.#contextOf(request)));
    }
    const result = run(value, this.#contextOf(request));
    return after(result, (answer) => {
      if (id === undefined || definition.kind === 'event') return undefined;
      return after(check(definition.output, answer), (checked) => {
        if (checked.issues !== undefined) checkNoGenerator(definition.name, answer);
        return resultText(id, valueOf(checked, 'the answer of ', definition.name));
      });
    });
  }

  /** The answer for an error. Reports an error that is no RpcError, and hides it from the caller. */
  errorText(request: Request, error: unknown): string | undefined {
    const { id, name, connection } = request;
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
    const isAbort = request.isCancelled && isTrue(() => (error as Error).name === 'AbortError');
    if (!isEnd && !isAbort) this.#carrier.report(error, name);
    return id === undefined ? undefined : errorText(id, ErrorCode.InternalError, 'Internal error');
  }
}

/**
 * Whether messages of the connection that have arrived are dropped, because this end has closed the
 * connection. Without `dropsInput`, each close by this end drops them.
 */
export function isRevoked(connection: ConnLike | undefined): boolean {
  if (connection === undefined) return false;
  return internalsOf(connection).dropsInput ?? connection.state === 'closing';
}

/** @throws TypeError for a generator as the answer of a method. */
function checkNoGenerator(name: string, answer: unknown): void {
  if (typeof (Object(answer) as Partial<AsyncGenerator>)[Symbol.asyncIterator] !== 'function')
    return;
  throw new TypeError(
    `${name}: it returned a generator; write stream(input, item) in the contract`,
  );
}
