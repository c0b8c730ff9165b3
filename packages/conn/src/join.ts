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
  const loop = new Loop(conn);
  return iteratorOf(
    join((options) => conn.nextReader(options), utf8(term), loop),
    loop,
  );
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
  const rare = connection.rareParts();
  if (rare.readsOwner !== undefined) throw connection.inbox.clash(owner);
  rare.readsOwner = owner;
  const nextReader = (options: WaitOptions): Promise<MessageReader> => {
    rare.readsOwner = undefined;
    try {
      return conn.nextReader(options);
    } finally {
      rare.readsOwner = owner;
    }
  };
  const loop = new Loop(conn);
  return iteratorOf(join(nextReader, utf8(''), loop), loop);
}

function checkConn(conn: unknown, name: string): void {
  const internals = (conn as Partial<Conn> | null | undefined)?.['@ws/internals'];
  if (internals?.connection === undefined) {
    throw new TypeError(`${name}: expected a Conn, got ${kind(conn)}`);
  }
}

function iteratorOf(
  pieces: AsyncGenerator<OwnedBytes, undefined>,
  loop: Loop,
): AsyncIterableIterator<OwnedBytes> {
  return {
    next: () => markHandled(pieces.next()),
    return() {
      loop.leave();
      return pieces.return(undefined);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** A loop over joined messages. */
class Loop {
  readonly #left = new AbortController();
  readonly #inbox: { streamCreated(): void; readerLeft(): void };

  constructor(conn: Conn) {
    this.#inbox = conn['@ws/internals'].connection.inbox;
    this.#inbox.streamCreated();
  }

  /** Aborts when the loop is left, or has failed. */
  get signal(): AbortSignal {
    return this.#left.signal;
  }

  leave(): void {
    if (this.signal.aborted) return;
    this.#left.abort();
    this.#inbox.readerLeft();
  }
}

/** @param loop - When the loop is left, a pending `next` consumes no message. */
async function* join(
  nextReader: (options: WaitOptions) => Promise<MessageReader>,
  term: Uint8Array,
  loop: Loop,
): AsyncGenerator<OwnedBytes, undefined, undefined> {
  const { signal: left } = loop;
  try {
    for (;;) {
      const reader = await nextReader({ signal: left });
      const pieces = reader[Symbol.asyncIterator]();
      const leave = (): void => void pieces.return?.();
      left.addEventListener('abort', leave);
      try {
        yield* pieces;
      } finally {
        left.removeEventListener('abort', leave);
      }
      if (left.aborted) return undefined;
      if (term.length > 0) yield term.slice();
    }
  } catch (error) {
    if (left.aborted) return undefined;
    loop.leave();
    throw error;
  }
}
