import type { SchemaOutput, StandardSchema } from '@ws/conn';
import type { Stream } from './definitions.ts';
import type { Answered, Sent } from './json-values.ts';
import { checkIsSchema, type SchemaInput } from './schema.ts';
import { ServedStreams } from './served-streams.ts';
import { StreamLoop } from './stream-loop.ts';

/** The code of streams. Only definitions of streams refer to it, so a bundle without `stream` lacks it. */
const CODE: {
  readonly StreamLoop: typeof StreamLoop;
  readonly ServedStreams: typeof ServedStreams;
} = { StreamLoop, ServedStreams };
export type StreamCode = typeof CODE;

/**
 * A request with a series of items as answer, at the pace of the reader. The handler returns any
 * AsyncIterable, for example an async generator. The caller loops over an AsyncIterableIterator. The
 * first `next()` sends the request. The generator ends on `break`, `return()`, an abort of the
 * caller's `signal`, or a closed connection.
 *
 * A stream ends with its connection. A `ReconnectingConn` does not send the request again.
 *
 * @param input - A Standard Schema (zod, valibot, ...). The caller passes the schema's input, the
 *   handler gets its output.
 * @param item - The schema of each item. Both ends apply the schema, so it must accept its own output
 *   after a round trip through JSON.
 * @throws TypeError for an invalid argument.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { contract, stream } from '@ws/rpc';
 * import { z } from 'zod';
 *
 * const agent = contract({ server: { ask: stream(z.object({ text: z.string() }), z.string()) } });
 * const [client, server] = connPair();
 * void agent.serve({
 *   async *ask({ text }) {
 *     for (const word of text.split(' ')) yield word;
 *   },
 * })(server);
 * for await (const word of agent.connect(client, {}).ask({ text: 'hello world' })) console.log(word);
 * await client.close();
 * ```
 */
export function stream<I extends StandardSchema, T extends StandardSchema>(
  input: I & Sent<SchemaInput<I>>,
  item: T & Answered<SchemaInput<T>, SchemaOutput<T>>,
  ...more: never[]
): Stream<I, T> {
  checkIsSchema('stream: input', input);
  checkIsSchema('stream: item', item);
  if (more.length === 0) return Object.freeze({ kind: 'stream', input, item, code: CODE });
  throw new TypeError('stream: expected an input and an item; nothing of a stream is sent again');
}
