import type { ClosePayload, MessageDecoder, OwnedBytes } from '@ws/codec';
import { copyOf } from '../memory/copy.ts';
import { asyncContexts } from '../platform/async-contexts.ts';
import { RESOLVED } from '../time/promises.ts';
import { isThenable } from '../validate.ts';

/** Called with the payload of a ping or a pong: at most 125 bytes, which the handler owns. */
export type PingPongHandler = (payload: OwnedBytes) => void | PromiseLike<void>;
/** Called with the code and the reason of the peer's close frame; 1005 when it had no code. */
export type CloseHandler = (code: number, reason: string) => void | PromiseLike<void>;

/** A handler of the user. It runs in the context of the call that has set it. */
class UserHandler<Handler> {
  readonly given: Handler;
  readonly call: Handler;

  constructor(handler: Handler) {
    this.given = handler;
    this.call = asyncContexts.bind(handler);
  }
}

/** Names a handler of control frames in reports. */
export type ControlHandlerName = 'ping handler' | 'pong handler' | 'close handler';

/** The user's handlers of control frames. */
export class ControlHandlers {
  /** The defaults, once a getter of the Conn has returned them. It returns the same one again. */
  defaultPing: PingPongHandler | undefined;
  defaultClose: CloseHandler | undefined;
  readonly #failed: (error: unknown, name: ControlHandlerName) => void;
  #pingHandler: UserHandler<PingPongHandler> | undefined;
  #pongHandler: UserHandler<PingPongHandler> | undefined;
  #closeHandler: UserHandler<CloseHandler> | undefined;
  #pingCalls: HandlerCalls | undefined;
  #pongCalls: HandlerCalls | undefined;

  constructor(failed: (error: unknown, name: ControlHandlerName) => void) {
    this.#failed = failed;
  }

  get ping(): PingPongHandler | undefined {
    return this.#pingHandler?.given;
  }

  set ping(handler: PingPongHandler | undefined) {
    this.#pingHandler = handler && new UserHandler(handler);
  }

  get pong(): PingPongHandler | undefined {
    return this.#pongHandler?.given;
  }

  set pong(handler: PingPongHandler | undefined) {
    this.#pongHandler = handler && new UserHandler(handler);
  }

  get close(): CloseHandler | undefined {
    return this.#closeHandler?.given;
  }

  set close(handler: CloseHandler | undefined) {
    this.#closeHandler = handler && new UserHandler(handler);
  }

  /** Calls the ping handler, which answers itself, with the payload in the decoder. */
  handlePing({ bytes, start, end }: MessageDecoder): void {
    const handler = this.#pingHandler?.call;
    if (handler === undefined) return;
    this.#pingCalls ??= new HandlerCalls();
    this.#call('ping handler', this.#pingCalls, handler, copyOf(bytes, start, end));
  }

  handlePong({ bytes, start, end }: MessageDecoder): void {
    const handler = this.#pongHandler?.call;
    if (handler === undefined) return;
    this.#pongCalls ??= new HandlerCalls();
    this.#call('pong handler', this.#pongCalls, handler, copyOf(bytes, start, end));
  }

  /** Calls the close handler, which is set. Resolves when it has settled; never rejects. */
  async handleClose({ code, reason }: ClosePayload): Promise<void> {
    try {
      await this.#closeHandler!.call(code, reason);
    } catch (error) {
      this.#failed(error, 'close handler');
    }
  }

  #call(
    name: ControlHandlerName,
    calls: HandlerCalls,
    handler: PingPongHandler,
    payload: OwnedBytes,
  ): void {
    if (calls.busy) {
      calls.newest = { handler, payload };
      return;
    }
    const failed = (error: unknown): void => this.#failed(error, name);
    try {
      const result: unknown = handler(payload);
      if (!isThenable(result)) return;
      calls.busy = true;
      const settled = Promise.resolve(result).then(undefined, failed);
      void settled.then(() => this.#continue(name, calls));
    } catch (error) {
      // In a microtask, as for a promise: the decoder is at work.
      void RESOLVED.then(() => failed(error));
    }
  }

  #continue(name: ControlHandlerName, calls: HandlerCalls): void {
    const { newest } = calls;
    calls.busy = false;
    calls.newest = undefined;
    if (newest !== undefined) this.#call(name, calls, newest.handler, newest.payload);
  }
}

/**
 * The calls of one async handler. While its promise is pending, only the newest frame waits. The
 * peer may send any number (RFC 6455, section 5.5.3, allows this for pings).
 */
class HandlerCalls {
  busy = false;
  newest: { readonly handler: PingPongHandler; readonly payload: OwnedBytes } | undefined;
}
