import { converse } from './converse.ts';
import type { Io } from './io.ts';
import type { Values } from './options.ts';
import { endsOf, talkOf } from './talks.ts';

/** `wsx URL`: a prompt on a terminal, else lines ⇄ messages. */
export async function connect(
  io: Io,
  [url = '']: readonly string[],
  values: Values,
): Promise<number> {
  return converse(io, url, values, talkOf(io, await endsOf(io, values)));
}
