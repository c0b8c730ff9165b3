import type { OwnedBytes } from '@ws/codec';
import { checked } from '@ws/codec/internal';
import type { Conn } from './conn.ts';
import type { MessageReader } from './read/message-reader.ts';
import { markHandled } from './time/promises.ts';
import type { WaitOptions } from './time/wait.ts';
import { kind } from './validate.ts';
import { utf8 } from './writing/payload.ts';

/**
 * Joins all messages of a connection to one stream of bytes, as gorilla/websocket's `JoinMessages`.
 *
 * @param term - Text after each message, for example `'\n'` for lines. Default: none.
 * @returns The bytes (owned) in pieces. The iteration always ends with the error of later reads: even
 *   after a normal close with a {@link CloseError}.
 * @throws TypeError when `term` is not a string.
 *
 * @example
 * ```ts
 * import { connPair, isCloseError, joinMessages } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * await client.send('one');
 * await client.send('two');
 * void client.close();
 * try {
 *   for await (const bytes of joinMessages(server, '\n')) process.stdout.write(bytes);
 * } catch (error) {
 *   if (!isCloseError(error, 1000)) throw error;
 * }
 * ```
 */
export function joinMessages(conn: Conn, term = ''): AsyncIterableIterator<OwnedBytes> {
  checked(() => {
    checkConn(conn, 'joinMessages');
    if (typeof term === 'string') return;
    throw new TypeError(`joinMessages: expected a string, got ${kind(term)}`);
  }, joinMessages);
  return joined(conn, (options) => conn.nextReader(options), utf8(term));
}

/**
 * {@link joinMessages} for a stream that reads on demand: all other reads reject, also while the
 * stream does not read.
 *
 * @throws ReadPendingError when another stream reads the connection; TypeError when `conn` is no Conn.
 */
export function joinFor(conn: Conn, owner: string): AsyncIterableIterator<OwnedBytes> {
  checkConn(conn, owner);
  const { connection } = conn['@ws/internals'];
  const reads = connection.controlOrNew().readsOrNew();
  if (reads.owner !== undefined) throw connection.inbox.clash(owner);
  reads.owner = owner;
  const nextReader = (options: WaitOptions): Promise<MessageReader> => {
    reads.owner = undefined;
    try {
      return conn.nextReader(options);
    } finally {
      reads.owner = owner;
    }
  };
  return joined(conn, nextReader, utf8(''));
}

function checkConn(conn: unknown, name: string): void {
  const internals = (conn as Partial<Conn> | null | undefined)?.['@ws/internals'];
  if (internals?.connection === undefined) {
    throw new TypeError(`${name}: expected a Conn, got ${kind(conn)}`);
  }
}

type NextReader = (options: WaitOptions) => Promise<MessageReader>;

function joined(
  conn: Conn,
  nextReader: NextReader,
  term: Uint8Array,
): AsyncIterableIterator<OwnedBytes> {
  const { inbox } = conn['@ws/internals'].connection;
  const left = new AbortController();
  const leave = (): void => {
    if (left.signal.aborted) return;
    left.abort();
    inbox.readerLeft();
  };
  inbox.streamCreated();
  const pieces = join(nextReader, term, left.signal, leave);
  return {
    next: () => markHandled(pieces.next()),
    return() {
      leave();
      return pieces.return(undefined);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/**
 * @param left - Aborts when the loop is left. A pending `next` then consumes no message.
 * @param leave - Called when the loop has failed.
 */
async function* join(
  nextReader: NextReader,
  term: Uint8Array,
  left: AbortSignal,
  leave: () => void,
): AsyncGenerator<OwnedBytes, undefined, undefined> {
  try {
    for (;;) {
      const reader = await nextReader({ signal: left });
      const pieces = reader[Symbol.asyncIterator]();
      const leavePieces = (): void => void pieces.return?.();
      left.addEventListener('abort', leavePieces);
      try {
        yield* pieces;
      } finally {
        left.removeEventListener('abort', leavePieces);
      }
      if (left.aborted) return undefined;
      if (term.length > 0) yield term.slice();
    }
  } catch (error) {
    if (left.aborted) return undefined;
    leave();
    throw error;
  }
}
