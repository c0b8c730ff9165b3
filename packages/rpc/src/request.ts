import type { ConnLike } from '@ws/conn';
import type { Definition } from './definitions.ts';
import { ErrorCode, RpcError } from './rpc-error.ts';
import type { Id } from './wire.ts';

/** A handler of the application, with the definition of its method, event or stream. */
export interface Handler {
  readonly definition: Definition;
  readonly run: (input: unknown, context: unknown) => unknown;
}

/**
 * How a handler runs. An `ordered` handler runs in the order of the messages, and later ones wait
 * for it. A `nested` handler runs at once, because a running handler may wait for its answer. A
 * handler `beside` the others runs at once, and no handler waits for it. A `stream` sends its items
 * after its handler has returned.
 */
export type Place = 'ordered' | 'nested' | 'beside' | 'stream';

/** A request or an event of the peer, or a refusal of one that waits for earlier messages. */
export class Request {
  /** Undefined for an event. */
  readonly id: Id | undefined;
  /** The handler; for a refusal, its text. */
  readonly handler: Handler | string;
  readonly params: unknown;
  /** Characters of the message. */
  readonly size: number;
  readonly connection: ConnLike | undefined;
  /** `Calls.lastNumber` of this end at the arrival of the request, later at the start of its handler. */
  callsBefore = 0;
  /** Whether the handler has settled. The answer may still wait for a peer that reads slowly. */
  isHandled = false;
  /** Whether a stream waits for `next()` of its iterator, which may wait for a request. */
  awaits = false;
  /** Whether the connection has ended without a normal close, so that its requests are dropped. */
  isDropped = false;
  /** How the handler runs; undefined before it starts. */
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

  /** Aborts when the caller gives up, or the connection ends. Created when a handler reads it. */
  get signal(): AbortSignal {
    if (this.#control === undefined) {
      this.#control = new AbortController();
      if (this.#cancelled !== undefined) this.#control.abort(this.#cancelled.reason);
    }
    return this.#control.signal;
  }

  /** Whether the handler has not settled, so that later requests wait for it. */
  get isSlow(): boolean {
    return this.place === 'ordered' && !this.isHandled;
  }

  /** Whether the handler has not settled, and may itself wait for a request of the peer. */
  get mayDepend(): boolean {
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
