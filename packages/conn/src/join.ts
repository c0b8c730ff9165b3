import type { Conn } from './conn.ts';
import { kind } from './options.ts';
import { handled } from './promises.ts';
import { utf8 } from './text.ts';

/**
 * All messages of a connection as one stream of bytes, `term` after each of them (after an empty one too): for what
 * reads streams, as lines with `'\n'`.
 *
 * It ends only as reading does: by the error that every read then rejects with, a {@link CloseError} also for a normal
 * close, as in gorilla/websocket.
 */
export function joinMessages(conn: Conn, term = ''): AsyncIterableIterator<Uint8Array> {
  if (typeof term !== 'string') {
    throw new TypeError(`joinMessages: expected a string, got ${kind(term)}`);
  }
  const pieces = join(conn, utf8(term));
  return {
    next: () => handled(pieces.next()),
    return: () => pieces.return(undefined as never),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

async function* join(conn: Conn, end: Uint8Array): AsyncGenerator<Uint8Array, never, undefined> {
  for (;;) {
    yield* await conn.nextReader();
    if (end.length > 0) yield end.slice();
  }
}
