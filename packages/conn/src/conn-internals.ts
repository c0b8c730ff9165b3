import type { CloseInfo } from './close-info.ts';
import type { Message } from './message.ts';

/**
 * What the reconnecting clients need of a connection besides its public methods. `BrowserConn` of
 * `@ws/browser` has them too.
 */
export interface ConnInternals {
  /** The error that has failed the connection, by a broken rule or by a handler, if any. */
  readonly failure: unknown;
  /** The longest time of a closing handshake, in ms. */
  readonly closeTimeout: number;
  /** As `closed`, without saying that the last message is handled. */
  whenClosed?(): Promise<CloseInfo>;
  /** The application's handler runs: a close frame waits for the messages before it. */
  handlerStarted?(): void;
  /**
   * The application's handler has settled, so the last message that was read is handled. Then the
   * connection answers a close frame that arrived after it.
   */
  handlerSettled?(): void;
  /** Closes the connection after an error of the application. */
  closeAfterError(): Promise<CloseInfo>;
  /** See `Writer.untilWritable`. */
  untilWritable(): Promise<void> | undefined;
  /** Sends a message that has waited for room. `maxBufferedAmount` does not apply to it. */
  sendWaiting(message: Message): Promise<void>;
}

/** As `conn.closed`, for the library's own use: it does not say that the last message is handled. */
export function closedOf(conn: { readonly closed: Promise<CloseInfo> }): Promise<CloseInfo> {
  return internalsOf(conn)?.whenClosed?.() ?? conn.closed;
}

/** The internals of `conn`; undefined for a value that is not a connection of this family. */
export function internalsOf(conn: unknown): ConnInternals | undefined {
  const { internals } = (conn ?? {}) as { readonly internals?: Partial<ConnInternals> };
  return typeof internals?.closeAfterError === 'function'
    ? (internals as ConnInternals)
    : undefined;
}
