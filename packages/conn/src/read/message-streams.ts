import { CloseCode, type OwnedBytes } from '@ws/codec';
import type { ConnCloseOptions } from '../call-options.ts';
import { CloseError, CloseSentError, isNormalEnd } from '../errors.ts';
import type { Message } from '../message.ts';
import type { CloseInfo } from '../platform/observer.ts';

/** The result of `toStreams`. */
export interface MessageStreams {
  /**
   * The messages: strings for text, Uint8Arrays with owned bytes for binary. The stream ends after a
   * normal close (1000, 1001 or 1005; in a page, 1001 is no normal close). After any other end, it fails
   * with the error of that end.
   */
  readonly readable: ReadableStream<string | OwnedBytes>;
  /**
   * Each chunk is a message: a string is text, bytes are binary. A write settles as `Conn.send`
   * does. Do not change bytes until then: a server references 32 KiB or more. `close` resolves when
   * the peer has answered our close frame, with its code, which confirms that the peer got the writes.
   * It rejects with the CloseError of any other close frame, except after `readable` has ended normally:
   * its reader knows of the peer's close.
   */
  readonly writable: WritableStream<string | Uint8Array>;
}

/** The part of a `Conn` that its streams use. */
type Streamed = AsyncIterable<Message> & {
  send(data: string | Uint8Array): Promise<void>;
  readonly closed: Promise<CloseInfo>;
  close(code?: number, reason?: string, options?: ConnCloseOptions): Promise<CloseInfo>;
  terminate(): void;
  readonly '@ws/internals': {
    readonly peerClose?: Pick<CloseInfo, 'code' | 'reason'> | undefined;
    closeAfterError(error: unknown): Promise<CloseInfo>;
  };
};

/**
 * Closes `conn`. Resolves if the peer answers our close frame, which confirms that it has got all
 * messages. Otherwise rejects.
 *
 * @param isReadToEnd - Whether a reader has been told of the peer's normal close. Nothing is left to
 *   confirm then.
 */
export async function closeConfirmed(
  conn: Pick<Streamed, 'closed' | 'close' | '@ws/internals'>,
  isReadToEnd: boolean,
): Promise<void> {
  // After the peer's close our answer follows, with its code.
  const { code, reason, wasClean, error } = await (isReadToEnd ? conn.closed : conn.close());
  const end = error ?? new CloseError(code, reason);
  const isConfirmed = isReadToEnd
    ? isNormalEnd(end)
    : conn['@ws/internals'].peerClose === undefined;
  if (error !== undefined || !wasClean || !isConfirmed) throw end;
}

/** The error of a chunk for which `send` of `conn` has rejected: the peer's close, if that came first. */
export function chunkError(conn: Pick<Streamed, '@ws/internals'>, error: unknown): unknown {
  const { peerClose } = conn['@ws/internals'];
  if (peerClose === undefined || !(error instanceof CloseSentError)) return error;
  return new CloseError(peerClose.code, peerClose.reason);
}

export function streamsOf(conn: Streamed): MessageStreams {
  const messages = conn[Symbol.asyncIterator]();
  let isReadToEnd = false;
  return {
    readable: new ReadableStream<string | OwnedBytes>(
      {
        pull: async (controller) => {
          const { done, value } = await messages.next();
          if (done === true) {
            isReadToEnd = true;
            controller.close();
          } else controller.enqueue(value.isText ? value.text() : value.data);
        },
        // The cancelled stream reads no more, so the messages before the peer's close frame are dropped.
        cancel: () => void conn.close(CloseCode.NormalClosure, '', { discard: true }),
      },
      { highWaterMark: 0 },
    ),
    writable: new WritableStream<string | Uint8Array>({
      write: (data) =>
        conn.send(data).catch((error: unknown) => {
          // A failed stream never calls `close`, so close the connection here.
          void conn['@ws/internals'].closeAfterError(error);
          throw chunkError(conn, error);
        }),
      close: () => closeConfirmed(conn, isReadToEnd),
      abort: () => conn.terminate(),
    }),
  };
}
