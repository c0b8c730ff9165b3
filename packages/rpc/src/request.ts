import type { ConnLike } from '@ws/conn';
import type { Definition } from './definitions.ts';
import { ErrorCode, RpcError } from './rpc-error.ts';
import type { Id } from './wire.ts';

/** A handler of the application, with what it handles. */
export interface Handler {
  readonly definition: Definition;
  readonly run: (input: unknown, context: unknown) => unknown;
}

/**
 * How a handler runs. Later ones wait for an `ordered` handler. A `nested` handler runs beside one that
 * may wait for it. A handler `beside` all runs at once, and no other one waits for it. A `stream` runs
 * after its handler has returned.
 */
export type Place = 'ordered' | 'nested' | 'beside' | 'stream';

/** A request or an event of the other end, or an answer that waits for its turn. */
export class Request {
  /** Undefined for an event. */
  readonly id: Id | undefined;
  /** The handler, or the answer to a message that no handler gets. */
  readonly handler: Handler | string;
  readonly params: unknown;
  /** Characters of the message. */
  readonly size: number;
  readonly connection: ConnLike | undefined;
  /** Calls of this end that had begun when the handler started; until then, when the request arrived. */
  callsBefore = 0;
  /** Whether the handler has settled. Its answer may wait for a peer that reads slowly. */
  isHandled = false;
  /** Whether a generator has been asked for an item. It may wait for a request. */
  isAsked = false;
  /** Whether its connection has ended, and drops what waits. */
  isDropped = false;
  /** How its handler runs; undefined while it does not. */
  place: Place | undefined = undefined;
  /** Called after the signal has aborted. */
  onCancel: (() => void) | undefined = undefined;
  #control: AbortController | undefined;
  #cancelled: { readonly reason: unknown } | undefined;

  constructor(
    id: Id | undefined,
    handler: Handler | string,
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

  /** The name of the method or of the event. */
  get name(): string {
    return typeof this.handler === 'string' ? 'rpc' : this.handler.definition.name;
  }

  /** Aborts when the caller gives up, or the connection ends. Made when a handler asks for it. */
  get signal(): AbortSignal {
    if (this.#control === undefined) {
      this.#control = new AbortController();
      if (this.#cancelled !== undefined) this.#control.abort(this.#cancelled.reason);
    }
    return this.#control.signal;
  }

  /** Whether the handler has not settled, and others wait for it. */
  get isSlow(): boolean {
    return this.place === 'ordered' && !this.isHandled;
  }

  /** Whether the handler has not settled, and may wait for a request. */
  get isAsking(): boolean {
    return this.place !== 'beside' && !this.isHandled;
  }

  get isCancelled(): boolean {
    return this.#cancelled !== undefined;
  }

  /** @param why - The reason of the signal; a text is the message of an RpcError. */
  cancel(why: unknown): void {
    if (this.#cancelled !== undefined) return;
    const reason = typeof why === 'string' ? new RpcError(ErrorCode.Cancelled, why) : why;
    this.#cancelled = { reason };
    this.#control?.abort(reason);
    this.onCancel?.();
  }
}
