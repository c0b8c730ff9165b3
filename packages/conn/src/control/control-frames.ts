import { type MessageDecoder, type OwnedBytes, PingMessage, PongMessage } from '@ws/codec';
import type { Connection } from '../connection/connection.ts';
import { copyOf } from '../memory/copy.ts';
import { asyncContexts } from '../platform/async-contexts.ts';
import { RESOLVED } from '../time/promises.ts';
import { isThenable } from '../validate.ts';
import { controlPayload } from '../writing/payload.ts';
import { Pings } from './pings.ts';

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
export type ControlHandlerName = 'ping handler' | 'pong handler';

/** Pings, pongs and the user's handlers of control frames. */
export class ControlFrames {
  /** The defaults, once a getter of the Conn has returned them: it returns the same one again. */
  #defaultPing: PingPongHandler | undefined;
  defaultClose: CloseHandler | undefined;
  readonly #connection: Connection;
  #pingHandler: UserHandler<PingPongHandler> | undefined;
  #pongHandler: UserHandler<PingPongHandler> | undefined;
  #closeHandler: UserHandler<CloseHandler> | undefined;
  #pings: Pings | undefined;
  #pingRun: HandlerRun | undefined;
  #pongRun: HandlerRun | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get pingHandler(): PingPongHandler | undefined {
    return this.#pingHandler?.given;
  }

  set pingHandler(handler: PingPongHandler | undefined) {
    this.#pingHandler = handler && new UserHandler(handler);
    this.#connection.machine.autoPong = handler === undefined;
  }

  /** The default ping handler: sends the pong. It throws a RangeError for more than 125 bytes. */
  get defaultPing(): PingPongHandler {
    const { platform, outbox } = this.#connection;
    this.#defaultPing ??= (payload) => {
      const bytes = controlPayload(payload, platform, 'pingHandler');
      void outbox.control(PongMessage, bytes, 0, bytes.length, true);
    };
    return this.#defaultPing;
  }

  get pongHandler(): PingPongHandler | undefined {
    return this.#pongHandler?.given;
  }

  set pongHandler(handler: PingPongHandler | undefined) {
    this.#pongHandler = handler && new UserHandler(handler);
  }

  get closeHandler(): CloseHandler | undefined {
    return this.#closeHandler?.given;
  }

  set closeHandler(handler: CloseHandler | undefined) {
    this.#closeHandler = handler && new UserHandler(handler);
  }

  /** The unanswered pings, created with the first one. */
  get pings(): Pings {
    this.#pings ??= this.#createPings();
    return this.#pings;
  }

  #createPings(): Pings {
    const connection = this.#connection;
    return new Pings(connection.platform, (error) => connection.rareParts().refuse(error, 'ping'));
  }

  /** Whether a call of `ping` waits for its pong. */
  get awaitsPong(): boolean {
    return this.#pings?.awaited === true;
  }

  get rtt(): number {
    return this.#pings?.rtt ?? NaN;
  }

  /** Calls the ping handler, which answers itself, with the payload in the decoder. */
  handlePing({ bytes, start, end }: MessageDecoder): void {
    const handler = this.#pingHandler?.call;
    if (handler === undefined) return;
    this.#pingRun ??= new HandlerRun();
    this.#call('ping handler', this.#pingRun, handler, copyOf(bytes, start, end));
  }

  /** Settles the pings that this pong answers and calls the pong handler. */
  handlePong({ bytes, start, end }: MessageDecoder): void {
    this.#pings?.pong(bytes, start, end);
    const handler = this.#pongHandler?.call;
    if (handler === undefined) return;
    this.#pongRun ??= new HandlerRun();
    this.#call('pong handler', this.#pongRun, handler, copyOf(bytes, start, end));
  }

  /**
   * Calls the close handler; the promise settles as it does. Undefined when there is no handler.
   */
  callCloseHandler(code: number, reason: string): Promise<void> | undefined {
    const handler = this.#closeHandler?.call;
    return handler === undefined ? undefined : (async () => handler(code, reason))();
  }

  /**
   * Sends the heartbeat's ping. The caller does not wait for it, and it does not count as a ping of
   * the user.
   */
  sendHeartbeat(): void {
    const payload = this.pings.heartbeatPayload();
    void this.#connection.outbox.control(PingMessage, payload, 0, payload.length, true);
  }

  /** Sends a ping; resolves with the round trip in ms. */
  sendPing(payload: Uint8Array, timeout: number): Promise<number> {
    return this.pings.add(payload, timeout, (bytes) => {
      return this.#connection.outbox.control(PingMessage, bytes, 0, bytes.length);
    });
  }

  /** No more input comes: unanswered pings reject with `error`. */
  rejectPings(error: unknown): void {
    this.pings.rejectAll(error);
  }

  #call(
    name: ControlHandlerName,
    run: HandlerRun,
    handler: PingPongHandler,
    payload: OwnedBytes,
  ): void {
    if (run.busy) {
      run.newest = { handler, payload };
      return;
    }
    const failed = (error: unknown): void => {
      this.#connection.endingOrNew().handlerFailed(error, name);
    };
    try {
      const result: unknown = handler(payload);
      if (!isThenable(result)) return;
      run.busy = true;
      const settled = Promise.resolve(result).then(undefined, failed);
      void settled.then(() => this.#continue(name, run));
    } catch (error) {
      // In a microtask, as for a promise: the decoder is at work.
      void RESOLVED.then(() => failed(error));
    }
  }

  #continue(name: ControlHandlerName, run: HandlerRun): void {
    const { newest } = run;
    run.busy = false;
    run.newest = undefined;
    if (newest !== undefined) this.#call(name, run, newest.handler, newest.payload);
  }
}

/**
 * The calls of one async handler. While its promise is pending, only the newest frame waits: the
 * peer may send any number (RFC 6455, section 5.5.3, allows this for pings).
 */
class HandlerRun {
  busy = false;
  newest: { readonly handler: PingPongHandler; readonly payload: OwnedBytes } | undefined;
}
