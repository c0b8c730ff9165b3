import type { ConnLike, OwnedBytes } from '@ws/conn';
import { type ConnInternals, closeConfirmed } from '@ws/conn/internal';

/** The result of `BrowserConn.toStreams`. */
export interface MessageStreams {
  /**
   * A string for each text message, a Uint8Array for each binary one: owned bytes. It ends with a
   * normal close (1000, 1001 or 1005), and fails with the error of any other end.
   */
  readonly readable: ReadableStream<string | OwnedBytes>;
  /**
   * A chunk is a message: a string is text, bytes are binary. A write settles as `send` does. `close`
   * rejects unless the peer has answered the close frame, or has closed normally: nothing else
   * confirms the writes.
   */
  readonly writable: WritableStream<string | Uint8Array>;
}

/** The messages of `conn` as web streams. */
export function streamsOf(
  conn: ConnLike & { readonly '@ws/internals': Pick<ConnInternals, 'closeAfterError'> },
): MessageStreams {
  const messages = conn[Symbol.asyncIterator]();
  return {
    readable: new ReadableStream<string | OwnedBytes>(
      {
        pull: async (controller) => {
          const { done, value } = await messages.next();
          if (done) controller.close();
          else controller.enqueue(value.isText ? value.text() : value.data);
        },
        cancel: () => conn.close(),
      },
      { highWaterMark: 0 },
    ),
    writable: new WritableStream<string | Uint8Array>({
      write: (data) =>
        conn.send(data).catch((error: unknown) => {
          // The stream has failed: nothing can close it, and with it the connection, any more.
          void conn['@ws/internals'].closeAfterError(error);
          throw error;
        }),
      close: () => closeConfirmed(conn),
      abort: () => conn.terminate(),
    }),
  };
}
