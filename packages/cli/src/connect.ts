import { conversationOf, endsOf } from './conversation.ts';
import { converse } from './converse.ts';
import type { Io } from './io.ts';
import type { Values } from './options.ts';

/** `wsx URL`: a prompt on a terminal, else lines ⇄ messages. */
export async function connect(
  io: Io,
  [url = '']: readonly string[],
  values: Values,
): Promise<number> {
  return converse(io, url, values, conversationOf(io, await endsOf(io, values)));
}
