import { CloseCode, type OwnedBytes } from '@ws/codec';
import type { ConnCloseOptions } from '../call-options.ts';
import { CloseError, isNormalEnd } from '../errors.ts';
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
   * does. Do not change bytes until then: a server references 32 KiB or more. `close` rejects
   * unless both close frames were exchanged with a normal code. Only a resolved `close` confirms that
   * the peer got the writes.
   */
  readonly writable: WritableStream<string | Uint8Array>;
}

/** The part of a `Conn` that its streams use. */
type Streamed = AsyncIterable<Message> & {
  send(data: string | Uint8Array): Promise<void>;
  close(code?: number, reason?: string, options?: ConnCloseOptions): Promise<CloseInfo>;
  terminate(): void;
  readonly '@ws/internals': { closeAfterError(error: unknown): Promise<CloseInfo> };
};

/**
 * Closes `conn`. Resolves if both close frames were exchanged with a normal code, which confirms that
 * the peer has read all messages. Otherwise rejects.
 */
export async function closeConfirmed(conn: Pick<Streamed, 'close'>): Promise<void> {
  const { code, reason, wasClean, error } = await conn.close();
  const end = error ?? new CloseError(code, reason);
  if (error !== undefined || !wasClean || !isNormalEnd(end)) throw end;
}

export function streamsOf(conn: Streamed): MessageStreams {
  const messages = conn[Symbol.asyncIterator]();
  return {
    readable: new ReadableStream<string | OwnedBytes>(
      {
        pull: async (controller) => {
          const { done, value } = await messages.next();
          if (done === true) controller.close();
          else controller.enqueue(value.isText ? value.text() : value.data);
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
          throw error;
        }),
      close: () => closeConfirmed(conn),
      abort: () => conn.terminate(),
    }),
  };
}
