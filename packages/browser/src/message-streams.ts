import type { ConnLike, OwnedBytes } from '@ws/conn';
import type { ConnInternals } from '@ws/conn/parts';

/** The result of `BrowserConn.toStreams`. */
export interface MessageStreams {
  readonly readable: ReadableStream<string | OwnedBytes>;
  readonly writable: WritableStream<string | Uint8Array>;
}

/** The messages of `conn` as web streams. */
export function streamsOf(
  conn: ConnLike & { readonly internals: Pick<ConnInternals, 'closeAfterError'> },
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
          void conn.internals.closeAfterError();
          throw error;
        }),
      close: () => conn.close(),
      abort: () => conn.terminate(),
    }),
  };
}
