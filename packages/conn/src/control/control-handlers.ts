import type { ClosePayload, MessageDecoder, OwnedBytes } from '@ws/codec';
import { copyOf } from '../memory/copy.ts';
import { asyncContexts } from '../platform/async-contexts.ts';
import { RESOLVED } from '../time/promises.ts';
import { isThenable, kind } from '../validate.ts';

/** Called with the payload of a ping or a pong: at most 125 bytes, which the handler owns. */
export type PingPongHandler = (payload: OwnedBytes) => void | PromiseLike<void>;
/** Called with the code and the reason of the peer's close frame. The code is 1005 if it had none. */
export type CloseHandler = (code: number, reason: string) => void | PromiseLike<void>;

/** A handler of the user. `call` runs the handler in the async context in which it was set. */
export class UserHandler<Handler> {
  readonly given: Handler;
  readonly call: Handler;

  constructor(handler: Handler) {
    this.given = handler;
    this.call = asyncContexts.bind(handler);
  }

  /**
   * @param setter - The method that sets `handler`, for the error.
   * @returns Undefined for null.
   * @throws TypeError when `handler` is neither a function nor null.
   */
  static of<Handler>(setter: string, handler: Handler | null): UserHandler<Handler> | undefined {
    if (handler === null) return undefined;
    if (typeof handler === 'function') return new UserHandler(handler);
    throw new TypeError(`${setter}: expected a function or null, got ${kind(handler)}`);
  }
}

/** The user's handlers of control frames. */
export class ControlHandlers {
  ping: UserHandler<PingPongHandler> | undefined;
  pong: UserHandler<PingPongHandler> | undefined;
  close: UserHandler<CloseHandler> | undefined;
  /** The default handlers, created by `Conn.pingHandler` and `Conn.closeHandler` on first use. */
  defaultPing: PingPongHandler | undefined;
  defaultClose: CloseHandler | undefined;
  readonly #failed: (error: unknown, name: string) => void;
  readonly #pings: HandlerCalls;
  readonly #pongs: HandlerCalls;

  /** @param failed - Gets the error of a handler, and the name of that handler for reports. */
  constructor(failed: (error: unknown, name: string) => void) {
    this.#failed = failed;
    this.#pings = new HandlerCalls((error) => failed(error, 'ping handler'));
    this.#pongs = new HandlerCalls((error) => failed(error, 'pong handler'));
  }

  /** Calls the user's ping handler, if set, with the payload in the decoder. */
  handlePing({ bytes, start, end }: MessageDecoder): void {
    if (this.ping !== undefined) this.#pings.call(this.ping.call, copyOf(bytes, start, end));
  }

  handlePong({ bytes, start, end }: MessageDecoder): void {
    if (this.pong !== undefined) this.#pongs.call(this.pong.call, copyOf(bytes, start, end));
  }

  /** Calls the close handler, which must be set. Resolves when the handler has settled. */
  async handleClose({ code, reason }: ClosePayload): Promise<void> {
    try {
      await this.close!.call(code, reason);
    } catch (error) {
      this.#failed(error, 'close handler');
    }
  }
}

/**
 * Calls an async handler of pings or pongs. While its promise is pending, only the newest frame
 * waits, because the peer may send any number (RFC 6455, section 5.5.3, allows this for pings).
 */
class HandlerCalls {
  readonly #failed: (error: unknown) => void;
  #busy = false;
  #newest: { readonly handler: PingPongHandler; readonly payload: OwnedBytes } | undefined;

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  call(handler: PingPongHandler, payload: OwnedBytes): void {
    if (this.#busy) {
      this.#newest = { handler, payload };
      return;
    }
    try {
      const result: unknown = handler(payload);
      if (!isThenable(result)) return;
      this.#busy = true;
      const settled = Promise.resolve(result).then(undefined, this.#failed);
      void settled.then(() => this.#continue());
    } catch (error) {
      // Fails in a microtask, as after a rejected promise, because the decoder is still parsing.
      void RESOLVED.then(() => this.#failed(error));
    }
  }

  #continue(): void {
    const newest = this.#newest;
    this.#busy = false;
    this.#newest = undefined;
    if (newest !== undefined) this.call(newest.handler, newest.payload);
  }
}
