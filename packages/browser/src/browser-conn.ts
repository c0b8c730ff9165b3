import type { MessageStreams, Role } from '@ws/conn';
import { type ConnInternals, streamsOf } from '@ws/conn/internal';
import { Alive } from './alive.ts';
import type { AlivePlan } from './dial-options.ts';
import { UnsupportedError } from './errors.ts';
import type { BrowserConnSettings } from './options.ts';
import { payloadOf } from './payload.ts';
import { CLOSE_TIMEOUT, WebSocketConn } from './web-socket-conn.ts';
import type { PageSocket, WebSocketLike } from './web-types.ts';

/**
 * A WebSocket connection in a page, with the methods of `Conn`. `dial` and `fromWebSocket` create
 * it.
 *
 * A page lacks some features of `Conn`: their methods throw an {@link UnsupportedError}, or reject
 * with one. A reset, such as `setPingHandler(null)`, has no effect.
 *
 * A promise of a BrowserConn that you ignore causes no unhandled rejection. {@link closed} reports
 * how the connection ended. Errors of your functions, and of wrong arguments, go to the global
 * `reportError`, which shows them in the page's console. Bun, Deno and Node print them.
 *
 * @typeParam Data - The type of {@link BrowserConn.data}.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- code that ignores `data` names no type
export class BrowserConn<Data = any> extends WebSocketConn<Data> {
  readonly #socket: PageSocket;
  #alive: Alive | undefined;
  /** Whether the app is in the background, also before {@link keepAlive}. */
  #isAsleep = false;

  /** @internal */
  constructor(socket: PageSocket, settings: BrowserConnSettings) {
    super(socket, settings, (data) => this.#alive?.onMessage(data) === true);
    this.#socket = socket;
  }

  /** @internal Starts the option `alive` of an open connection: ends it if it only looks open. */
  keepAlive({ waits, ...plan }: AlivePlan): void {
    const alive = new Alive(
      this.#socket,
      { ...plan, waits: () => waits?.(this) === true },
      () => this.writes.bytes,
      (error) => this.lose(error),
    );
    this.#alive = alive;
    if (this.#isAsleep) alive.sleep();
    void this.closed.then(({ code, wasClean, error }) =>
      alive.stop(code, wasClean && error === undefined && !this.hasClosed),
    );
  }

  /** @internal Sends the question of the option `alive` now, before a first request. */
  askFirst(): void {
    this.#alive?.askFirst();
  }

  /** @internal */
  protected override endNoteOf(code: number): string {
    return this.#alive?.noteOf(code) ?? '';
  }

  /** Always `client`. */
  get role(): Role {
    return 'client';
  }

  /** The browser's object. Reading or writing it disturbs the connection. */
  get underlying(): WebSocketLike {
    return this.#socket.underlying ?? this.#socket;
  }

  /** As {@link underlying}, with the name that `Conn` has. */
  get underlyingConn(): unknown {
    return this.underlying;
  }

  /** @throws UnsupportedError */
  get localAddr(): string | undefined {
    throw new UnsupportedError('localAddr');
  }

  /** @throws UnsupportedError */
  get remoteAddr(): string | undefined {
    throw new UnsupportedError('remoteAddr');
  }

  /**
   * The messages as web streams: strings and Uint8Arrays, with owned bytes. A cancel of `readable`
   * and a close of `writable` close the connection with 1000. An abort of `writable` terminates it.
   * A chunk that cannot be sent fails `writable` and closes the connection with 3011. No other code
   * may read.
   */
  toStreams(): MessageStreams {
    return streamsOf(this);
  }

  /** @internal For the reconnecting clients. */
  override get '@ws/internals'(): ConnInternals {
    const { writes, failure, closed } = this;
    return {
      ...super['@ws/internals'],
      failure,
      closeTimeout: CLOSE_TIMEOUT,
      closed,
      sleep: () => {
        this.#isAsleep = true;
        this.#alive?.sleep();
      },
      wake: () => {
        this.#isAsleep = false;
        this.#alive?.wake();
      },
      async sendWaiting(message) {
        const data = message.isText ? message.text() : message;
        return writes.send(payloadOf('', message.type, data), true);
      },
    };
  }
}
