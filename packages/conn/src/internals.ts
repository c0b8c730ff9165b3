import type { Conn } from './conn.ts';
import type { Message } from './message.ts';
import type { CloseInfo } from './platform/observer.ts';
import type { Platform } from './platform/platform.ts';
import type { MessageHandler, ReceiveEnd, ReceiveObserver } from './read/receive-call.ts';
import type { PreparedMessage } from './writing/prepared-message.ts';

/**
 * Calls of the library to a connection, besides its public methods. A `Conn` has all members, a
 * `BrowserConn` of `@ws/browser` has the required ones.
 */
export interface ConnInternals {
  /** The error that has failed the connection, by a broken rule or by a handler, if any. */
  readonly failure: unknown;
  /** The longest time of a closing handshake, in ms. */
  readonly closeTimeout: number;
  readonly closed: Promise<CloseInfo>;
  /** Fails the connection because of `error` of the application: with 1011, or 1013 for a BackpressureError. */
  closeAfterError(error: unknown): Promise<CloseInfo>;
  /** See `Outbox.untilWritable`. */
  untilWritable(): Promise<void> | undefined;
  /** Sends a message that has waited for room. `maxBufferedAmount` does not apply to it. */
  sendWaiting(message: Message): Promise<void>;

  /** The option. Default: as in a connection. */
  readonly maxBufferedAmount?: number;
  /**
   * Counts `bytes` of messages that a reader keeps for later for `maxTotalBufferedAmount`; fewer when
   * negative.
   *
   * @returns Whether more may be kept.
   */
  countKept?(bytes: number): boolean;

  readonly platform?: Platform;
  /** Passes an error of the application to the option `report`. */
  report?(error: unknown, where: string): void;

  // Reading

  /** Messages that were dropped although a reader may have wanted them. Default: 0. */
  readonly messagesLost?: number;
  /** Whether the connection drops the messages that arrive. */
  readonly dropsInput?: boolean;
  /** The application's handler runs. A close frame waits for the messages before it. */
  connHandlerStarted?(): void;
  /**
   * The application's handler has settled, so the last message that was read is handled. Then the
   * connection answers a close frame that arrived after it.
   */
  connHandlerSettled?(): void;
  /** A stream was made of the messages. Code will read, although it has not begun. */
  readsLater?(): void;
  /**
   * As `receive`. Its promise settles as the promise of `end`. Costs less than `then`.
   */
  receiveThen?(handler: MessageHandler, end: ReceiveEnd<Conn>): Promise<void>;
  /**
   * Calls `observer` with the connection when `result` settles: the pending `receive` or
   * `discardReads` of this connection. Costs less than `then`.
   *
   * @returns false when `result` is another value. The observer is not called then.
   */
  observeReceive?(result: unknown, observer: ReceiveObserver<Conn>): boolean;
  /**
   * The promise of a `receive` or `discardReads` that is pending after the application's handler has
   * settled, if there is one.
   */
  readonly unfinishedReceive?: Promise<unknown> | undefined;

  // Writing

  /** See `RareParts.observeWrites`. */
  observeWrites?(observer: (conn: unknown) => void): void;
  /** Whether only an encoding on another thread delays messages, and `size` more bytes may wait. */
  encodesElsewhere?(size: number): boolean;
  /** Whether only an open writer delays messages, and `size` more bytes may wait. */
  awaitsWriter?(size: number): boolean;
  /** See `Outbox.sendUnencoded`. */
  sendUnencoded?(send: () => void): void;
  /**
   * Sends a message together with the other messages of this turn.
   *
   * @param waited - Whether the message comes from a queue of the caller: `maxBufferedAmount` does
   *   not apply.
   * @returns Whether the connection accepted it.
   */
  sendPrepared?(message: PreparedMessage, waited: boolean): boolean;
  /**
   * Sends text and binary messages together, if the connection is idle and does not compress. Costs
   * least when many connections send the same array in one turn.
   *
   * @returns False when nothing was sent: send the messages one by one.
   */
  sendAll?(messages: readonly PreparedMessage[]): boolean;

  // The close

  /** Whether a read or a write rejects with `error`, because the connection has ended with it. */
  endedWith?(error: unknown): boolean;
  /**
   * As `Conn.close` with a timeout, without its promise and its checks: for a server that closes
   * many connections and keeps the process alive itself.
   *
   * @param payload - A valid payload of a close frame.
   */
  startClose?(payload: Uint8Array, timeout: number, discard: boolean): void;
}
