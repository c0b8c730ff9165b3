import type { Conn } from './conn.ts';
import { utf8 } from './text.ts';

/**
 * All messages of a connection as one stream of bytes, `term` after each of them (after an empty one too): for what
 * reads streams, as lines with `'\n'`.
 *
 * It ends only as reading does: by the error that every read then rejects with, a {@link CloseError} also for a normal
 * close, as in gorilla/websocket.
 */
export async function* joinMessages(
  conn: Conn,
  term = '',
): AsyncGenerator<Uint8Array, never, undefined> {
  const end = utf8(term);
  for (;;) {
    const reader = await conn.nextReader();
    yield* reader;
    if (end.length > 0) yield end.slice();
  }
}
