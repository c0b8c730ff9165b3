import { CloseCode } from '@ws/codec';
import type { CloseInfo } from './close-info.ts';
import type { Conn } from './conn.ts';
import type { Connection } from './connection/connection.ts';
import type { Message } from './message.ts';

/**
 * What a `Conn` and a `BrowserConn` of `@ws/browser` offer the reconnecting clients and
 * `joinMessages` besides their public methods.
 */
export interface ConnInternals {
  /** The error that has failed the connection, by a broken rule or by a handler, if any. */
  readonly failure: unknown;
  /** Messages that were dropped although a reader may have wanted them. Default: 0. */
  readonly messagesLost?: number;
  /** The longest time of a closing handshake, in ms. */
  readonly closeTimeout: number;
  /** As `closed` of the connection. Reading it does not mean that the last message is handled. */
  readonly closed: Promise<CloseInfo>;
  /** The application's handler runs: a close frame waits for the messages before it. */
  handlerStarted?(): void;
  /**
   * The application's handler has settled, so the last message that was read is handled. Then the
   * connection answers a close frame that arrived after it.
   */
  handlerSettled?(): void;
  /** The single reads of a stream are a loop: the same code reads the next message. */
  loopBegins?(): void;
  /** The stream was left: its last message is handled as that of a single read. */
  loopLeft?(): void;
  /** Closes the connection after an error of the application. */
  closeAfterError(): Promise<CloseInfo>;
  /** See `Writer.untilWritable`. */
  untilWritable(): Promise<void> | undefined;
  /** Sends a message that has waited for room. `maxBufferedAmount` does not apply to it. */
  sendWaiting(message: Message): Promise<void>;
}

export function internalsOf(conn: Conn, connection: Connection): ConnInternals {
  const { attention } = connection.reader;
  return {
    failure: connection.failure,
    messagesLost: connection.rare?.messagesLost ?? 0,
    closeTimeout: connection.settings.closeTimeout,
    closed: connection.closed,
    handlerStarted() {
      attention.handlerRuns = true;
    },
    handlerSettled: () => connection.handlerSettled(),
    loopBegins: () => attention.loopBegins(),
    loopLeft: () => attention.loopLeft(),
    closeAfterError: () => conn.close(CloseCode.InternalServerErr),
    untilWritable: () => connection.writer.untilWritable(),
    sendWaiting({ type, data }) {
      try {
        return connection.writer.sendBacklog(type, data);
      } catch (error) {
        return connection.rejected(error, 'send');
      }
    },
  };
}
